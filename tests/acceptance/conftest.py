"""The order service on SQLite files, over HTTP in this process."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI

from diptych import Application
from examples.orders.api import create_api
from examples.orders.app import shop
from examples.orders.stock import Stock

ADA = UUID("7d444840-9dc0-41d1-b245-5ffdce74fad2")
TEA: dict[str, Any] = {"product_id": "tea", "quantity": 2, "unit_price": "3.50"}


@dataclass
class Service:
    """The running service, and shorthands for what most tests do with it."""

    app: Application
    api: FastAPI
    client: httpx.AsyncClient
    stock: Stock

    async def create(self, **changes: Any) -> str:
        """The id of a new order."""
        answer = await self.client.post("/orders", json=new_order(**changes))
        assert answer.status_code == 201, answer.text
        order_id: str = answer.json()["order_id"]
        return order_id

    async def head(self) -> int:
        return (await self.app.log.head()).position


def new_order(**changes: Any) -> dict[str, Any]:
    order: dict[str, Any] = {
        "customer_id": str(ADA),
        "customer_name": "Ada Lovelace",
        "items": [TEA],
        "shipping_address": "12 St James's Square, London",
    }
    return {name: value for name, value in {**order, **changes}.items() if value is not ...}


def problem_of(answer: httpx.Response) -> str:
    """The code of a problem; fails if the answer is none."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["title"]
    assert body["detail"]
    code: str = body["type"]
    assert code.startswith("urn:problem:")
    return code.removeprefix("urn:problem:")


def unknown_id() -> str:
    return str(uuid4())


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    stock = Stock({"sold-out": 0})
    log, read = f"sqlite:///{tmp_path / 'log.db'}", f"sqlite:///{tmp_path / 'read.db'}"
    app = shop(log, read, stock=stock)
    api = create_api(app)
    transport = httpx.ASGITransport(api)
    async with app, httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield Service(app, api, client, stock)


@pytest.fixture
def client(service: Service) -> httpx.AsyncClient:
    return service.client
