"""How many events a second does a view read, decode, fold and store?"""

import time
from functools import partial
from pathlib import Path

from benchmarks.harness import Bound, Question, report
from benchmarks.orders_log import fill
from diptych import Application, View
from examples.orders.customers import customers
from examples.orders.summaries import summaries

EVENTS = 200_000


async def project(folder: Path, *, views: list[View]) -> float:
    """From a process that starts beside a full log to all views at its head."""
    await fill(folder / "log.db", events=EVENTS)
    app = Application(
        log=f"sqlite:///{folder}/log.db", read=f"sqlite:///{folder}/read.db", views=views
    )
    started = time.perf_counter()
    async with app:
        await app.caught_up()
        return EVENTS / (time.perf_counter() - started)


async def read_log(folder: Path) -> float:
    """Reading the log and decoding its events, without folding."""
    await fill(folder / "log.db", events=EVENTS)
    app = Application(
        log=f"sqlite:///{folder}/log.db", read=f"sqlite:///{folder}/read.db", views=[]
    )
    async with app:
        started, seen = time.perf_counter(), 0
        async for page in app.log.follow(categories=summaries.categories):
            seen += len(await summaries.decode(page.events))
            if page.scanned.position >= page.head:
                break
        return seen / (time.perf_counter() - started)


SMALL, LARGE = "customers (a row for many orders)", "order_summaries (a row for each, searchable)"


async def main() -> bool:
    asked = Question(
        "folding",
        f"Events a second into a view, from a SQLite log of {EVENTS:,} events",
        "events/s",
        {
            "read and decode only": read_log,
            SMALL: partial(project, views=[customers]),
            LARGE: partial(project, views=[summaries]),
        },
    )
    await asked.run()
    return report(asked, [Bound(SMALL, asked.median(SMALL), 100_000)])
