"""The whole write model of an order: commands, events, state, `decide` and `evolve`.

Plain Python: nothing here knows a database, a clock or a web server.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum
from typing import Annotated, Final, assert_never
from uuid import UUID

from diptych import Decider, Events, InvalidInput, LimitExceeded, Rejected, Shown

MAX_ITEMS: Final = 2_000
MAX_QUANTITY: Final = 1_000_000
MAX_PRICE: Final = Decimal(1_000_000)
MAX_NAME: Final = 200
MAX_ADDRESS: Final = 500
MAX_REASON: Final = 500
MAX_PRODUCT_ID: Final = 64
MAX_DESCRIPTION: Final = 200

_CENT: Final = Decimal("0.01")
_NOBODY: Final = UUID(int=0)


# What OpenAPI says of values; `decide` holds commands to it
ProductId = Annotated[str, Shown(max_length=MAX_PRODUCT_ID, pattern=r"\S")]
Description = Annotated[str, Shown(max_length=MAX_DESCRIPTION)]
Quantity = Annotated[int, Shown(minimum=1, maximum=MAX_QUANTITY)]
Price = Annotated[
    Decimal, Shown(pattern=r"^(0*[0-9]{1,6}(\.[0-9]{1,2})?|0*1000000(\.00?)?)(?!\n)$")
]


class Status(Enum):
    OPEN = "open"
    SHIPPED = "shipped"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class OrderItem:
    product_id: ProductId
    quantity: Quantity
    unit_price: Price
    description: Description = ""

    @property
    def amount(self) -> Decimal:
        return self.quantity * self.unit_price


# Commands: what somebody wants


@dataclass(frozen=True, slots=True)
class CreateOrder:
    order_id: UUID
    customer_id: UUID
    customer_name: Annotated[str, Shown(max_length=MAX_NAME, pattern=r"\S")]
    items: Annotated[tuple[OrderItem, ...], Shown(min_items=1, max_items=MAX_ITEMS)]
    shipping_address: Annotated[str, Shown(max_length=MAX_ADDRESS, pattern=r"\S")]


@dataclass(frozen=True, slots=True)
class AddOrderItem:
    order_id: UUID
    product_id: ProductId
    quantity: Quantity
    unit_price: Price
    description: Description = ""

    @property
    def item(self) -> OrderItem:
        return OrderItem(self.product_id, self.quantity, self.unit_price, self.description)


@dataclass(frozen=True, slots=True)
class ShipOrder:
    order_id: UUID


@dataclass(frozen=True, slots=True)
class CancelOrder:
    order_id: UUID
    reason: Annotated[str, Shown(max_length=MAX_REASON)] = ""


OrderCommand = CreateOrder | AddOrderItem | ShipOrder | CancelOrder


# Events: what happened. Each carries the customer too, so that views may be keyed by either


@dataclass(frozen=True, slots=True)
class OrderCreated:
    order_id: UUID
    customer_id: UUID
    customer_name: str
    items: tuple[OrderItem, ...]
    shipping_address: str


@dataclass(frozen=True, slots=True)
class OrderItemAdded:
    order_id: UUID
    customer_id: UUID
    item: OrderItem


@dataclass(frozen=True, slots=True)
class OrderShipped:
    order_id: UUID
    customer_id: UUID


@dataclass(frozen=True, slots=True)
class OrderCancelled:
    order_id: UUID
    customer_id: UUID
    reason: str


OrderEvent = OrderCreated | OrderItemAdded | OrderShipped | OrderCancelled

order_events = Events("order", OrderCreated, OrderItemAdded, OrderShipped, OrderCancelled)


# Refusals: what may not happen. A value that cannot be accepted at all is an `InvalidInput`


class OrderRejected(Rejected):
    """A rule of the order forbids the command."""

    problem = "the order is refused"

    def __init__(self, order_id: UUID) -> None:
        super().__init__(f"{self.problem}: {order_id}")
        self.order_id = order_id


class OrderNotFound(OrderRejected):
    problem = "there is no such order"


class OrderAlreadyExists(OrderRejected):
    problem = "there is an order with this id already"


class OrderAlreadyShipped(OrderRejected):
    problem = "the order has been shipped"


class OrderAlreadyCancelled(OrderRejected):
    problem = "the order has been cancelled"


# State: what `decide` needs to remember, and no more


@dataclass(frozen=True, slots=True)
class Order:
    """An order that does not exist yet has no status."""

    status: Status | None = None
    customer_id: UUID = _NOBODY
    item_count: int = 0


def decide(command: OrderCommand, order: Order) -> Sequence[OrderEvent]:
    match command:
        case CreateOrder():
            return _create(command, order)
        case AddOrderItem(order_id=order_id):
            _require_open(order_id, order)
            if order.item_count >= MAX_ITEMS:
                raise LimitExceeded("items", limit=MAX_ITEMS, unit="items an order")
            return [OrderItemAdded(order_id, order.customer_id, _checked(command.item))]
        case ShipOrder(order_id=order_id):
            if order.status is Status.SHIPPED:
                return []
            _require_open(order_id, order)
            return [OrderShipped(order_id, order.customer_id)]
        case CancelOrder(order_id=order_id, reason=reason):
            _require_text("reason", reason, MAX_REASON, blank=True)
            if order.status is Status.CANCELLED:
                return []
            _require_open(order_id, order)
            return [OrderCancelled(order_id, order.customer_id, reason)]
        case _:
            assert_never(command)


def evolve(order: Order, event: OrderEvent) -> Order:
    match event:
        case OrderCreated():
            return Order(Status.OPEN, event.customer_id, len(event.items))
        case OrderItemAdded():
            return replace(order, item_count=order.item_count + 1)
        case OrderShipped():
            return replace(order, status=Status.SHIPPED)
        case OrderCancelled():
            return replace(order, status=Status.CANCELLED)
        case _:
            assert_never(event)


def _create(command: CreateOrder, order: Order) -> Sequence[OrderEvent]:
    if order.status is not None:
        raise OrderAlreadyExists(command.order_id)
    _require_text("customer_name", command.customer_name, MAX_NAME)
    _require_text("shipping_address", command.shipping_address, MAX_ADDRESS)
    if not command.items:
        raise InvalidInput("items", "an order needs at least one item")
    if len(command.items) > MAX_ITEMS:
        raise LimitExceeded("items", limit=MAX_ITEMS, unit="items an order")
    items = tuple(_checked(item, f"items.{at}.") for at, item in enumerate(command.items))
    return [
        OrderCreated(
            command.order_id,
            command.customer_id,
            command.customer_name,
            items,
            command.shipping_address,
        )
    ]


def _require_open(order_id: UUID, order: Order) -> None:
    match order.status:
        case None:
            raise OrderNotFound(order_id)
        case Status.SHIPPED:
            raise OrderAlreadyShipped(order_id)
        case Status.CANCELLED:
            raise OrderAlreadyCancelled(order_id)
        case Status.OPEN:
            return


def _checked(item: OrderItem, path: str = "") -> OrderItem:
    """The item with its price in cents; `path` is where the command has it."""
    _require_text(f"{path}product_id", item.product_id, MAX_PRODUCT_ID)
    _require_text(f"{path}description", item.description, MAX_DESCRIPTION, blank=True)
    if item.quantity < 1:
        raise InvalidInput(f"{path}quantity", "must be at least 1")
    if item.quantity > MAX_QUANTITY:
        raise LimitExceeded(f"{path}quantity", limit=MAX_QUANTITY, unit="pieces")
    return replace(item, unit_price=_checked_price(f"{path}unit_price", item.unit_price))


def _checked_price(field: str, price: Decimal) -> Decimal:
    """Money is exact: a price is never rounded, so more than two decimals are refused."""
    exponent = price.as_tuple().exponent
    if isinstance(exponent, str) or price.is_signed():  # a letter stands for infinity or NaN
        raise InvalidInput(field, "must be an amount of 0 or more")
    if price > MAX_PRICE:
        raise LimitExceeded(field, limit=int(MAX_PRICE), unit="an item")
    if exponent < -2:
        raise InvalidInput(field, "must have at most 2 decimals")
    return price.quantize(_CENT)


def _require_text(field: str, text: str, limit: int, *, blank: bool = False) -> None:
    if not blank and not text.strip():
        raise InvalidInput(field, "must not be blank")
    if len(text) > limit:
        raise LimitExceeded(field, limit=limit, unit="characters")


orders = Decider(order_events, key="order_id", initial=Order, decide=decide, evolve=evolve)
