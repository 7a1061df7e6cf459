"""Do several processes that append at once get in each other's way?

Each process is an application with its own connection to one PostgreSQL log. They start together;
the figure is all their commands divided by the time from the first start to the last end.
"""

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from functools import partial

from benchmarks.children import answer, child, itself, line
from benchmarks.harness import Bound, Question, rate, report
from benchmarks.server import about, on, postgres
from benchmarks.workloads import small_orders
from diptych import Application
from examples.orders.order import orders

COMMANDS = 24_000
IN_FLIGHT = 64
WARM_UP = 500


async def process(url: str, first: int, total: int) -> None:
    """One of the processes: it says when it began and when it ended."""
    async with Application(log=url, write=[orders]) as app:

        async def run(start: int, count: int) -> None:
            await rate(
                lambda n: app.dispatch(small_orders(start + n)), total=count, in_flight=IN_FLIGHT
            )

        await run(first + total, WARM_UP)
        answer("ready")
        await line()
        started = time.monotonic()
        await run(first, total)
        answer(f"{started} {time.monotonic()}")


async def together(url: str, *, processes: int) -> float:
    """Commands a second of all processes."""
    share = COMMANDS // processes
    async with AsyncExitStack() as stack:
        commands = [
            itself("postgres_processes", url, number * (share + WARM_UP), share)
            for number in range(processes)
        ]
        children = [await stack.enter_async_context(child(*command)) for command in commands]
        for one in children:
            one.say("go")
        times = [tuple(map(float, (await one.hear()).split())) for one in children]
    return COMMANDS / (max(end for _, end in times) - min(start for start, _ in times))


def side(processes: int) -> str:
    return f"{processes} process{'es' if processes > 1 else ''}, {IN_FLIGHT} in flight in each"


async def main() -> bool:
    with postgres() as server:
        asked = Question(
            "postgres_processes",
            f"Durable commands a second of several processes together ({COMMANDS:,} in all)",
            "commands/s",
            {side(n): on(server, partial(together, processes=n)) for n in (1, 2, 4)},
            about=about(server),
        )
        await asked.run()
    ratio = asked.ratio(side(4), side(1))
    return report(asked, [Bound("4 processes / 1 process", ratio, 1)])


if __name__ == "__main__":
    asyncio.run(process(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
