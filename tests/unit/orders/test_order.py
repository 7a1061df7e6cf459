"""The rules of an order: given what happened, when a command comes, then these events."""

from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import pytest

from diptych import InvalidInput, LimitExceeded
from diptych.testing import DeciderSpec
from examples.orders.order import (
    MAX_ADDRESS,
    MAX_DESCRIPTION,
    MAX_ITEMS,
    MAX_NAME,
    MAX_PRICE,
    MAX_PRODUCT_ID,
    MAX_QUANTITY,
    MAX_REASON,
    AddOrderItem,
    CancelOrder,
    CreateOrder,
    Order,
    OrderAlreadyCancelled,
    OrderAlreadyExists,
    OrderAlreadyShipped,
    OrderCancelled,
    OrderCommand,
    OrderCreated,
    OrderEvent,
    OrderItem,
    OrderItemAdded,
    OrderNotFound,
    OrderRejected,
    OrderShipped,
    ShipOrder,
    Status,
    orders,
)

ORDER, CUSTOMER = UUID(int=1), UUID(int=2)
TEA = OrderItem("tea", 2, Decimal("3.50"), "Green tea")
CREATE = CreateOrder(ORDER, CUSTOMER, "Ada", (TEA,), "12 St James's Square")
ADD = AddOrderItem(ORDER, "milk", 1, Decimal("0.99"))
SHIP = ShipOrder(ORDER)
CANCEL = CancelOrder(ORDER, "changed my mind")
CREATED = OrderCreated(ORDER, CUSTOMER, "Ada", (TEA,), "12 St James's Square")
ADDED = OrderItemAdded(ORDER, CUSTOMER, OrderItem("milk", 1, Decimal("0.99")))
SHIPPED = OrderShipped(ORDER, CUSTOMER)
CANCELLED = OrderCancelled(ORDER, CUSTOMER, "changed my mind")


spec = DeciderSpec(orders)


@pytest.mark.parametrize(
    ("history", "command", "events"),
    [
        ([], CREATE, [CREATED]),
        ([CREATED], ADD, [ADDED]),
        ([CREATED], SHIP, [SHIPPED]),
        ([CREATED, ADDED], SHIP, [SHIPPED]),
        ([CREATED], CANCEL, [CANCELLED]),
        ([CREATED], CancelOrder(ORDER), [replace(CANCELLED, reason="")]),
    ],
)
def test_an_open_order_does_what_it_is_told(
    history: list[OrderEvent], command: OrderCommand, events: list[OrderEvent]
) -> None:
    spec.given(*history).when(command).then(*events)


@pytest.mark.parametrize(
    ("history", "command"),
    [([CREATED, SHIPPED], SHIP), ([CREATED, CANCELLED], CancelOrder(ORDER, "another reason"))],
)
def test_what_is_already_so_is_no_events(history: list[OrderEvent], command: OrderCommand) -> None:
    spec.given(*history).when(command).then_nothing()


@pytest.mark.parametrize(
    ("history", "command", "refusal"),
    [
        ([CREATED], CREATE, OrderAlreadyExists),
        ([CREATED, SHIPPED], CREATE, OrderAlreadyExists),
        ([CREATED, CANCELLED], CREATE, OrderAlreadyExists),
        ([], ADD, OrderNotFound),
        ([], SHIP, OrderNotFound),
        ([], CANCEL, OrderNotFound),
        ([CREATED, SHIPPED], ADD, OrderAlreadyShipped),
        ([CREATED, SHIPPED], CANCEL, OrderAlreadyShipped),
        ([CREATED, CANCELLED], ADD, OrderAlreadyCancelled),
        ([CREATED, CANCELLED], SHIP, OrderAlreadyCancelled),
    ],
)
def test_what_may_not_happen_is_refused_and_names_the_order(
    history: list[OrderEvent], command: OrderCommand, refusal: type[OrderRejected]
) -> None:
    refused = spec.given(*history).when(command).then_rejected(refusal, match=str(ORDER))
    assert refused.order_id == ORDER


BAD_ITEMS = [
    ("quantity", 0),
    ("quantity", -1),
    ("quantity", MAX_QUANTITY + 1),
    ("unit_price", Decimal("-0.01")),
    ("unit_price", Decimal("-0")),
    ("unit_price", Decimal("1.001")),
    ("unit_price", Decimal("1.500")),
    ("unit_price", Decimal("1E-999999")),
    ("unit_price", MAX_PRICE + Decimal("0.01")),
    ("unit_price", Decimal("1E+999999")),
    ("unit_price", Decimal("NaN")),
    ("unit_price", Decimal("sNaN")),
    ("unit_price", Decimal("Infinity")),
    ("unit_price", Decimal("-Infinity")),
    ("product_id", ""),
    ("product_id", " \t"),
    ("product_id", "x" * (MAX_PRODUCT_ID + 1)),
    ("description", "x" * (MAX_DESCRIPTION + 1)),
]


@pytest.mark.parametrize(("field", "value"), BAD_ITEMS)
def test_an_item_that_cannot_be_is_refused_and_named(field: str, value: object) -> None:
    bad = replace(TEA, **{field: value})
    create, add = replace(CREATE, items=(TEA, bad)), replace(ADD, **{field: value})
    assert spec.given().when(create).then_rejected(InvalidInput).field == f"items.1.{field}"
    assert spec.given(CREATED).when(add).then_rejected(InvalidInput).field == field


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("items", ()),
        ("items", (TEA,) * (MAX_ITEMS + 1)),
        ("customer_name", " "),
        ("customer_name", "x" * (MAX_NAME + 1)),
        ("shipping_address", ""),
        ("shipping_address", "x" * (MAX_ADDRESS + 1)),
    ],
)
def test_an_order_that_cannot_be_is_refused_and_named(field: str, value: object) -> None:
    create = replace(CREATE, **{field: value})
    assert spec.given().when(create).then_rejected(InvalidInput).field == field


def test_a_reason_has_a_limit() -> None:
    cancel = CancelOrder(ORDER, "x" * (MAX_REASON + 1))
    refused = spec.given(CREATED).when(cancel).then_rejected(LimitExceeded)
    assert (refused.field, refused.limit) == ("reason", MAX_REASON)


def test_an_order_has_a_greatest_number_of_items_however_they_came() -> None:
    full = replace(CREATED, items=(TEA,) * (MAX_ITEMS - 1))
    spec.given(full).when(ADD).then(ADDED)
    spec.given(full, ADDED).when(ADD).then_rejected(LimitExceeded)


@pytest.mark.parametrize(
    ("price", "recorded"),
    [("0", "0.00"), ("2", "2.00"), ("2.5", "2.50"), ("1E+3", "1000.00"), ("1000000", "1000000.00")],
)
def test_a_price_is_recorded_in_cents(price: str, recorded: str) -> None:
    [event] = spec.given(CREATED).when(replace(ADD, unit_price=Decimal(price))).events
    assert isinstance(event, OrderItemAdded)
    assert str(event.item.unit_price) == recorded


def test_amounts_are_exact_at_their_largest() -> None:
    assert OrderItem("x", MAX_QUANTITY, Decimal("999999.99")).amount == Decimal("999999990000.00")


def test_the_state_follows_from_the_events() -> None:
    assert orders.fold([]) == Order()
    assert orders.fold([CREATED, ADDED]) == Order(Status.OPEN, CUSTOMER, 2)
    assert orders.fold([CREATED, SHIPPED]) == Order(Status.SHIPPED, CUSTOMER, 1)
    assert orders.fold([CREATED, ADDED, CANCELLED]) == Order(Status.CANCELLED, CUSTOMER, 2)
