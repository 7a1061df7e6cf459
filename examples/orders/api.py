"""The HTTP API of the order service: each route reads a request into a command or a query."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, Literal
from uuid import UUID

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from diptych import Answer, Application, Page
from diptych.web import (
    Document,
    Edge,
    Problems,
    add_health_routes,
    from_body,
    from_parameters,
    lifespan,
)
from examples.orders.customers import Customer, CustomerNotFound, GetCustomer
from examples.orders.order import (
    AddOrderItem,
    CancelOrder,
    CreateOrder,
    OrderItem,
    OrderNotFound,
    ShipOrder,
    Status,
)
from examples.orders.summaries import GetCustomerOrders, GetOrder, OrderSummary, SearchOrders

ORDERS: Final = "/orders"
SEARCH: Final = "/orders/search"
ORDER: Final = "/orders/{order_id}"
ITEMS: Final = "/orders/{order_id}/items"
SHIP: Final = "/orders/{order_id}/ship"
CUSTOMER: Final = "/customers/{customer_id}"
CUSTOMER_ORDERS: Final = "/customers/{customer_id}/orders"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrder:
    """What a client sends to create an order. It may choose the id."""

    customer_id: UUID
    customer_name: str
    items: tuple[OrderItem, ...]
    shipping_address: str
    order_id: UUID | None = None

    def command(self, new_id: UUID) -> CreateOrder:
        return CreateOrder(
            self.order_id or new_id,
            self.customer_id,
            self.customer_name,
            self.items,
            self.shipping_address,
        )


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


@dataclass(frozen=True, slots=True)
class OrderPage:
    """`next_cursor`, sent as `cursor`, gets the page after this one; null on the last."""

    items: list[OrderView]
    total: int
    page: int
    page_size: int
    total_pages: int
    next_cursor: str | None


def create_api(app: Application, *, wait: timedelta = timedelta(seconds=2)) -> FastAPI:
    """The service's routes; `wait` is how long a read may wait for the write that it is to see."""
    edge = Edge(app, problems=Problems({OrderNotFound: 404, CustomerNotFound: 404}), wait=wait)
    document = Document()
    api = FastAPI(
        title="Orders",
        description="The reference order service of Diptych.",
        lifespan=lifespan(app),
        docs_url=None,  # they would load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    _add_queries(api, edge, document)
    _add_commands(api, edge, document)
    add_health_routes(api, app)
    edge.install(api)
    document.install(api)
    return api


def _add_commands(api: FastAPI, edge: Edge, document: Document) -> None:
    @api.post(ORDERS, **document.command(ORDERS, NewOrder, Created, status=201, problems=[409]))
    async def create_order(request: Request) -> Response:
        command = (await from_body(request, NewOrder)).command(edge.new_id(request))
        order_id = command.order_id
        location = f"/orders/{order_id}"
        return await edge.dispatch(
            request, command, Created(order_id), status=201, location=location
        )

    @api.post(ITEMS, **document.command(ITEMS, AddOrderItem, Done, problems=[404, 409, 412]))
    async def add_order_item(request: Request) -> Response:
        command = await from_body(request, AddOrderItem)
        return await edge.dispatch(request, command, Done("item_added"))

    @api.post(SHIP, **document.command(SHIP, ShipOrder, Done, problems=[404, 409, 412]))
    async def ship_order(request: Request) -> Response:
        command = await from_body(request, ShipOrder)
        return await edge.dispatch(request, command, Done("shipped"))

    @api.delete(ORDER, **document.deletion(ORDER, CancelOrder, Done, problems=[404, 409, 412]))
    async def cancel_order(request: Request) -> Response:
        command = await from_parameters(request, CancelOrder)
        return await edge.dispatch(request, command, Done("cancelled"))


def _add_queries(api: FastAPI, edge: Edge, document: Document) -> None:
    # Before any /orders/{order_id}, which would take "search" for an order
    @api.get(SEARCH, **document.query(SEARCH, SearchOrders, OrderPage))
    async def search_orders(request: Request) -> Response:
        answer = await edge.ask(request, await from_parameters(request, SearchOrders))
        return _page(edge, answer)

    @api.get(ORDER, **document.query(ORDER, GetOrder, OrderView, problems=[404]))
    async def get_order(request: Request) -> Response:
        query = await from_parameters(request, GetOrder)
        answer = await edge.ask(request, query)
        if answer.value is None:
            raise OrderNotFound(query.order_id)
        return edge.answer(answer, _shown(answer.value), version=answer.value.version)

    @api.get(CUSTOMER, **document.query(CUSTOMER, GetCustomer, Customer, problems=[404]))
    async def get_customer(request: Request) -> Response:
        query = await from_parameters(request, GetCustomer)
        answer = await edge.ask(request, query)
        if answer.value is None:
            raise CustomerNotFound(query.customer_id)
        return edge.answer(answer, answer.value)

    @api.get(CUSTOMER_ORDERS, **document.query(CUSTOMER_ORDERS, GetCustomerOrders, OrderPage))
    async def get_customer_orders(request: Request) -> Response:
        answer = await edge.ask(request, await from_parameters(request, GetCustomerOrders))
        return _page(edge, answer)


def _page(edge: Edge, answer: Answer[Page[OrderSummary]]) -> Response:
    page = answer.value
    items = [_shown(row) for row in page.items]
    body = OrderPage(
        items, page.total, page.page, page.page_size, page.total_pages, page.next_cursor
    )
    return edge.answer(answer, body)


def _shown(row: OrderSummary) -> OrderView:
    return OrderView(
        row.order_id,
        row.customer_id,
        row.customer_name,
        row.status,
        row.total_amount,
        row.item_count,
        row.created_at,
        row.shipped_at,
    )
