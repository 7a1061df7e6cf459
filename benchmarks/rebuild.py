"""How fast are the views of the orders rebuilt, in how much memory, and who notices?

At full speed with nobody at work: a process builds both views from a log that is there already.
Throttled: another process serves commands, each read back by its token, with and without a
rebuild beside it. `DIPTYCH_REBUILD_EVENTS` makes it smaller.
"""

import asyncio
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from uuid import uuid4

from benchmarks.children import child, itself
from benchmarks.harness import Bound, Question, Side, report
from benchmarks.orders_log import fill, write_orders
from benchmarks.server import about, postgres
from benchmarks.workloads import small_orders
from diptych import Application, PostgresEventStore, Progress, answer
from examples.orders.customers import customers
from examples.orders.order import orders
from examples.orders.summaries import GetOrder, get_order, summaries

EVENTS = int(os.environ.get("DIPTYCH_REBUILD_EVENTS", "1000000"))
SQLITE, POSTGRES = "SQLite, both views", "PostgreSQL, both views"
WARM, LATE = (0.4, 0.6), (0.8, 1.0)
"""Shares of the log: page caches, whose size is set, are full in both."""
COMMANDS = 1_500
EACH = 0.01
_VIEWS = ("order_summaries", "customers")
_PAGE = resource.getpagesize()


def shop(log: str, read: str) -> Application:
    return Application(
        log=log,
        read=read,
        write=[orders],
        views=[summaries, customers],
        queries=[answer(GetOrder, get_order, reads=[summaries])],
    )


def resident() -> float:
    """Megabytes of this process in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE / 1e6


class Memory:
    """How much of it a rebuild has while it goes on; some pages need more than others."""

    def __init__(self) -> None:
        self._found: list[tuple[float, float]] = []

    def look(self, at: Progress) -> None:
        if at.what == "building":
            self._found.append((at.share, resident()))

    @property
    def grown(self) -> float:
        """Megabytes, from what is usual at first to what is usual at last."""
        return self._usual(*LATE) - self._usual(*WARM)

    def _usual(self, begin: float, end: float) -> float:
        return median(megabytes for share, megabytes in self._found if begin <= share <= end)


# In a process of its own


async def rebuild(log: str, read: str, *, full_speed: bool) -> tuple[float, float]:
    """Events a second, and the megabytes by which the process grew once it was warm."""
    app = shop(log, read)
    app.operating = True
    memory = Memory()
    async with app:
        events = (await app.log.head()).position
        started = time.perf_counter()
        await app.operations.rebuild(
            _VIEWS,
            full_speed=full_speed,
            on_progress=memory.look,
        )
        return events / (time.perf_counter() - started), memory.grown


async def rebuild_again_and_again(log: str, read: str) -> None:
    """While somebody else is measured."""
    app = shop(log, read)
    app.operating = True
    async with app:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        while True:
            await app.operations.rebuild(_VIEWS)


# Those who measure


async def built(log: str, read: str) -> tuple[float, float]:
    process = await asyncio.create_subprocess_exec(
        *itself("rebuild", "once", log, read), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    speed, grown = map(float, output.split())
    return speed, grown


async def latencies(app: Application) -> tuple[float, float]:
    """Milliseconds: the 99th percentile of commands, and the longest that a row was waited for."""
    loop = asyncio.get_running_loop()
    commands: list[float] = []
    waits: list[float] = []
    for _ in range(COMMANDS):
        began = loop.time()
        command = small_orders(uuid4().int >> 8)
        outcome = await app.dispatch(command)
        commands.append(loop.time() - began)
        decided = loop.time()
        await app.query(GetOrder(command.order_id), at_least=outcome.token)
        waits.append(loop.time() - decided)
        await asyncio.sleep(max(EACH - (loop.time() - began), 0))
    return quantiles(commands, n=100)[98] * 1e3, max(waits) * 1e3


async def noticed(log: str, read: str) -> dict[str, float]:
    """How commands and live views are without a rebuild, and with one all the while."""
    async with shop(log, read) as app:
        await app.caught_up()
        alone = await latencies(app)
        async with child(*itself("rebuild", "again", log, read)) as other:
            other.say("go")
            await asyncio.sleep(1)
            beside = await latencies(app)
    return {
        "p99 of commands alone, ms": alone[0],
        "p99 of commands beside a rebuild, ms": beside[0],
        "longest wait for a row alone, ms": alone[1],
        "longest wait for a row beside a rebuild, ms": beside[1],
    }


class Figures:
    """What one round gives: a figure for each thing that is asked, on each database."""

    def __init__(self) -> None:
        self.grown: dict[str, float] = {}
        self.noticed: dict[str, dict[str, float]] = {}

    def on(self, name: str, log: str, read: Callable[[Path], str]) -> Side:
        async def side(folder: Path) -> float:
            speed, self.grown[name] = await built(log, read(folder))
            self.noticed[name] = await noticed(log, read(folder))
            return speed

        return side

    def bounds(self, asked: Question) -> list[Bound]:
        found = [
            Bound(SQLITE, asked.median(SQLITE), 100_000),
            Bound(POSTGRES, asked.median(POSTGRES), 50_000),
        ]
        for name, grown in self.grown.items():
            found.append(Bound(f"{name}: growth over the rest, MB", grown, 8, at_least=False))
        for name, each in self.noticed.items():
            alone, beside, _, waited = each.values()
            says = f"{name}: p99 of commands beside a rebuild, times that without"
            found.append(Bound(says, beside / alone, 3, at_least=False))
            says = f"{name}: longest wait for a row beside a rebuild, ms"
            found.append(Bound(says, waited, 100, at_least=False))
        return found


async def main() -> bool:
    with tempfile.TemporaryDirectory(prefix="diptych-bench-") as kept, postgres() as server:
        await fill(Path(kept) / "log.db", events=EVENTS)
        url = server.create_database()
        async with PostgresEventStore(url) as store:
            await write_orders(store, events=EVENTS)
        figures = Figures()
        sides = {
            SQLITE: figures.on(
                SQLITE, f"sqlite:///{kept}/log.db", lambda folder: f"sqlite:///{folder}/read.db"
            ),
            POSTGRES: figures.on(POSTGRES, url, lambda folder: f"{url}?schema={schema_of(folder)}"),
        }
        asked = Question(
            "rebuild",
            f"Events a second into both views of the orders, rebuilt from {EVENTS:,} events",
            "events/s",
            sides,
            rounds=1,
            warm_up=False,
            about=about(server),
        )
        await asked.run()
    return report(asked, figures.bounds(asked))


def schema_of(folder: Path) -> str:
    """One for each round."""
    return f"rows_{folder.name.rpartition('-')[2].lower()}"


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["once", log_url, read_url]:
            print(*asyncio.run(rebuild(log_url, read_url, full_speed=True)))
        case ["again", log_url, read_url]:
            asyncio.run(rebuild_again_and_again(log_url, read_url))
        case _:
            sys.exit("once|again LOG READ")
