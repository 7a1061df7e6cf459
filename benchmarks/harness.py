"""Runs the sides of a question in turn, several rounds, and keeps every sample."""

import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

RESULTS = Path(__file__).parent / "results"

Side = Callable[[Path], Awaitable[float]]
"""Runs one round in an empty folder; returns its figure."""


@dataclass
class Question:
    """What is asked and the sides that are compared; `about` joins the environment they ran in."""

    name: str
    asks: str
    unit: str
    sides: Mapping[str, Side]
    rounds: int = 5
    warm_up: bool = True
    about: Mapping[str, str] = field(default_factory=dict)
    samples: dict[str, list[float]] = field(default_factory=dict)

    async def run(self) -> None:
        """Run the sides in turn, so that a slow minute of the machine meets all of them."""
        self.samples = {side: [] for side in self.sides}
        for round_number in range(0 if self.warm_up else 1, self.rounds + 1):
            for side, measure in self.sides.items():
                with tempfile.TemporaryDirectory(prefix="diptych-bench-") as folder:
                    figure = await measure(Path(folder))
                if round_number:  # the first round warms up
                    self.samples[side].append(figure)
                say(f"{self.name}: {side} {round_number}/{self.rounds}")
        say("")

    def median(self, side: str) -> float:
        return median(self.samples[side])

    def ratio(self, side: str, other: str) -> float:
        """The median over the rounds of one side divided by the other."""
        pairs = zip(self.samples[side], self.samples[other], strict=True)
        return median(one / two for one, two in pairs)


@dataclass(frozen=True)
class Bound:
    """A target: this figure must be at least (or at most) that."""

    says: str
    figure: float
    target: float
    at_least: bool = True

    @property
    def met(self) -> bool:
        return self.figure >= self.target if self.at_least else self.figure <= self.target

    def __str__(self) -> str:
        relation = "≥" if self.at_least else "≤"
        mark = "met" if self.met else "MISSED"
        return f"{mark:6}  {self.says}: {self.figure:,.2f} (target {relation} {self.target:g})"


def say(text: str) -> None:
    """Progress on one line of the terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


def report(question: Question, bounds: list[Bound]) -> bool:
    """Print the medians and the bounds, write the samples; say whether all bounds were met."""
    print(f"\n{question.asks}")
    for side in question.sides:
        samples = question.samples[side]
        spread = f"{min(samples):,.1f} to {max(samples):,.1f}"
        print(f"  {side:<48} {median(samples):>12,.1f} {question.unit}   ({spread})")
    for bound in bounds:
        print(f"  {bound}")
    write(question, bounds)
    return all(bound.met for bound in bounds)


def write(question: Question, bounds: list[Bound]) -> None:
    RESULTS.mkdir(exist_ok=True)
    result = {
        "question": question.asks,
        "unit": question.unit,
        "environment": {**environment(), **question.about},
        "samples": question.samples,
        "medians": {side: question.median(side) for side in question.sides},
        "bounds": [
            {"says": b.says, "figure": b.figure, "target": b.target, "met": b.met} for b in bounds
        ],
    }
    path = RESULTS / f"{question.name}.json"
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


def environment() -> dict[str, object]:
    packages = ("msgspec", "sqlalchemy", "pysqlite3")
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processors": os.cpu_count(),
        "load": os.getloadavg()[0],
        "packages": {package: version(package) for package in packages},
    }


def commit() -> str:
    asked = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or "unknown"


async def rate(work: Callable[[int], Awaitable[object]], *, total: int, in_flight: int) -> float:
    """How many of `total` calls a second `in_flight` tasks get through, each after the other."""
    numbers = iter(range(total))

    async def worker() -> None:
        for number in numbers:
            await work(number)

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(worker())
    return total / (time.perf_counter() - started)


async def warm_rate(
    work: Callable[[int], Awaitable[object]], *, total: int, in_flight: int, warm_up: int = 500
) -> float:
    """The same, when connections are there and statements are prepared."""
    await rate(lambda n: work(total + n), total=warm_up, in_flight=in_flight)
    return await rate(work, total=total, in_flight=in_flight)
