"""Every row of the order service's API, over HTTP on SQLite."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.acceptance.conftest import ADA, TEA, Service, new_order, problem_of, unknown_id


async def test_an_order_is_created_and_can_be_seen(client: httpx.AsyncClient) -> None:
    answer = await client.post("/orders", json=new_order())
    assert answer.status_code == 201
    assert list(answer.json()) == ["order_id"]
    order_id = answer.json()["order_id"]
    assert answer.headers["location"] == f"/orders/{order_id}"
    assert answer.headers["etag"] == '"1"'
    seen = (await client.get(answer.headers["location"])).json()
    created_at = datetime.fromisoformat(seen.pop("created_at"))
    assert datetime.now(UTC) - created_at < timedelta(minutes=1)
    assert seen == {
        "order_id": order_id,
        "customer_id": str(ADA),
        "customer_name": "Ada Lovelace",
        "status": "open",
        "total_amount": "7.00",
        "item_count": 1,
        "shipped_at": None,
    }


async def test_a_client_may_choose_the_id_of_its_order(client: httpx.AsyncClient) -> None:
    order_id = unknown_id()
    answer = await client.post("/orders", json=new_order(order_id=order_id))
    assert answer.json() == {"order_id": order_id}


async def test_an_id_that_is_taken_is_refused(service: Service) -> None:
    order_id = await service.create()
    answer = await service.client.post("/orders", json=new_order(order_id=order_id))
    assert (answer.status_code, problem_of(answer)) == (409, "order-already-exists")


async def test_an_item_is_added(service: Service) -> None:
    order_id = await service.create()
    item = {"product_id": "milk", "quantity": 3, "unit_price": "0.33", "description": "Oat"}
    answer = await service.client.post(f"/orders/{order_id}/items", json=item)
    assert (answer.status_code, answer.json()) == (200, {"status": "item_added"})
    assert answer.headers["etag"] == '"2"'
    seen = (await service.client.get(f"/orders/{order_id}")).json()
    assert (seen["total_amount"], seen["item_count"]) == ("7.99", 2)


async def test_an_order_is_shipped(service: Service) -> None:
    order_id = await service.create()
    answer = await service.client.post(f"/orders/{order_id}/ship")
    assert (answer.status_code, answer.json()) == (200, {"status": "shipped"})
    seen = (await service.client.get(f"/orders/{order_id}")).json()
    assert seen["status"] == "shipped"
    assert datetime.fromisoformat(seen["shipped_at"]) >= datetime.fromisoformat(seen["created_at"])


async def test_an_order_is_cancelled(service: Service) -> None:
    order_id = await service.create()
    answer = await service.client.delete(f"/orders/{order_id}", params={"reason": "too late"})
    assert (answer.status_code, answer.json()) == (200, {"status": "cancelled"})
    seen = (await service.client.get(f"/orders/{order_id}")).json()
    assert (seen["status"], seen["shipped_at"]) == ("cancelled", None)


async def test_an_order_is_cancelled_without_a_reason(service: Service) -> None:
    order_id = await service.create()
    assert (await service.client.delete(f"/orders/{order_id}")).status_code == 200


@pytest.mark.parametrize("act", ["ship", "cancel"])
async def test_what_is_already_so_is_fine_and_writes_nothing(service: Service, act: str) -> None:
    order_id = await service.create()
    first = await _act(service, act, order_id)
    head = await service.head()
    again = await _act(service, act, order_id)
    assert (again.status_code, again.json()) == (200, first.json())
    assert again.headers["etag"] == first.headers["etag"] == '"2"'
    assert await service.head() == head


@pytest.mark.parametrize(
    ("before", "act", "code"),
    [
        ("ship", "cancel", "order-already-shipped"),
        ("ship", "add", "order-already-shipped"),
        ("cancel", "ship", "order-already-cancelled"),
        ("cancel", "add", "order-already-cancelled"),
    ],
)
async def test_a_closed_order_refuses_what_does_not_fit(
    service: Service, before: str, act: str, code: str
) -> None:
    order_id = await service.create()
    await _act(service, before, order_id)
    head = await service.head()
    answer = await _act(service, act, order_id)
    assert (answer.status_code, problem_of(answer)) == (409, code)
    assert order_id in answer.json()["detail"]
    assert await service.head() == head


@pytest.mark.parametrize("act", ["ship", "cancel", "add", "get"])
async def test_an_order_that_is_not_there_is_not_found(service: Service, act: str) -> None:
    answer = await _act(service, act, unknown_id())
    assert (answer.status_code, problem_of(answer)) == (404, "order-not-found")
    assert await service.head() == 0


async def test_a_product_that_is_not_in_stock_is_named(service: Service) -> None:
    sold_out = {**TEA, "product_id": "sold-out"}
    answer = await service.client.post("/orders", json=new_order(items=[TEA, sold_out]))
    assert (answer.status_code, problem_of(answer)) == (409, "out-of-stock")
    assert "sold-out" in answer.json()["detail"]
    order_id = await service.create()
    answer = await service.client.post(f"/orders/{order_id}/items", json=sold_out)
    assert (answer.status_code, problem_of(answer)) == (409, "out-of-stock")
    assert await service.head() == 1


async def test_an_order_of_the_most_items_is_accepted_in_one_request(service: Service) -> None:
    item = {**TEA, "quantity": 1_000_000, "unit_price": "999999.99"}
    order_id = await service.create(items=[item] * 2_000)
    seen = (await service.client.get(f"/orders/{order_id}")).json()
    assert (seen["total_amount"], seen["item_count"]) == ("1999999980000000.00", 2_000)


async def test_a_customer_is_counted_from_all_orders(service: Service) -> None:
    orders = [await service.create(customer_name=name) for name in ("Ada", "Ada L.", "Ada Lo.")]
    await _act(service, "ship", orders[0])
    await _act(service, "cancel", orders[1])
    seen = (await service.client.get(f"/customers/{ADA}")).json()
    assert UUID(seen.pop("last_order_id")) == UUID(orders[2])
    last = (await service.client.get(f"/orders/{orders[2]}")).json()
    assert seen.pop("last_order_at") == last["created_at"]
    assert seen == {
        "customer_id": str(ADA),
        "customer_name": "Ada Lo.",
        "number_of_orders": 3,
        "open_orders": 1,
        "total_spent": "14.00",
    }


async def test_a_customer_who_never_ordered_is_not_found(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"/customers/{unknown_id()}")
    assert (answer.status_code, problem_of(answer)) == (404, "customer-not-found")


async def test_a_customer_who_never_ordered_has_an_empty_list(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"/customers/{unknown_id()}/orders")
    assert answer.status_code == 200
    assert (answer.json()["items"], answer.json()["total"]) == ([], 0)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/page", 404, "not-found"),
        ("GET", "/orders/x/y/z", 404, "not-found"),
        ("GET", "/docs", 404, "not-found"),
        ("GET", "/orders/", 404, "not-found"),
        ("PUT", "/orders", 405, "method-not-allowed"),
        ("PATCH", "/orders/x", 405, "method-not-allowed"),
        ("POST", "/orders/search", 405, "method-not-allowed"),
    ],
)
async def test_other_paths_and_methods_are_problems_too(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    answer = await client.request(method, path)
    assert (answer.status_code, problem_of(answer)) == (status, code)
    assert status != 405 or answer.headers["allow"]


async def test_a_wrong_method_is_told_which_are_right(client: httpx.AsyncClient) -> None:
    assert (await client.put(f"/orders/{unknown_id()}")).headers["allow"] == "DELETE, GET"
    assert (await client.delete("/orders")).headers["allow"] == "POST"
    assert (await client.put("/orders/search")).headers["allow"] == "GET"


async def test_a_method_override_is_not_listened_to(service: Service) -> None:
    order_id = await service.create()
    headers = {"X-HTTP-Method-Override": "DELETE"}
    assert (await service.client.get(f"/orders/{order_id}", headers=headers)).status_code == 200
    seen = (await service.client.get(f"/orders/{order_id}")).json()
    assert seen["status"] == "open"


async def test_a_bug_is_answered_without_a_word_about_it(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(service.stock, "available", None)
    answer = await service.client.post("/orders", json=new_order())
    assert (answer.status_code, problem_of(answer)) == (500, "internal-error")
    assert "NoneType" not in answer.text
    assert "NoneType" in caplog.text
    assert answer.json()["instance"].removeprefix("urn:uuid:") in caplog.text
    assert answer.headers["diptych-token"]
    assert await service.head() == 0


async def test_a_closed_log_is_a_problem_of_the_service(service: Service) -> None:
    await service.app.close()
    answer = await service.client.post("/orders", json=new_order())
    assert (answer.status_code, problem_of(answer)) == (503, "store-closed")


async def test_it_is_alive_and_gets_ready(client: httpx.AsyncClient) -> None:
    assert (await client.get("/livez")).status_code == 200
    answer = await client.get("/readyz")
    while answer.status_code == 503:
        assert problem_of(answer) == "not-ready"
        answer = await client.get("/readyz")
    assert answer.status_code == 200


async def _act(service: Service, act: str, order_id: str) -> httpx.Response:
    path = f"/orders/{order_id}"
    requests: dict[str, tuple[str, str, dict[str, Any]]] = {
        "ship": ("POST", f"{path}/ship", {}),
        "cancel": ("DELETE", path, {"params": {"reason": "changed my mind"}}),
        "add": ("POST", f"{path}/items", {"json": TEA}),
        "get": ("GET", path, {}),
    }
    method, url, options = requests[act]
    return await service.client.request(method, url, **options)
