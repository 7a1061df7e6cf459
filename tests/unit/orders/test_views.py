"""What the views make of the events of orders."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from diptych import RecordedEvent
from examples.orders import customers, summaries
from examples.orders.order import (
    OrderCancelled,
    OrderCreated,
    OrderEvent,
    OrderItem,
    OrderItemAdded,
    OrderShipped,
    Status,
)

ORDER, OTHER, ADA = UUID(int=1), UUID(int=2), UUID(int=3)
TEA = OrderItem("tea", 2, Decimal("3.50"), "Green tea")
START = datetime(2026, 1, 1, tzinfo=UTC)
CREATED = OrderCreated(ORDER, ADA, "Ada", (TEA, TEA), "London")
ADDED = OrderItemAdded(ORDER, ADA, OrderItem("milk", 3, Decimal("0.33")))

Row = TypeVar("Row")


def fold(project: Callable[[Any, Any, RecordedEvent], Row], events: Iterable[OrderEvent]) -> Row:
    row: Any = None
    for count, event in enumerate(events, start=1):
        row = project(row, event, recorded(count))
    folded: Row = row
    return folded


def recorded(count: int) -> RecordedEvent:
    """The count-th event of the log and of its stream, recorded count seconds after the start."""
    at = START + timedelta(seconds=count)
    return RecordedEvent(count, "", "order-1", count, UUID(int=count), "", b"", b"", at, None, ())


def test_a_new_order_is_summed_up() -> None:
    row = fold(summaries.project, [CREATED])
    assert row == summaries.OrderSummary(
        order_id=ORDER,
        customer_id=ADA,
        customer_name="Ada",
        status=Status.OPEN,
        total_amount=Decimal("14.00"),
        item_count=2,
        created_at=START + timedelta(seconds=1),
        shipped_at=None,
        descriptions="tea Green tea\ntea Green tea",
        version=1,
    )


def test_an_added_item_counts() -> None:
    row = fold(summaries.project, [CREATED, ADDED])
    assert row is not None
    assert (row.total_amount, row.item_count, row.version) == (Decimal("14.99"), 3, 2)
    assert row.descriptions.endswith("\nmilk ")


def test_a_shipped_order_says_when() -> None:
    row = fold(summaries.project, [CREATED, OrderShipped(ORDER, ADA)])
    assert row is not None
    assert (row.status, row.shipped_at) == (Status.SHIPPED, START + timedelta(seconds=2))


def test_a_cancelled_order_was_not_shipped() -> None:
    row = fold(summaries.project, [CREATED, OrderCancelled(ORDER, ADA, "")])
    assert row is not None
    assert (row.status, row.shipped_at, row.version) == (Status.CANCELLED, None, 2)


def test_a_customer_counts_all_orders_and_those_that_are_open() -> None:
    second = OrderCreated(OTHER, ADA, "Ada L.", (TEA,), "London")
    events = [CREATED, second, ADDED, OrderShipped(ORDER, ADA)]
    row = fold(customers.project, events)
    assert row == customers.Customer(
        customer_id=ADA,
        customer_name="Ada L.",
        number_of_orders=2,
        open_orders=1,
        last_order_id=OTHER,
        last_order_at=START + timedelta(seconds=2),
    )


def test_a_cancelled_order_is_not_open() -> None:
    row = fold(customers.project, [CREATED, OrderCancelled(ORDER, ADA, "")])
    assert row is not None
    assert (row.number_of_orders, row.open_orders) == (1, 0)
