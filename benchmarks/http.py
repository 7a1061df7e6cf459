"""What does the HTTP edge cost: durable commands and reads beside a bare FastAPI app?

Each side is a process of its own that serves with `diptych.web.serve`, one uvicorn worker. The bare
app takes the same body as a pydantic model and stores nothing; it gives the same order from memory.
Ours store every command durably on SQLite before they answer. Commands run in a process that only
writes (its views are built by others, as with several workers) and, with no target, in one that
projects both views of the order service at the same time.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import Depends, FastAPI
from pydantic import BaseModel

from benchmarks.children import answer, child, itself, line
from benchmarks.harness import Bound, Question, report
from benchmarks.load import Load, load, request
from diptych import Application
from diptych.web import Caller, in_body, listen, mount, serve
from examples.orders.api import ROUTES, create_api
from examples.orders.app import shop
from examples.orders.order import CreateOrder, orders

CONNECTIONS = 32
TOTAL = 5_000
WARM_UP = 1_000
ORDER_ID = UUID("0190a5b0-7d2e-7c3f-8a11-5f0c6d7e8f90")
CUSTOMER_ID = UUID("7d444840-9dc0-41d1-b245-5ffdce74fad2")


class NewItem(BaseModel):
    product_id: str
    quantity: int
    unit_price: Decimal
    description: str = ""


class NewOrder(BaseModel):
    customer_id: UUID
    customer_name: str
    items: list[NewItem]
    shipping_address: str
    order_id: UUID | None = None


class Created(BaseModel):
    order_id: UUID


class OrderView(BaseModel):
    order_id: UUID
    customer_id: UUID
    customer_name: str
    status: str
    total_amount: Decimal
    item_count: int
    created_at: datetime
    shipped_at: datetime | None


def body(order_id: UUID | None = None) -> bytes:
    order: dict[str, object] = {
        "customer_id": str(CUSTOMER_ID),
        "customer_name": "Ada Lovelace",
        "items": [{"product_id": "tea", "quantity": 2, "unit_price": "3.50"}],
        "shipping_address": "12 St James's Square, London",
    }
    if order_id is not None:
        order["order_id"] = str(order_id)
    return json.dumps(order).encode()


def bare() -> FastAPI:
    api, now = FastAPI(), datetime.now(UTC)

    @api.post("/orders", status_code=201)
    async def create(order: NewOrder) -> Created:
        return Created(order_id=order.order_id or uuid4())

    @api.get("/orders/{order_id}")
    async def get(order_id: UUID) -> OrderView:
        return OrderView(
            order_id=order_id,
            customer_id=CUSTOMER_ID,
            customer_name="Ada Lovelace",
            status="open",
            total_amount=Decimal("7.00"),
            item_count=1,
            created_at=now,
            shipped_at=None,
        )

    return api


def mounted(app: Application) -> FastAPI:
    api = FastAPI()
    commands = [route for route in ROUTES if route.method != "GET"]
    mount(api, app, routes=commands, lifespan=False)
    return api


def own_routes(app: Application) -> FastAPI:
    """A FastAPI route with our typed dependencies. Its clients choose the ids of orders."""
    api = FastAPI()
    found = mount(api, app, lifespan=False)

    @api.post("/orders", status_code=201)
    async def create(
        command: Annotated[CreateOrder, Depends(in_body(CreateOrder))],
        caller: Annotated[Caller, Depends(found.caller)],
    ) -> Created:
        command = CreateOrder(
            uuid4(),
            command.customer_id,
            command.customer_name,
            command.items,
            command.shipping_address,
        )
        await caller.dispatch(command)
        return Created(order_id=command.order_id)

    return api


async def serve_side(side: str, folder: str) -> None:
    """A side as a process: it says `ready`, then its port, and answers until its input ends."""
    listener, stop = listen(0), asyncio.Event()

    async def until_the_end() -> None:
        await line()
        stop.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(until_the_end())
        answer("ready")
        answer(listener.getsockname()[1])
        await answering(side, folder, partial(serve, listener=listener, stop=stop))


async def answering(side: str, folder: str, run: Callable[[FastAPI], Awaitable[None]]) -> None:
    log = f"sqlite:///{folder}/log.db"
    if side == "bare":
        await run(bare())
    elif side == "service":
        async with shop(log, f"sqlite:///{folder}/read.db") as app:
            await run(create_api(app))
    else:
        async with Application(log=log, write=[orders]) as app:
            await run(mounted(app) if side == "mounted" else own_routes(app))


BUSY: list[float] = []


async def measure(folder: Path, *, side: str, sent: bytes, status: int) -> float:
    async with child(*itself("http", side, folder)) as server:
        port = int(await server.hear())
        ask = partial(load, port, connections=CONNECTIONS)
        await ask(request("POST", "/orders", body(ORDER_ID)), status=201, total=1, connections=1)
        await ask(sent, status=status, total=WARM_UP)
        found: Load = await ask(sent, status=status, total=TOTAL)
        BUSY.append(found.busy)
        return found.rate


BARE_POST, BARE_GET = "POST, bare FastAPI, nothing stored", "GET, bare FastAPI, from memory"
MOUNTED, OWN = "POST, mounted, durable", "POST, FastAPI route with Caller, durable"
SERVICE_POST, SERVICE_GET = "POST, order service, durable, projecting", "GET, order service"


async def main() -> bool:
    post = request("POST", "/orders", body())
    chosen = request("POST", "/orders", body(ORDER_ID))
    get = request("GET", f"/orders/{ORDER_ID}")
    asked = Question(
        "http",
        f"Answers a second over HTTP, {CONNECTIONS} connections, one worker",
        "answers/s",
        {
            BARE_POST: partial(measure, side="bare", sent=post, status=201),
            MOUNTED: partial(measure, side="mounted", sent=post, status=201),
            OWN: partial(measure, side="own", sent=chosen, status=201),
            SERVICE_POST: partial(measure, side="service", sent=post, status=201),
            BARE_GET: partial(measure, side="bare", sent=get, status=200),
            SERVICE_GET: partial(measure, side="service", sent=get, status=200),
        },
    )
    await asked.run()
    bounds = [
        Bound("mounted commands / bare FastAPI", asked.ratio(MOUNTED, BARE_POST), 0.9),
        Bound("commands by FastAPI routes / bare FastAPI", asked.ratio(OWN, BARE_POST), 0.55),
        Bound("GET by id / bare FastAPI", asked.ratio(SERVICE_GET, BARE_GET), 0.9),
        Bound("the load generator's share of a core", max(BUSY), 0.7, at_least=False),
    ]
    return report(asked, bounds)


if __name__ == "__main__":
    asyncio.run(serve_side(sys.argv[1], sys.argv[2]))
