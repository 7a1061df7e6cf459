"""Does a transaction that somebody else holds open keep rows from appearing?

Frameworks that wait for the oldest transaction of the server stand still meanwhile. Here orders
are created at a steady pace while one is held: in the database of the log by a session that wrote,
by one that reads from an old snapshot, and in another database by one that wrote. The figure is
the longest time from the acknowledgement of a command to its row, over the whole hold.

Each is held for 8 seconds, eight times the delay that is allowed, so that a stall shows;
`DIPTYCH_STALL=30` holds each for 30, as the target says.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from datetime import timedelta
from functools import partial

import asyncpg

from benchmarks.harness import Bound, Question, report
from benchmarks.server import about, on, postgres
from benchmarks.workloads import order_id, small_orders
from diptych import Application
from examples.orders.app import shop
from examples.orders.summaries import GetOrder

HELD = float(os.environ.get("DIPTYCH_STALL", "8"))
PACE = 0.02
"""Seconds from one command to the next."""
PATIENCE = timedelta(seconds=HELD + 60)
"""A row that does not come is to be measured, not given up."""
WRITES = ("CREATE TABLE unrelated AS SELECT 1 AS one",)
READS = ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM pg_class")
NOTHING = "nothing held"


@asynccontextmanager
async def transaction(url: str, *statements: str) -> AsyncIterator[None]:
    """A transaction that ran these statements and does not end."""
    db = await asyncpg.connect(url)
    try:
        await db.execute("BEGIN")
        for statement in statements:
            await db.execute(statement)
        yield
    finally:
        await db.close()


async def delay(app: Application, number: int) -> float:
    """Milliseconds from the acknowledgement of a command to its row."""
    outcome = await app.dispatch(small_orders(number))
    acknowledged = time.perf_counter()
    if (
        await app.query(GetOrder(order_id(number)), at_least=outcome.token, timeout=PATIENCE)
        is None
    ):
        raise AssertionError("a read with the token of a write did not see it")
    return (time.perf_counter() - acknowledged) * 1000


async def longest(app: Application) -> float:
    delays: list[asyncio.Task[float]] = []
    async with asyncio.TaskGroup() as group:
        until = time.perf_counter() + HELD
        while time.perf_counter() < until:
            delays.append(group.create_task(delay(app, len(delays))))
            await asyncio.sleep(PACE)
    return max(task.result() for task in delays)


async def measure(url: str, *, there: str = "", statements: tuple[str, ...] = ()) -> float:
    """Hold it, in the database of the log unless another is given, then open, write and read."""
    holding = transaction(there or url, *statements) if statements else nullcontext()
    async with shop(url, url) as app:
        await delay(app, 10**6)  # what is done once is not what is measured
        async with holding:
            return await longest(app)


async def main() -> bool:
    with postgres() as server:
        there = server.create_database()
        sides = {
            NOTHING: measure,
            "held, it wrote": partial(measure, statements=WRITES),
            "held, it reads an old snapshot": partial(measure, statements=READS),
            "held in another database, it wrote": partial(measure, there=there, statements=WRITES),
        }
        asked = Question(
            "postgres_stall",
            f"Longest delay of a row while another transaction is open for {HELD:g} s, at"
            f" {1 / PACE:g} commands a second",
            "ms",
            {name: on(server, side) for name, side in sides.items()},
            rounds=1,
            warm_up=False,
            about=about(server),
        )
        await asked.run()
    bounds = [
        Bound(f"{side}: longest delay, ms", asked.median(side), 1_000, at_least=False)
        for side in sides
        if side != NOTHING
    ]
    return report(asked, bounds)
