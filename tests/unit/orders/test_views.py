"""What the views make of the events of orders, in pages of every size and with crashes between."""

from dataclasses import replace as altered
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from msgspec.structs import replace

from diptych.testing import START, ViewSpec
from examples.orders.customers import Customer, customers
from examples.orders.order import (
    MAX_ITEMS,
    MAX_PRICE,
    MAX_QUANTITY,
    OrderCancelled,
    OrderCreated,
    OrderItem,
    OrderItemAdded,
    OrderShipped,
    Status,
)
from examples.orders.summaries import OrderSummary, summaries

ORDER, OTHER, ADA, BOB = UUID(int=1), UUID(int=2), UUID(int=3), UUID(int=4)
SECOND = timedelta(seconds=1)
TEA = OrderItem("tea", 2, Decimal("3.50"), "Green tea")
CREATED = OrderCreated(ORDER, ADA, "Ada", (TEA, TEA), "London")
ADDED = OrderItemAdded(ORDER, ADA, OrderItem("milk", 3, Decimal("0.33")))
SHIPPED = OrderShipped(ORDER, ADA)
CANCELLED = OrderCancelled(ORDER, ADA, "too late")
NEW = OrderSummary(
    order_id=ORDER,
    customer_id=ADA,
    customer_name="Ada",
    status=Status.OPEN,
    total_amount=Decimal("14.00"),
    item_count=2,
    created_at=START,
    shipped_at=None,
    descriptions="tea Green tea\ntea Green tea",
    version=1,
)
ORDERED = Customer(
    customer_id=ADA,
    customer_name="Ada",
    number_of_orders=1,
    open_orders=1,
    total_spent=Decimal("14.00"),
    last_order_id=ORDER,
    last_order_at=START,
)

order_spec = ViewSpec(summaries)
customer_spec = ViewSpec(customers)


def test_a_new_order_is_summed_up() -> None:
    order_spec.given(CREATED).then(NEW)


def test_an_added_item_counts() -> None:
    order_spec.given(CREATED, ADDED).then(
        replace(
            NEW,
            total_amount=Decimal("14.99"),
            item_count=3,
            descriptions=f"{NEW.descriptions}\nmilk ",
            version=2,
        )
    )


def test_a_shipped_order_says_when() -> None:
    shipped = replace(NEW, status=Status.SHIPPED, shipped_at=START + SECOND, version=2)
    order_spec.given(CREATED, SHIPPED).then(shipped)


def test_a_cancelled_order_was_not_shipped() -> None:
    cancelled = replace(NEW, status=Status.CANCELLED, version=2)
    order_spec.given(CREATED, CANCELLED).then(cancelled)


def test_orders_do_not_mix() -> None:
    other = altered(CREATED, order_id=OTHER, customer_id=BOB)
    order_spec.given(CREATED, other, SHIPPED).then(
        replace(NEW, status=Status.SHIPPED, shipped_at=START + 2 * SECOND, version=2),
        replace(NEW, order_id=OTHER, customer_id=BOB, created_at=START + SECOND),
    )


def test_a_customer_with_a_first_order() -> None:
    customer_spec.given(CREATED).then(ORDERED)


def test_a_customer_spends_what_is_added_to_an_order() -> None:
    customer_spec.given(CREATED, ADDED).then(replace(ORDERED, total_spent=Decimal("14.99")))


def test_a_customer_counts_all_orders_and_those_that_are_open() -> None:
    second = altered(CREATED, order_id=OTHER, customer_name="Ada L.")
    customer_spec.given(CREATED, second, ADDED, SHIPPED).then(
        replace(
            ORDERED,
            customer_name="Ada L.",
            number_of_orders=2,
            total_spent=Decimal("28.99"),
            last_order_id=OTHER,
            last_order_at=START + SECOND,
        )
    )


def test_a_cancelled_order_is_not_open_and_costs_nothing() -> None:
    customer_spec.given(CREATED, ADDED, CANCELLED).then(
        replace(ORDERED, open_orders=0, total_spent=Decimal("0.00"))
    )


def test_a_cancellation_takes_off_its_own_order_only() -> None:
    second = altered(CREATED, order_id=OTHER, items=(TEA,))
    customer_spec.given(CREATED, second, CANCELLED).then(
        replace(
            ORDERED,
            number_of_orders=2,
            total_spent=Decimal("7.00"),
            last_order_id=OTHER,
            last_order_at=START + SECOND,
        )
    )


def test_no_number_of_orders_is_too_expensive_to_be_shown() -> None:
    dear = OrderItem("gold", MAX_ITEMS * MAX_QUANTITY, MAX_PRICE)
    orders = [OrderCreated(UUID(int=at), ADA, "Ada", (dear,), "London") for at in range(50)]
    customer_spec.given(*orders).then(
        Customer(ADA, "Ada", 50, 50, 50 * dear.amount, UUID(int=49), START + 49 * SECOND)
    )
