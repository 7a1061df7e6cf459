"""Live queries of the order service: server-sent events over a socket, on all databases."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.acceptance.conftest import ADA, TEA, Service, problem_of, unknown_id
from tests.acceptance.live import following, on_a_socket


@pytest.fixture
async def web(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with on_a_socket(service.api) as client:
        yield client


async def test_an_order_is_shown_again_when_it_changes(
    service: Service, web: httpx.AsyncClient
) -> None:
    order_id = await service.create()
    async with following(web, f"/orders/{order_id}/events") as client:
        assert client.response.headers["content-type"] == "text/event-stream"
        assert client.response.headers["cache-control"] == "no-store"
        first = await client.next()
        shown = await web.get(f"/orders/{order_id}")
        assert (first.name, first.data) == ("answer", shown.json())
        assert first.id == client.response.headers["diptych-token"]
        shipped = await web.post(f"/orders/{order_id}/ship")
        second = await client.next()
        assert (second.name, second.data["status"]) == ("answer", "shipped")
        assert second.id == shipped.headers["diptych-token"]


async def test_lists_and_totals_follow_what_happens(
    service: Service, web: httpx.AsyncClient
) -> None:
    await service.create()
    async with (
        following(web, f"/customers/{ADA}/orders/events?status=open") as orders,
        following(web, f"/customers/{ADA}/events") as totals,
        following(web, "/orders/search/events?q=lovelace") as search,
    ):
        assert (await orders.next()).data["total"] == 1
        assert (await totals.next()).data["total_spent"] == "7.00"
        assert (await search.next()).data["total"] == 1
        order_id = await service.create()
        assert (await orders.next()).data["total"] == 2
        assert (await totals.next()).data["total_spent"] == "14.00"
        assert (await search.next()).data["total"] == 2
        await web.post(f"/orders/{order_id}/items", json=TEA)
        assert (await totals.next()).data["total_spent"] == "21.00"


async def test_what_is_not_there_is_a_problem_before_the_stream(
    service: Service, web: httpx.AsyncClient
) -> None:
    async with following(web, f"/orders/{unknown_id()}/events") as client:
        assert client.response.status_code == 404
        assert problem_of(client.response) == "order-not-found"
    async with following(web, "/orders/none/events") as client:
        assert client.response.status_code == 422
        assert problem_of(client.response) == "invalid-input"
