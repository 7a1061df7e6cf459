"""How many durable commands a second, and how close to a bare loop over the same tables?"""

from decimal import Decimal
from functools import partial
from itertools import count
from pathlib import Path
from uuid import UUID

from benchmarks.bare import BareLog, create
from benchmarks.harness import Bound, Question, rate, report
from diptych import Application
from examples.orders.order import (
    AddOrderItem,
    CreateOrder,
    OrderCreated,
    OrderItem,
    OrderItemAdded,
    orders,
)

IN_FLIGHT = 256
CUSTOMER = UUID(int=7)
ITEMS = tuple(
    OrderItem(f"8512{n}A", 6, Decimal("2.55"), "WHITE HANGING HEART T-LIGHT HOLDER")
    for n in range(3)
)


def order_id(number: int) -> UUID:
    return UUID(int=number + 1)


def created(number: int) -> CreateOrder:
    return CreateOrder(order_id(number), CUSTOMER, "Ann Example", ITEMS, "1 Long Street, London")


def added(number: int, streams: int) -> AddOrderItem:
    return AddOrderItem(order_id(number % streams), "22752", 2, Decimal("7.65"), "BABUSHKA BOXES")


def log_only(folder: Path) -> Application:
    return Application(
        log=f"sqlite:///{folder}/log.db", read=f"sqlite:///{folder}/read.db", write=[orders]
    )


async def whole_new(folder: Path, *, in_flight: int, total: int) -> float:
    async with log_only(folder) as app:
        return await rate(lambda n: app.dispatch(created(n)), total=total, in_flight=in_flight)


async def whole_kept(folder: Path, *, in_flight: int, total: int, streams: int = 1000) -> float:
    async with log_only(folder) as app:
        await rate(lambda n: app.dispatch(created(n)), total=streams, in_flight=256)
        return await rate(
            lambda n: app.dispatch(added(n, streams)), total=total, in_flight=in_flight
        )


async def bare_new(folder: Path, *, in_flight: int, total: int) -> float:
    db = await create(folder / "log.db")
    log = BareLog(db)
    try:
        return await rate(
            lambda n: log.append(
                OrderCreated(order_id(n), CUSTOMER, "Ann Example", ITEMS, "1 Long Street, London"),
                f"order-{order_id(n)}",
                1,
            ),
            total=total,
            in_flight=in_flight,
        )
    finally:
        db.close()


async def bare_kept(folder: Path, *, in_flight: int, total: int, streams: int = 1000) -> float:
    db = await create(folder / "log.db")
    log = BareLog(db)
    item = OrderItem("22752", 2, Decimal("7.65"), "BABUSHKA BOXES")
    versions = count(streams)
    try:
        return await rate(
            lambda n: log.append(
                OrderItemAdded(order_id(n % streams), CUSTOMER, item),
                f"order-{order_id(n % streams)}",
                next(versions) // streams,
            ),
            total=total,
            in_flight=in_flight,
        )
    finally:
        db.close()


def question() -> Question:
    many = {"in_flight": IN_FLIGHT, "total": 20_000}
    one = {"in_flight": 1, "total": 1_500}
    return Question(
        "commands",
        "Durable commands a second on SQLite (WAL, synchronous=FULL)",
        "commands/s",
        {
            "bare loop, new streams, 256 in flight": partial(bare_new, **many),
            "diptych, new streams, 256 in flight": partial(whole_new, **many),
            "bare loop, kept streams, 256 in flight": partial(bare_kept, **many),
            "diptych, kept streams, 256 in flight": partial(whole_kept, **many),
            "bare transaction, one at a time": partial(bare_new, **one),
            "diptych, new streams, one at a time": partial(whole_new, **one),
        },
    )


async def main() -> bool:
    asked = question()
    await asked.run()
    new, kept = (asked_ratio(asked, kind) for kind in ("new", "kept"))
    alone = asked.ratio("bare transaction, one at a time", "diptych, new streams, one at a time")
    many = asked.ratio("diptych, new streams, 256 in flight", "diptych, new streams, one at a time")
    return report(
        asked,
        [
            Bound("whole command / bare loop, new streams", new, 0.75),
            Bound("whole command / bare loop, kept streams", kept, 0.75),
            Bound("256 in flight / one at a time", many, 5),
            Bound("time of one command / of a bare transaction", alone, 1.3, at_least=False),
        ],
    )


def asked_ratio(asked: Question, kind: str) -> float:
    return asked.ratio(
        f"diptych, {kind} streams, 256 in flight", f"bare loop, {kind} streams, 256 in flight"
    )
