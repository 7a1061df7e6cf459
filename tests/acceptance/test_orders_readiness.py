"""While a view is being built the service says so, and answers nothing from half a table."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from diptych import Application
from diptych.clock import uuid7
from diptych.messages import Metadata
from diptych.store.contract import Append, Write
from diptych.testing import wait_until
from examples.orders.api import create_api
from examples.orders.app import shop
from examples.orders.order import OrderCreated, OrderItem, order_events
from tests.acceptance.conftest import ADA, TEA, Databases, client_of, make, problem_of

ORDERS = 10_000


async def fill(app: Application, orders: int = ORDERS) -> str:
    """Puts many orders into the log, as an import would; returns the last one's id."""
    item = OrderItem(TEA["product_id"], TEA["quantity"], Decimal(TEA["unit_price"]))
    ids = [uuid7() for _ in range(orders)]
    for start in range(0, orders, 500):
        writes = tuple(_write(order_id, item) for order_id in ids[start : start + 500])
        await app.log.store.append(Append(writes, metadata=Metadata().to_json()))
    return str(ids[-1])


def _write(order_id: UUID, item: OrderItem) -> Write:
    event = OrderCreated(order_id, ADA, "Ada", (item,), "London")
    return Write(f"order-{order_id}", (order_events.encode(event, event_id=uuid7()),), 0)


@pytest.fixture(params=["sqlite", "postgres", "postgres-log-sqlite-read"])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Databases:
    return make(request.param, request, tmp_path)


@pytest.fixture
async def last_order(databases: Databases) -> str:
    """A log of many orders, and no read database yet."""
    async with shop(databases.log, "sqlite://") as app:
        return await fill(app)


async def test_it_is_not_ready_before_its_views_are(databases: Databases, last_order: str) -> None:
    app = shop(databases.log, databases.read)
    async with app, client_of(create_api(app)) as client:
        answer = await client.get("/readyz")
        assert (answer.status_code, problem_of(answer)) == (503, "not-ready")
        assert answer.headers["retry-after"] == "1"
        assert answer.json()["head"] == ORDERS
        views = {view["name"]: view for view in answer.json()["views"]}
        assert views["order_summaries"]["state"] == "building"
        assert views["order_summaries"]["position"] < ORDERS

        async def ready() -> bool:
            return (await client.get("/readyz")).status_code == 200

        await wait_until(ready, timeout=60, poll=0.02)
        assert (await client.get(f"/orders/{last_order}")).status_code == 200


async def test_a_read_says_how_far_the_view_is(databases: Databases, last_order: str) -> None:
    app = shop(databases.log, databases.read)
    api = create_api(app, wait=timedelta(0))
    async with app, client_of(api) as client:
        answer = await client.get(f"/orders/{last_order}")
        assert (answer.status_code, problem_of(answer)) == (503, "view-not-ready")
        assert answer.json()["view"] == "order_summaries"
        assert answer.json()["head"] == ORDERS
