"""`diptych audit`: whether the rows of views are what the log says."""

import click

from diptych.app import Application
from diptych.cli.exits import DONE, FOUND
from diptych.cli.output import Output
from diptych.cli.plain import plain
from diptych.cli.progress import progress
from diptych.cli.views import ALL, SOME_VIEWS, chosen
from diptych.read.audit import Audited, Finding


@SOME_VIEWS
@ALL
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    metavar="ROWS",
    help="About so many rows, by chance, instead of all.",
)
@click.option("--values", is_flag=True, help="Show what is in the fields; it may be secret.")
async def audit(
    app: Application,
    out: Output,
    *,
    views: tuple[str, ...],
    all_of_them: bool,
    sample: int | None,
    values: bool,
) -> int:
    """Recompute the rows of views from the log, and compare.

    It works beside live work, in bounded memory, and changes nothing. `diptych rebuild VIEW --key
    KEY` makes one row anew.

    \b
    Exit codes: 0 all rows are what the log says; 3 some are not, and are
    listed; 1, 2 as always.
    """
    names = chosen(app, views, all_of_them=all_of_them)
    done: list[Audited] = []
    async with app:
        with progress(out) as tell:
            for name in names:
                found = await app.operations.audit(
                    name, sample=sample, values=values, on_progress=tell
                )
                done.append(found)
    out.json({"audited": [{**plain(each), "equal": each.equal} for each in done]})
    for each in done:
        for line in _lines(each):
            out.say(line)
    return DONE if all(each.equal for each in done) else FOUND


def _lines(found: Audited) -> list[str]:
    name = f"{found.view}: {found.rows:,} row{'' if found.rows == 1 else 's'}"
    if found.equal:
        return [f"{name}, all as the log says, up to {found.position:,}"]
    counts = {"missing": found.missing, "surplus": found.surplus, "different": found.different}
    said = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    listed = [f"  {line_of(each)}" for each in found.findings]
    more = found.missing + found.surplus + found.different - len(listed)
    return [f"{name}: {said}", *listed, *([f"  and {more:,} more"] if more > 0 else [])]


def line_of(found: Finding) -> str:
    """A row that is not what the log says; what is in it only where it was asked for."""
    whose = f" of tenant {found.tenant}" if found.tenant else ""
    fields = f" in {', '.join(found.fields)}" if found.fields else ""
    line = f"{'/'.join(found.key)}{whose}: {found.problem}{fields}"
    if not found.expected and not found.found:
        return line
    return f"{line}: {' | '.join(found.found)}; the log says {' | '.join(found.expected)}"
