"""How many durable commands a second, and how close to a bare loop over the same tables?

Both sides have the same tasks, commands, domain functions (`decide`), rows, tables and durability.
What the framework adds is everything else: see `benchmarks.bare`. That costs about the same for
each command, so the ratio is better for large commands than for small ones. The target is asked of
all of them.
"""

from functools import partial
from pathlib import Path

from benchmarks.bare import BareLog, create
from benchmarks.harness import Bound, Question, rate, report
from benchmarks.workloads import Commands, added, real_orders, small_orders
from diptych import Application
from examples.orders.order import Order, decide, orders

IN_FLIGHT = 256
STREAMS = 1000
MANY, ONE = 15_000, 1_500


def log_only(folder: Path) -> Application:
    return Application(log=f"sqlite:///{folder}/log.db", write=[orders])


async def whole(folder: Path, *, commands: Commands, in_flight: int, total: int) -> float:
    async with log_only(folder) as app:
        return await rate(lambda n: app.dispatch(commands(n)), total=total, in_flight=in_flight)


async def bare(folder: Path, *, commands: Commands, in_flight: int, total: int) -> float:
    db = await create(folder / "log.db")
    log = BareLog(db)

    async def one(number: int) -> None:
        command = commands(number)
        [event] = decide(command, Order())
        await log.append(event, f"order-{command.order_id}", 1)

    try:
        return await rate(one, total=total, in_flight=in_flight)
    finally:
        db.close()


async def whole_kept(folder: Path, *, total: int) -> float:
    """Commands on streams whose state is kept."""
    async with log_only(folder) as app:
        await rate(lambda n: app.dispatch(small_orders(n)), total=STREAMS, in_flight=IN_FLIGHT)
        return await rate(
            lambda n: app.dispatch(added(n % STREAMS)), total=total, in_flight=IN_FLIGHT
        )


async def bare_kept(folder: Path, *, total: int) -> float:
    """The same, with the state of each stream in a dictionary."""
    db = await create(folder / "log.db")
    log, states, versions = BareLog(db), dict[object, Order](), [1] * STREAMS

    async def begin(number: int) -> None:
        command = small_orders(number)
        [event] = decide(command, Order())
        states[command.order_id] = orders.evolve(Order(), event)
        await log.append(event, f"order-{command.order_id}", 1)

    async def add(number: int) -> None:
        command = added(number % STREAMS)
        [event] = decide(command, states[command.order_id])
        states[command.order_id] = orders.evolve(states[command.order_id], event)
        versions[number % STREAMS] += 1
        await log.append(event, f"order-{command.order_id}", versions[number % STREAMS])

    try:
        await rate(begin, total=STREAMS, in_flight=IN_FLIGHT)
        return await rate(add, total=total, in_flight=IN_FLIGHT)
    finally:
        db.close()


def question() -> Question:
    name, real = real_orders()
    many = {"in_flight": IN_FLIGHT, "total": MANY}
    one = {"in_flight": 1, "total": ONE}
    return Question(
        "commands",
        f"Durable commands a second on SQLite (WAL, synchronous=FULL); the large ones are {name}",
        "commands/s",
        {
            "bare, large orders, 256 in flight": partial(bare, commands=real, **many),
            "diptych, large orders, 256 in flight": partial(whole, commands=real, **many),
            "bare, small orders, 256 in flight": partial(bare, commands=small_orders, **many),
            "diptych, small orders, 256 in flight": partial(whole, commands=small_orders, **many),
            "bare, on kept streams, 256 in flight": partial(bare_kept, total=MANY),
            "diptych, on kept streams, 256 in flight": partial(whole_kept, total=MANY),
            "bare, small orders, one at a time": partial(bare, commands=small_orders, **one),
            "diptych, small orders, one at a time": partial(whole, commands=small_orders, **one),
        },
        rounds=9,
    )


async def main() -> bool:
    asked = question()
    await asked.run()

    def against_bare(kind: str) -> float:
        return asked.ratio(f"diptych, {kind}, 256 in flight", f"bare, {kind}, 256 in flight")

    many, one = "small orders, 256 in flight", "small orders, one at a time"
    return report(
        asked,
        [
            Bound("large orders / the bare loop", against_bare("large orders"), 0.75),
            Bound("small orders / the bare loop", against_bare("small orders"), 0.75),
            Bound("on kept streams / the bare loop", against_bare("on kept streams"), 0.75),
            Bound(
                "256 in flight / one at a time",
                asked.ratio(f"diptych, {many}", f"diptych, {one}"),
                5,
            ),
            Bound(
                "one command, its time / a bare transaction's",
                asked.ratio(f"bare, {one}", f"diptych, {one}"),
                1.3,
                at_least=False,
            ),
        ],
    )
