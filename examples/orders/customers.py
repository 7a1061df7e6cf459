"""The view of customers, over the rows of their orders, and its query."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from diptych import Query, Rejected, Rows, View
from examples.orders.order import Status
from examples.orders.summaries import OrderSummary, summaries

_NOTHING: Final = Decimal()


class Customer(Struct, frozen=True):
    """`customer_name` is the one on the last order. Cancelled orders count, but cost nothing.

    `total_spent` has no `Places`: there is a most that an order can cost, but not a customer.
    """

    customer_id: UUID
    customer_name: str
    number_of_orders: int
    open_orders: int
    total_spent: Decimal
    last_order_id: UUID
    last_order_at: datetime


def project(
    row: Customer | None, before: OrderSummary | None, after: OrderSummary | None
) -> Customer | None:
    if after is None:  # an order's summary is never deleted
        return row
    if row is None or before is None:
        row = _ordered(row, after)
    (was_open, spent), (is_open, spends) = _counted(before), _counted(after)
    return replace(
        row,
        open_orders=row.open_orders - was_open + is_open,
        total_spent=row.total_spent - spent + spends,
    )


def _ordered(row: Customer | None, order: OrderSummary) -> Customer:
    return Customer(
        customer_id=order.customer_id,
        customer_name=order.customer_name,
        number_of_orders=row.number_of_orders + 1 if row else 1,
        open_orders=row.open_orders if row else 0,
        total_spent=row.total_spent if row else _NOTHING,
        last_order_id=order.order_id,
        last_order_at=order.created_at,
    )


def _counted(order: OrderSummary | None) -> tuple[bool, Decimal]:
    """Whether it is open, and what it costs."""
    if order is None or order.status is Status.CANCELLED:
        return False, _NOTHING
    return order.status is Status.OPEN, order.total_amount


customers = View(
    "customers",
    source=summaries,
    row=Customer,
    key="customer_id",
    project=project,
    max_lag=timedelta(seconds=2),
)


class CustomerNotFound(Rejected):
    """Nobody with this id has ordered anything."""

    def __init__(self, customer_id: UUID) -> None:
        super().__init__(f"there is no such customer: {customer_id}")
        self.customer_id = customer_id


@dataclass(frozen=True, slots=True)
class GetCustomer(Query[Customer | None]):
    customer_id: UUID


async def get_customer(query: GetCustomer, rows: Rows) -> Customer | None:
    return await rows.get(customers, query.customer_id)
