"""The code of the how-to on FastAPI is run, and does what the text beside it says."""

import hashlib
import hmac
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from diptych.web import mount, role
from examples.orders.app import shop
from examples.orders.order import OrderNotFound, ShipOrder
from tests.acceptance.conftest import new_order

TEXT = (Path(__file__).parents[2] / "docs/how-to/fastapi.md").read_text()
SECRET = b"not a secret"


@pytest.fixture(scope="module")
def code() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(compile(block, "fastapi.md", "exec"), found)
    return found


@pytest.fixture
def client(code: dict[str, Any]) -> Iterator[TestClient]:
    api = code["create_app"](shop("memory://", "sqlite://"), SECRET)
    with TestClient(api, base_url="http://localhost") as client:
        yield client


def by(name: str, role: str, secret: bytes = SECRET) -> dict[str, str]:
    signature = hmac.new(secret, f"{name}.{role}".encode(), hashlib.sha256).hexdigest()
    return {"Authorization": f"Bearer {name}.{role}.{signature}"}


def test_an_order_is_placed_seen_and_cancelled(client: TestClient) -> None:
    ada, clerk = by("ada", "customer"), by("carl", "clerk")
    created = client.post("/api/orders", json=new_order(), headers=ada)
    assert created.status_code == 201
    order = created.headers["location"]
    assert order.startswith("/api/orders/")
    seen = client.get(order, headers=ada)
    assert seen.json()["status"] == "open"
    demanded = client.delete(f"{order}?reason=mind", headers=clerk)
    assert demanded.status_code == 428
    match = {**clerk, "If-Match": seen.headers["etag"]}
    assert client.delete(f"{order}?reason=mind", headers=match).status_code == 204
    assert client.get(order, headers=ada).json()["status"] == "cancelled"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer ada.clerk."}, 401),
        ({"Authorization": "Bearer é"}, 401),
        (by("ada", "clerk", b"another"), 401),
        (by("ada", "customer"), 403),
        (by("carl", "clerk"), 404),
    ],
)
def test_who_may_not_is_refused(client: TestClient, headers: dict[str, str], status: int) -> None:
    path = "/api/customers/7d444840-9dc0-41d1-b245-5ffdce74fad2"
    raw = {name: value.encode() for name, value in headers.items()}
    assert client.get(path, headers=raw).status_code == status


def test_a_route_of_your_own_sees_what_it_did(code: dict[str, Any]) -> None:
    api, packer = FastAPI(), role("packer")
    mounted = mount(
        api,
        shop("memory://", "sqlite://"),
        routes=code["ROUTES"],
        identity=code["bearer"](SECRET),
        allow={ShipOrder: packer},
        problems={OrderNotFound: 404},
    )
    code["add_packing"](api, mounted)
    with TestClient(api, base_url="http://localhost") as client:
        order = client.post("/orders", json=new_order(), headers=by("ada", "customer"))
        path = f"{order.headers['location']}/pack"
        assert client.post(path, headers=by("ada", "customer")).status_code == 403
        packed = client.post(path, headers=by("pia", "packer"))
        assert (packed.status_code, packed.json()["status"]) == (200, "shipped")
        assert packed.headers["etag"] == '"2"'


def test_only_the_hosts_that_are_named_are_answered(client: TestClient) -> None:
    headers = {**by("ada", "customer"), "Host": "evil.example"}
    assert client.post("/api/orders", json=new_order(), headers=headers).status_code == 400


def test_the_pages_of_fastapi_show_the_mounted_routes(client: TestClient) -> None:
    assert client.get("/docs").status_code == 200
    document = client.get("/openapi.json").json()
    assert document["paths"]["/api/orders"]["post"]["security"] == [{"HTTPBearer": []}]
