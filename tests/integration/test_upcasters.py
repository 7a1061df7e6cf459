"""Events of old shapes on every read path: one that became several, or none, or another name."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

from diptych import Application, Decider, EventData, Events, Query, RecordedEvent, View, answer
from diptych.flow.reaction import Reaction
from diptych.read.database import ReadDatabase
from diptych.store.contract import Append, EventStore, Write
from diptych.testing.waiting import wait_until
from diptych.upcast import Upcast
from tests.integration.conftest import AnyDatabase


@dataclass(frozen=True, slots=True)
class Paid:
    order: str
    amount: int


@dataclass(frozen=True, slots=True)
class Shipped:
    order: str


@dataclass(frozen=True, slots=True)
class Order:
    seen: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Look:
    order: str


@dataclass(frozen=True, slots=True)
class Row:
    order: str
    paid: int = 0
    shipped: int = 0


@dataclass(frozen=True, slots=True)
class GetRow(Query[Row | None]):
    order: str


def split(old: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [("Paid", {"order": old["order"], "amount": 3}), ("Shipped", {"order": old["order"]})]


order_events = Events(
    "order",
    Paid,
    Shipped,
    upcasters=[
        Upcast("PaidAndShipped", ("Paid", "Shipped"), change=split),
        Upcast("Sent", "Shipped"),
        Upcast("Touched", ()),
    ],
)


def decide(command: Look, order: Order) -> list[Paid]:
    return [Paid(command.order, len(order.seen))]


def evolve(order: Order, event: Paid | Shipped) -> Order:
    return Order((*order.seen, type(event).__name__))


def project(row: Row | None, event: Paid | Shipped, recorded: RecordedEvent) -> Row:
    row = row or Row(event.order)
    match event:
        case Paid():
            return Row(row.order, row.paid + event.amount, row.shipped)
        case Shipped():
            return Row(row.order, row.paid, row.shipped + 1)


async def get_row(query: GetRow, rows: Any) -> Row | None:
    found: Row | None = await rows.get(view, query.order)
    return found


view = View("orders", events=[order_events], row=Row, key="order", project=project)
STORED = [("PaidAndShipped", "a"), ("Touched", "a"), ("Sent", "a"), ("PaidAndShipped", "b"),
          ("Touched", "c")]  # fmt: skip
ROWS = {"a": Row("a", 3, 2), "b": Row("b", 3, 1), "c": None}


def stored(name: str, order: str) -> EventData:
    return EventData(name, b'{"order":"%s"}' % order.encode(), uuid4())


async def fill(store: EventStore) -> None:
    for order in "abc":
        events = tuple(stored(name, of) for name, of in STORED if of == order)
        await store.append(Append((Write(f"order-{order}", events, 0),)))


def application(store: EventStore, database: ReadDatabase) -> Application:
    orders = Decider(order_events, key="order", initial=Order, decide=decide, evolve=evolve)
    return Application(
        log=store,
        read=database,
        write=[orders],
        views=[view],
        queries=[answer(GetRow, get_row, reads=[view])],
    )


async def test_views_fold_what_old_events_stand_for(
    any_store: EventStore, any_database: AnyDatabase
) -> None:
    await fill(any_store)
    async with application(any_store, any_database()) as app:
        await app.caught_up(timeout=timedelta(seconds=20))
        for order, row in ROWS.items():
            assert await app.query(GetRow(order)) == row


def fussy(row: Row | None, event: Paid | Shipped, recorded: RecordedEvent) -> Row:
    if event.order == "b":
        raise ValueError
    return project(row, event, recorded)


async def test_an_old_event_that_stands_for_several_is_parked_once(
    any_store: EventStore, any_database: AnyDatabase
) -> None:
    parking = View(
        "orders", events=[order_events], row=Row, key="order", project=fussy, on_error="park"
    )
    await fill(any_store)
    async with Application(log=any_store, read=any_database(), views=[parking]) as app:
        await app.caught_up(timeout=timedelta(seconds=5))
        (parked,) = await app.operations.parked("orders")
        details = await app.operations.parked_key("orders", "b")
        assert (parked.key, parked.events, len(details.events)) == ("b", 1, 1)


async def test_deciders_fold_what_old_events_stand_for(
    any_store: EventStore, any_database: AnyDatabase
) -> None:
    await fill(any_store)
    async with application(any_store, any_database()) as app:
        outcome = await app.dispatch(Look("a"))
        assert outcome.version == 4
        assert await app.query(GetRow("a"), at_least=outcome.token) == Row("a", 6, 2)


async def test_reactions_are_given_what_old_events_stand_for(any_store: EventStore) -> None:
    await fill(any_store)
    handled: list[tuple[object, str, int]] = []

    async def handle(event: Paid | Shipped, recorded: RecordedEvent) -> None:
        handled.append((event, recorded.stream, recorded.version))

    reaction = Reaction("watch", events=[order_events], handle=handle, start="beginning")
    async with Application(log=any_store, reactions=[reaction]):
        await wait_until(lambda: len(handled) == 5)
    of_a = [(event, version) for event, stream, version in handled if stream == "order-a"]
    assert of_a == [(Paid("a", 3), 1), (Shipped("a"), 1), (Shipped("a"), 3)]


async def test_the_log_tells_what_old_events_stand_for(any_store: EventStore) -> None:
    await fill(any_store)
    async with Application(log=any_store, views=[view]) as app:
        events = (await app.log.read()).events
        found = [await app.log.decode(event) for event in events]
    assert found[0] == (Paid("a", 3), Shipped("a"))
    assert found[1:3] == [(), (Shipped("a"),)]
