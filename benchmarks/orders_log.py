"""Logs of orders to read from: four events an order, as a shop's would be."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from benchmarks.harness import say
from diptych.clock import uuid7
from diptych.store.contract import ANY_VERSION, Append, EventStore, Write
from diptych.store.sqlite.store import SqliteEventStore
from examples.orders.order import (
    OrderCancelled,
    OrderCreated,
    OrderItem,
    OrderItemAdded,
    OrderShipped,
    order_events,
)

EVENTS_AN_ORDER = 4
_ORDERS_AN_APPEND = 400
_ITEMS = tuple(
    OrderItem(f"8512{n}A", 6, Decimal("2.55"), "WHITE HANGING HEART T-LIGHT HOLDER")
    for n in range(3)
)
_MORE = OrderItem("22752", 2, Decimal("7.65"), "SET 7 BABUSHKA NESTING BOXES")


def events_of(number: int) -> Iterator[object]:
    order, customer = UUID(int=number + 1), UUID(int=number % 1000 + 1)
    yield OrderCreated(order, customer, f"Customer {number % 1000}", _ITEMS, "1 Long Street")
    yield OrderItemAdded(order, customer, _MORE)
    yield OrderItemAdded(order, customer, _MORE)
    if number % 10:
        yield OrderShipped(order, customer)
    else:
        yield OrderCancelled(order, customer, "changed my mind")


async def fill(path: Path, *, events: int) -> None:
    """A SQLite log of that many events."""
    async with SqliteEventStore(path) as store:
        await write_orders(store, events=events)


async def write_orders(store: EventStore, *, events: int) -> None:
    """Append that many events; those of some hundred orders are interleaved."""
    for first in range(0, events // EVENTS_AN_ORDER, _ORDERS_AN_APPEND):
        numbers = range(first, first + _ORDERS_AN_APPEND)
        await store.append(Append(tuple(_writes(numbers))))
        say(f"filling the log: {first * EVENTS_AN_ORDER:,} of {events:,}")


def _writes(numbers: range) -> Iterator[Write]:
    for number in numbers:
        data = tuple(order_events.encode(event, event_id=uuid7()) for event in events_of(number))
        yield Write(f"order-{UUID(int=number + 1)}", data, ANY_VERSION)
