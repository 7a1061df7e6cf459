"""The order service on each combination of databases, over HTTP in this process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI

from diptych import Application
from examples.orders.api import create_api
from examples.orders.app import shop
from examples.orders.stock import Stock
from tests.servers.postgres import PostgresServer

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


class Databases(NamedTuple):
    """The URLs of an empty log and an empty read database."""

    log: str
    read: str


ALL = ("memory", "sqlite", "postgres", "postgres-log-sqlite-read")


@pytest.fixture(scope="session")
def shared_database(postgres: PostgresServer) -> str:
    """A PostgreSQL database that tests share; each has schemas of its own in it."""
    return postgres.create_database()


@pytest.fixture(params=ALL)
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Databases:
    """The same test on each combination; a module that needs fewer has a fixture of this name."""
    return make(request.param, request, tmp_path)


def make(combination: str, request: pytest.FixtureRequest, folder: Path) -> Databases:
    log, read = f"sqlite:///{folder / 'log.db'}", f"sqlite:///{folder / 'read.db'}"
    match combination:
        case "memory":
            return Databases("memory://", "sqlite://")
        case "sqlite":
            return Databases(log, read)
    url, mark = request.getfixturevalue("shared_database"), uuid4().hex[:12]
    own = f"{url}?schema=log_{mark}"
    return Databases(own, f"{url}?schema=read_{mark}" if combination == "postgres" else read)


def client_of(api: FastAPI) -> httpx.AsyncClient:
    """A program, which unlike a browser keeps no cookies: what it has seen it says by a header."""
    none = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    transport = httpx.ASGITransport(api)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost", cookies=none)


@asynccontextmanager
async def serving(databases: Databases) -> AsyncIterator[Service]:
    stock = Stock({"sold-out": 0})
    app = shop(databases.log, databases.read, stock=stock)
    api = create_api(app)
    async with app, client_of(api) as client:
        yield Service(app, api, client, stock)


@pytest.fixture
async def service(databases: Databases) -> AsyncIterator[Service]:
    async with serving(databases) as running:
        yield running


@pytest.fixture
def client(service: Service) -> httpx.AsyncClient:
    return service.client
