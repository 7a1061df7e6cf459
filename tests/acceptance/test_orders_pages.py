"""Lists and searches: filters, orders, pages and cursors, over HTTP on SQLite."""

from typing import Any

import httpx
import pytest

from tests.acceptance.conftest import ADA, TEA, Service, problem_of, unknown_id


async def ids(service: Service, path: str, **parameters: Any) -> list[str]:
    return [order["order_id"] for order in (await page(service, path, **parameters))["items"]]


async def page(service: Service, path: str, **parameters: Any) -> dict[str, Any]:
    answer = await service.client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_customers_orders_come_newest_first(service: Service) -> None:
    orders = [await service.create() for _ in range(3)]
    await service.create(customer_id=unknown_id())
    found = await page(service, f"/customers/{ADA}/orders")
    assert [order["order_id"] for order in found["items"]] == orders[::-1]
    assert (found["total"], found["page"], found["page_size"], found["total_pages"]) == (
        3,
        1,
        50,
        1,
    )
    assert found["next_cursor"] is None


async def test_a_list_shows_what_the_order_itself_shows(service: Service) -> None:
    order_id = await service.create()
    [listed] = (await page(service, f"/customers/{ADA}/orders"))["items"]
    assert listed == (await service.client.get(f"/orders/{order_id}")).json()


async def test_orders_are_filtered_by_status(service: Service) -> None:
    kept, shipped, cancelled = [await service.create() for _ in range(3)]
    await service.client.post(f"/orders/{shipped}/ship")
    await service.client.delete(f"/orders/{cancelled}")
    for path in (f"/customers/{ADA}/orders", "/orders/search"):
        assert await ids(service, path, status="open") == [kept]
        assert await ids(service, path, status="shipped") == [shipped]
        assert await ids(service, path, status="cancelled") == [cancelled]


async def test_pages_follow_each_other(service: Service) -> None:
    orders = [await service.create() for _ in range(7)][::-1]
    for path in (f"/customers/{ADA}/orders", "/orders/search"):
        pages = [await page(service, path, page=number, page_size=3) for number in (1, 2, 3, 4)]
        assert [[each["order_id"] for each in found["items"]] for found in pages] == [
            orders[:3],
            orders[3:6],
            orders[6:],
            [],
        ]
        assert {(found["total"], found["total_pages"]) for found in pages} == {(7, 3)}


@pytest.mark.parametrize("sort_by", ["created_at", "total_amount", "item_count", "customer_name"])
@pytest.mark.parametrize("sort_order", ["asc", "desc"])
async def test_cursors_reach_every_order_once_in_every_order(
    service: Service, sort_by: str, sort_order: str
) -> None:
    for number in range(9):
        items = [{**TEA, "quantity": 1 + number % 3}] * (1 + number % 2)
        await service.create(items=items, customer_name=f"Name {number % 4}")
    parameters = {"sort_by": sort_by, "sort_order": sort_order}
    whole = await page(service, "/orders/search", **parameters)
    found = await page(service, "/orders/search", **parameters, page_size=2)
    seen = found["items"]
    while found["next_cursor"]:
        cursor = found["next_cursor"]
        found = await page(service, "/orders/search", **parameters, page_size=2, cursor=cursor)
        seen += found["items"]
    assert seen == whole["items"]
    assert len({order["order_id"] for order in seen}) == 9
    keys = [
        float(order[sort_by]) if sort_by == "total_amount" else order[sort_by] for order in seen
    ]
    assert keys == sorted(keys, reverse=sort_order == "desc")


async def test_search_finds_words_of_customers_and_items(service: Service) -> None:
    heart = await service.create(
        customer_name="Charles Babbage", items=[{**TEA, "description": "White hanging HEART"}]
    )
    lamp = await service.create(items=[{**TEA, "product_id": "71053"}])
    await service.client.post(
        f"/orders/{lamp}/items", json={**TEA, "product_id": "b", "description": "Métal lantern"}
    )
    assert await ids(service, "/orders/search", q="heart") == [heart]
    assert await ids(service, "/orders/search", q="hanging white") == [heart]
    assert await ids(service, "/orders/search", q="babbage") == [heart]
    assert await ids(service, "/orders/search", q="lantern") == [lamp]
    assert await ids(service, "/orders/search", q="71053") == [lamp]
    assert await ids(service, "/orders/search", q="heart lantern") == []
    assert await ids(service, "/orders/search", q="metal LANT") == [lamp]
    assert set(await ids(service, "/orders/search", q="")) == {heart, lamp}


async def test_search_and_filters_go_together(service: Service) -> None:
    mine = await service.create(items=[{**TEA, "description": "heart"}])
    other = unknown_id()
    theirs = await service.create(customer_id=other, items=[{**TEA, "description": "heart"}])
    await service.client.post(f"/orders/{theirs}/ship")
    assert await ids(service, "/orders/search", q="heart", customer_id=str(ADA)) == [mine]
    assert await ids(service, "/orders/search", q="heart", status="shipped") == [theirs]
    found = await ids(service, "/orders/search", q="heart", status="open", customer_id=other)
    assert found == []


async def test_search_is_not_taken_for_an_order(service: Service) -> None:
    answer = await service.client.get("/orders/search")
    assert (answer.status_code, answer.json()["items"]) == (200, [])


async def test_a_cursor_of_another_query_is_refused(service: Service) -> None:
    for _ in range(3):
        await service.create()
    cursor = (await page(service, "/orders/search", page_size=1))["next_cursor"]
    others = [
        ("/orders/search", {"sort_by": "total_amount"}),
        ("/orders/search", {"sort_order": "asc"}),
        ("/orders/search", {"status": "open"}),
        ("/orders/search", {"q": "tea"}),
        ("/orders/search", {"customer_id": str(ADA)}),
    ]
    for path, parameters in others:
        answer = await service.client.get(path, params={**parameters, "cursor": cursor})
        assert (answer.status_code, problem_of(answer)) == (422, "invalid-cursor"), parameters


async def test_a_cursor_that_was_changed_is_refused(service: Service) -> None:
    for _ in range(3):
        await service.create()
    cursor = (await page(service, "/orders/search", page_size=1))["next_cursor"]
    for at in range(0, len(cursor), 5):
        changed = cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :]
        answer = await service.client.get("/orders/search", params={"cursor": changed})
        assert (answer.status_code, problem_of(answer)) == (422, "invalid-cursor")


async def test_money_is_sorted_as_numbers(service: Service) -> None:
    prices = ["9.00", "10.00", "100.00", "0.50"]
    for price in prices:
        await service.create(items=[{**TEA, "quantity": 1, "unit_price": price}])
    found = await page(service, "/orders/search", sort_by="total_amount", sort_order="asc")
    totals = [order["total_amount"] for order in found["items"]]
    assert totals == ["0.50", "9.00", "10.00", "100.00"]


async def test_the_document_describes_every_route(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    routes = {(method, path) for path, methods in document["paths"].items() for method in methods}
    assert routes >= {
        ("post", "/orders"),
        ("post", "/orders/{order_id}/items"),
        ("post", "/orders/{order_id}/ship"),
        ("delete", "/orders/{order_id}"),
        ("get", "/orders/{order_id}"),
        ("get", "/orders/search"),
        ("get", "/customers/{customer_id}"),
        ("get", "/customers/{customer_id}/orders"),
    }
    assert _references(document) <= {
        f"#/components/schemas/{name}" for name in document["components"]["schemas"]
    }


def _references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*(_references(value) for value in node.values()))
    if isinstance(node, list):
        return set().union(*(_references(value) for value in node))
    return set()
