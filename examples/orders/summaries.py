"""The view of orders: its row, its fold, and the queries that it answers."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, assert_never
from uuid import UUID

from msgspec import Meta, Struct
from msgspec.structs import replace

from diptych import Page, Places, Query, RecordedEvent, Rows, View
from examples.orders.order import (
    OrderCancelled,
    OrderCreated,
    OrderEvent,
    OrderItem,
    OrderItemAdded,
    OrderShipped,
    Status,
    order_events,
)


class OrderSummary(Struct, frozen=True):
    """`version` is that of the order's stream; `descriptions` is what the items are found by.

    A row may be a frozen dataclass too. It is made anew by each event, a Struct in a tenth of the
    time: that counts when a view is rebuilt.
    """

    order_id: UUID
    customer_id: UUID
    customer_name: str
    status: Status
    total_amount: Annotated[Decimal, Places(2)]
    item_count: int
    created_at: datetime
    shipped_at: datetime | None
    descriptions: str
    version: int


def project(
    row: OrderSummary | None, event: OrderEvent, recorded: RecordedEvent
) -> OrderSummary | None:
    match event:
        case OrderCreated():
            return _created(event, recorded)
        case OrderItemAdded(item=item):
            return row and replace(
                row,
                total_amount=row.total_amount + item.amount,
                item_count=row.item_count + 1,
                descriptions=f"{row.descriptions}\n{_described(item)}",
                version=recorded.version,
            )
        case OrderShipped():
            return row and replace(
                row, status=Status.SHIPPED, shipped_at=recorded.at, version=recorded.version
            )
        case OrderCancelled():
            return row and replace(row, status=Status.CANCELLED, version=recorded.version)
        case _:
            assert_never(event)


def _created(event: OrderCreated, recorded: RecordedEvent) -> OrderSummary:
    return OrderSummary(
        order_id=event.order_id,
        customer_id=event.customer_id,
        customer_name=event.customer_name,
        status=Status.OPEN,
        total_amount=sum((item.amount for item in event.items), Decimal()),
        item_count=len(event.items),
        created_at=recorded.at,
        shipped_at=None,
        descriptions="\n".join(map(_described, event.items)),
        version=recorded.version,
    )


def _described(item: OrderItem) -> str:
    return f"{item.product_id} {item.description}"


summaries = View(
    "order_summaries",
    events=[order_events],
    row=OrderSummary,
    key="order_id",
    project=project,
    indexes=[("customer_id", "created_at"), ("customer_id", "status", "created_at")],
    search=["customer_name", "descriptions"],
    max_lag=timedelta(seconds=2),
)


class SortBy(Enum):
    CREATED_AT = "created_at"
    TOTAL_AMOUNT = "total_amount"
    ITEM_COUNT = "item_count"
    CUSTOMER_NAME = "customer_name"


class SortOrder(Enum):
    ASCENDING = "asc"
    DESCENDING = "desc"


PageNumber = Annotated[int, Meta(ge=1)]
PageSize = Annotated[int, Meta(ge=1, le=500)]
SearchText = Annotated[str, Meta(max_length=200)]


@dataclass(frozen=True, slots=True)
class GetOrder(Query[OrderSummary | None]):
    order_id: UUID


@dataclass(frozen=True, slots=True)
class GetCustomerOrders(Query[Page[OrderSummary]]):
    """The newest first. A `cursor`, the `next_cursor` of a page, goes on after that page."""

    customer_id: UUID
    status: Status | None = None
    page: PageNumber = 1
    page_size: PageSize = 50
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class SearchOrders(Query[Page[OrderSummary]]):
    """Orders whose customer or items have words that begin with each word of `q`, or all."""

    q: SearchText | None = None
    status: Status | None = None
    customer_id: UUID | None = None
    sort_by: SortBy = SortBy.CREATED_AT
    sort_order: SortOrder = SortOrder.DESCENDING
    page: PageNumber = 1
    page_size: PageSize = 50
    cursor: str | None = None


async def get_order(query: GetOrder, rows: Rows) -> OrderSummary | None:
    return await rows.get(summaries, query.order_id)


async def get_customer_orders(query: GetCustomerOrders, rows: Rows) -> Page[OrderSummary]:
    return await rows.page(
        summaries,
        where={"customer_id": query.customer_id, "status": query.status},
        order_by="created_at",
        descending=True,
        page=query.page,
        page_size=query.page_size,
        cursor=query.cursor,
    )


async def search_orders(query: SearchOrders, rows: Rows) -> Page[OrderSummary]:
    return await rows.page(
        summaries,
        where={"customer_id": query.customer_id, "status": query.status},
        search=query.q,
        order_by=query.sort_by.value,
        descending=query.sort_order is SortOrder.DESCENDING,
        page=query.page,
        page_size=query.page_size,
        cursor=query.cursor,
    )
