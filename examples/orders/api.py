"""The HTTP API of the order service: which request is which command or query."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, Literal
from uuid import UUID

from fastapi import FastAPI

from diptych import Application, Outcome
from diptych.web import add_health_routes, command_route, live_route, mount, query_route
from examples.orders.customers import CustomerNotFound, GetCustomer
from examples.orders.order import (
    AddOrderItem,
    CancelOrder,
    CreateOrder,
    OrderNotFound,
    ShipOrder,
    Status,
)
from examples.orders.page_files import add_page
from examples.orders.settings import LOCAL
from examples.orders.summaries import GetCustomerOrders, GetOrder, SearchOrders


@dataclass(frozen=True, slots=True)
class Created:
    order_id: UUID


@dataclass(frozen=True, slots=True)
class Done:
    status: Literal["item_added", "shipped", "cancelled"]


@dataclass(frozen=True, slots=True)
class OrderView:
    """What clients see of an order."""

    order_id: UUID
    customer_id: UUID
    customer_name: str
    status: Status
    total_amount: Decimal
    item_count: int
    created_at: datetime
    shipped_at: datetime | None


def created(command: CreateOrder, _: Outcome) -> Created:
    return Created(command.order_id)


def order_not_found(query: GetOrder) -> OrderNotFound:
    return OrderNotFound(query.order_id)


def customer_not_found(query: GetCustomer) -> CustomerNotFound:
    return CustomerNotFound(query.customer_id)


ORDER: Final = "/orders/{order_id}"
ROUTES: Final = [
    # A client may choose the id of an order
    command_route("POST /orders", CreateOrder, new_id="order_id", location=ORDER, answer=created),
    command_route(f"POST {ORDER}/items", AddOrderItem, answer=Done("item_added")),
    command_route(f"POST {ORDER}/ship", ShipOrder, answer=Done("shipped")),
    command_route(f"DELETE {ORDER}", CancelOrder, answer=Done("cancelled")),
    query_route(
        f"GET {ORDER}", GetOrder, show=OrderView, version="version", missing=order_not_found
    ),
    query_route("GET /orders/search", SearchOrders, show=OrderView),
    query_route("GET /customers/{customer_id}", GetCustomer, missing=customer_not_found),
    query_route("GET /customers/{customer_id}/orders", GetCustomerOrders, show=OrderView),
    # The same again whenever it changes, as server-sent events
    live_route(f"GET {ORDER}/events", GetOrder, show=OrderView, missing=order_not_found),
    live_route("GET /orders/search/events", SearchOrders, show=OrderView),
    live_route("GET /customers/{customer_id}/events", GetCustomer, missing=customer_not_found),
    live_route("GET /customers/{customer_id}/orders/events", GetCustomerOrders, show=OrderView),
]


def create_api(
    app: Application, *, hosts: Sequence[str] = LOCAL, wait: timedelta = timedelta(seconds=2)
) -> FastAPI:
    """The service's routes. `hosts` are the names that requests may be for, `wait` is how long a
    read may wait for the write that it is to see.
    """
    api = FastAPI(
        title="Orders",
        description="The reference order service of Diptych.",
        docs_url=None,  # they would load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    mount(
        api,
        app,
        routes=ROUTES,
        problems={OrderNotFound: 404, CustomerNotFound: 404},
        hosts=hosts,
        wait=wait,
        cookie=True,  # so that a browser reads its own writes
        whole_app=True,
    )
    add_page(api)
    add_health_routes(api, app)
    return api
