"""The view of customers, folded from the events of all of their orders, and its query."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never
from uuid import UUID

from diptych import Query, RecordedEvent, Rejected, Rows, View
from examples.orders.order import (
    OrderCancelled,
    OrderCreated,
    OrderEvent,
    OrderItemAdded,
    OrderShipped,
    order_events,
)


@dataclass(frozen=True, slots=True)
class Customer:
    """`customer_name` is the one on the last order."""

    customer_id: UUID
    customer_name: str
    number_of_orders: int
    open_orders: int
    last_order_id: UUID
    last_order_at: datetime


def project(row: Customer | None, event: OrderEvent, recorded: RecordedEvent) -> Customer | None:
    match event:
        case OrderCreated():
            return _ordered(row, event, recorded)
        case OrderShipped() | OrderCancelled():
            return row and replace(row, open_orders=row.open_orders - 1)
        case OrderItemAdded():
            return row
        case _:
            assert_never(event)


def _ordered(row: Customer | None, event: OrderCreated, recorded: RecordedEvent) -> Customer:
    return Customer(
        customer_id=event.customer_id,
        customer_name=event.customer_name,
        number_of_orders=row.number_of_orders + 1 if row else 1,
        open_orders=row.open_orders + 1 if row else 1,
        last_order_id=event.order_id,
        last_order_at=recorded.at,
    )


customers = View(
    "customers",
    events=[order_events],
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
