"""`python -m benchmarks.figures`: the figures of the README, taken from the results."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import floor, log10
from pathlib import Path

from benchmarks.harness import RESULTS

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- figures:begin — python -m benchmarks.figures -->\n", "<!-- figures:end -->"


@dataclass(frozen=True)
class Figure:
    """A median of ours, and those that were measured beside it: `(what it is, its side)`."""

    says: str
    result: str
    side: str
    beside: tuple[tuple[str, str], ...] = ()
    unit: str = ""


FIGURES = (
    Figure(
        "durable commands a second, SQLite, 256 at once",
        "commands",
        "diptych, small orders, 256 in flight",
        (("a bare loop that only inserts", "bare, small orders, 256 in flight"),),
    ),
    Figure(
        "the same, one after the other",
        "commands",
        "diptych, small orders, one at a time",
        (("the bare loop", "bare, small orders, one at a time"),),
    ),
    Figure(
        "durable commands a second, PostgreSQL, 16 at once",
        "postgres_commands",
        "diptych, 16 in flight",
        (
            ("Emmett 0.42.0", "Emmett 0.42.0, 16 promises"),
            ("eventsourcing 9.5.6", "eventsourcing 9.5.6, 16 threads"),
        ),
    ),
    Figure(
        "events a second into a view, SQLite",
        "folding",
        "customers (a row for many orders)",
        (("only reading and decoding", "read and decode only"),),
    ),
    Figure(
        "from a write to the answer that shows it, SQLite",
        "waiting",
        "with the token of the write",
        (("without waiting for it", "without a token (may not see it)"),),
        unit=" ms",
    ),
    Figure(
        "the same through three processes, PostgreSQL",
        "postgres_waiting",
        "written, projected and read by three processes",
        unit=" ms",
    ),
)


def table() -> str:
    """The figures as a table of the README."""
    return "".join(f"{line}\n" for line in _lines())


def _lines() -> Iterator[str]:
    yield "| Median of | Diptych | Beside it | Samples |"
    yield "| --- | --- | --- | --- |"
    for each in FIGURES:
        medians = json.loads((RESULTS / f"{each.result}.json").read_text())["medians"]
        beside = "; ".join(
            f"{rounded(medians[side])}{each.unit}, {what}" for what, side in each.beside
        )
        ours = f"**{rounded(medians[each.side])}{each.unit}**"
        file = f"[{each.result}](benchmarks/results/{each.result}.json)"
        yield f"| {each.says} | {ours} | {beside} | {file} |"


def rounded(value: float) -> str:
    """Two figures: the others are another machine's, or another day's."""
    decimals = 1 - floor(log10(abs(value)))
    return f"{round(value, decimals):,.{max(decimals, 0)}f}"


def write() -> None:
    """Put them into the README."""
    before, _, rest = README.read_text("utf-8").partition(BEGIN)
    README.write_text(f"{before}{BEGIN}{table()}{END}{rest.partition(END)[2]}", "utf-8")


if __name__ == "__main__":
    write()
