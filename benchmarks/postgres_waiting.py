"""How long until another process sees a row, from the moment a command is handed over?

The view is projected by a process that does nothing else. The reader brings the token of the write
and waits for it. PostgreSQL holds the log and the rows, in one database; there is no PgBouncer.
The clock, which all processes of a machine share, runs from before the command is dispatched until
the reader has the row, so the commit of the command is part of it.
"""

import asyncio
import sys
import time
from statistics import median

from benchmarks.children import answer, child, itself, line
from benchmarks.harness import Bound, Question, report
from benchmarks.server import about, on, postgres
from benchmarks.workloads import order_id, small_orders
from diptych import Application, Token
from examples.orders.app import shop
from examples.orders.summaries import GetOrder

READS = 200
WARM_UP = 20
NEAR = "written and read by one process, projected by another"
FAR = "written, projected and read by three processes"


async def projector(url: str) -> None:
    """Projects until its input is closed."""
    async with shop(url, url) as app:
        await app.caught_up()
        answer("ready")
        await line()


async def writer(url: str) -> None:
    """Says when it handed over each command, and the token that came of it."""
    async with shop(url, url, project=False) as app:
        answer("ready")
        while number := await line():
            started = time.monotonic()
            outcome = await app.dispatch(small_orders(int(number)))
            answer(f"{started} {outcome.token}")


async def see(app: Application, number: int, token: Token) -> float:
    """When the row was there."""
    row = await app.query(GetOrder(order_id(number)), at_least=token)
    if row is None:
        raise AssertionError("a read with the token of a write did not see it")
    return time.monotonic()


async def wait_near(url: str) -> float:
    """Milliseconds, the median of many."""
    waits: list[float] = []
    async with (
        child(*itself("postgres_waiting", "projector", url)),
        shop(url, url, project=False) as app,
    ):
        for number in range(WARM_UP + READS):
            started = time.monotonic()
            outcome = await app.dispatch(small_orders(number))
            waits.append((await see(app, number, outcome.token) - started) * 1000)
    return median(waits[WARM_UP:])


async def wait_far(url: str) -> float:
    """The same, read by a third process: the token travels there through a pipe."""
    waits: list[float] = []
    async with (
        child(*itself("postgres_waiting", "projector", url)),
        child(*itself("postgres_waiting", "writer", url)) as other,
        shop(url, url, project=False) as app,
    ):
        for number in range(WARM_UP + READS):
            other.say(str(number))
            started, token = (await other.hear()).split()
            seen = await see(app, number, Token.parse(token))
            waits.append((seen - float(started)) * 1000)
    return median(waits[WARM_UP:])


async def main() -> bool:
    with postgres() as server:
        asked = Question(
            "postgres_waiting",
            "Milliseconds from a command to its row in another process, on PostgreSQL",
            "ms",
            {NEAR: on(server, wait_near), FAR: on(server, wait_far)},
            about=about(server),
        )
        await asked.run()
    bounds = [
        Bound(f"{side}: median wait, ms", asked.median(side), 10, at_least=False)
        for side in (NEAR, FAR)
    ]
    return report(asked, bounds)


if __name__ == "__main__":
    asyncio.run({"projector": projector, "writer": writer}[sys.argv[1]](sys.argv[2]))
