"""Tokens, staleness, entity tags and idempotency keys, over HTTP on SQLite."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import httpx
import pytest

from diptych import Token
from examples.orders.api import create_api
from tests.acceptance.conftest import (
    ADA,
    TEA,
    Service,
    client_of,
    new_order,
    problem_of,
    unknown_id,
)
from tests.integration.test_consistency import Stalled


async def test_every_answer_carries_a_token(service: Service) -> None:
    client = service.client
    order_id = await service.create()
    answers = [
        await client.post("/orders", json=new_order()),
        await client.post("/orders", json={}),
        await client.post(f"/orders/{order_id}/items", json=TEA),
        await client.post(f"/orders/{order_id}/ship"),
        await client.delete(f"/orders/{order_id}"),
        await client.get(f"/orders/{order_id}"),
        await client.get(f"/orders/{unknown_id()}"),
        await client.get("/orders/search"),
        await client.get(f"/customers/{ADA}"),
        await client.get(f"/customers/{ADA}/orders"),
        await client.get("/nowhere"),
        await client.put("/orders"),
        await client.get("/livez"),
        await client.get("/readyz"),
    ]
    tokens = [Token.parse(answer.headers["diptych-token"]) for answer in answers]
    assert {token.log_id for token in tokens} == {service.app.log.id}


async def test_the_first_answer_of_an_empty_service_carries_a_token(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.get("/nowhere")
    assert Token.parse(answer.headers["diptych-token"]).position == 0


async def test_a_read_with_the_token_of_a_write_sees_the_write(service: Service) -> None:
    for _ in range(50):
        created = await service.client.post("/orders", json=new_order())
        token = {"Diptych-Token": created.headers["diptych-token"]}
        answer = await service.client.get(created.headers["location"], headers=token)
        assert answer.status_code == 200
        assert "diptych-stale" not in answer.headers


async def test_a_read_after_a_write_sees_it_without_a_token_too(service: Service) -> None:
    order_id = await service.create()
    for count in range(2, 30):
        await service.client.post(f"/orders/{order_id}/items", json=TEA)
        seen = await service.client.get(f"/orders/{order_id}")
        assert seen.json()["item_count"] == count
        found = await service.client.get("/orders/search", params={"customer_id": str(ADA)})
        assert found.json()["items"][0]["item_count"] == count


async def test_a_client_that_returns_its_token_never_goes_back(service: Service) -> None:
    late = (await service.client.post("/orders", json=new_order())).headers["diptych-token"]
    for method, path in [("GET", "/nowhere"), ("GET", "/orders/search"), ("POST", "/orders")]:
        answer = await service.client.request(method, path, headers={"Diptych-Token": late})
        token = Token.parse(answer.headers["diptych-token"])
        assert token.position >= Token.parse(late).position


async def test_a_repeated_command_does_not_take_its_client_back(service: Service) -> None:
    key = {"Idempotency-Key": "first"}
    await service.client.post("/orders", json=new_order(), headers=key)
    late = (await service.client.post("/orders", json=new_order())).headers["diptych-token"]
    headers = {**key, "Diptych-Token": late}
    again = await service.client.post("/orders", json=new_order(), headers=headers)
    assert again.headers["diptych-token"] == late


@pytest.fixture
async def impatient(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the same service, where a read waits for 0.1 s."""
    async with client_of(create_api(service.app, wait=timedelta(seconds=0.1))) as client:
        yield client


async def test_what_is_older_than_its_token_gets_a_stale_answer_that_says_so(
    service: Service, impatient: httpx.AsyncClient
) -> None:
    order_id = await service.create()
    await service.client.get(f"/orders/{order_id}")
    with Stalled().armed:
        added = await service.client.post(f"/orders/{order_id}/items", json=TEA)
        headers = {"Diptych-Token": added.headers["diptych-token"]}
        answer = await impatient.get("/orders/search", headers=headers)
        missing = await impatient.get(f"/orders/{unknown_id()}", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["diptych-stale"] == "true"
    assert answer.headers["diptych-token"] == headers["Diptych-Token"]
    assert (missing.status_code, problem_of(missing)) == (503, "consistency-timeout")
    assert missing.headers["retry-after"]


async def test_a_token_that_a_client_made_up_holds_up_nobody_else(
    service: Service, impatient: httpx.AsyncClient
) -> None:
    headers = {"Diptych-Token": str(Token(service.app.log.id, 1_000))}
    refused = await impatient.get("/orders/search", headers=headers)
    assert (refused.status_code, problem_of(refused)) == (422, "token-from-another-history")
    answer = await impatient.get("/orders/search")
    assert answer.status_code == 200
    assert "diptych-stale" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/orders/search"), ("POST", f"/orders/{ADA}/ship")]
)
async def test_a_token_of_another_log_is_refused(
    client: httpx.AsyncClient, method: str, path: str
) -> None:
    headers = {"Diptych-Token": str(Token(UUID(int=5), 1, UUID(int=6)))}
    answer = await client.request(method, path, headers=headers)
    assert (answer.status_code, problem_of(answer)) == (422, "token-from-another-history")


async def test_a_token_with_another_event_at_its_position_is_refused(service: Service) -> None:
    await service.create()
    token = Token(service.app.log.id, 1, UUID(int=6))
    answer = await service.client.get("/orders/search", headers={"Diptych-Token": str(token)})
    assert problem_of(answer) == "token-from-another-history"


async def test_the_etag_of_a_view_is_the_version_of_the_order(service: Service) -> None:
    order_id = await service.create()
    await service.client.post(f"/orders/{order_id}/items", json=TEA)
    seen = await service.client.get(f"/orders/{order_id}")
    assert seen.headers["etag"] == '"2"'
    headers = {"If-Match": seen.headers["etag"]}
    shipped = await service.client.post(f"/orders/{order_id}/ship", headers=headers)
    assert (shipped.status_code, shipped.headers["etag"]) == (200, '"3"')


async def test_a_command_on_an_older_version_is_refused(service: Service) -> None:
    order_id = await service.create()
    await service.client.post(f"/orders/{order_id}/items", json=TEA)
    head = await service.head()
    for method, path in [("POST", "/ship"), ("DELETE", "")]:
        answer = await service.client.request(
            method, f"/orders/{order_id}{path}", headers={"If-Match": '"1"'}
        )
        assert (answer.status_code, problem_of(answer)) == (412, "version-mismatch")
    assert await service.head() == head


async def test_if_match_with_a_star_takes_any_version(service: Service) -> None:
    order_id = await service.create()
    headers = {"If-Match": "*"}
    answer = await service.client.post(f"/orders/{order_id}/ship", headers=headers)
    assert answer.status_code == 200


async def test_of_commands_on_one_version_only_one_gets_through(service: Service) -> None:
    order_id = await service.create()
    requests = [
        service.client.post(f"/orders/{order_id}/items", json=TEA, headers={"If-Match": '"1"'})
        for _ in range(20)
    ]
    statuses = sorted(answer.status_code for answer in await asyncio.gather(*requests))
    assert statuses == [200] + [412] * 19


async def test_the_same_key_takes_effect_once_and_answers_the_same(service: Service) -> None:
    key = {"Idempotency-Key": "once"}
    first = await service.client.post("/orders", json=new_order(), headers=key)
    for _ in range(3):
        again = await service.client.post("/orders", json=new_order(), headers=key)
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["location"] == first.headers["location"]
        assert again.headers["etag"] == first.headers["etag"]
    assert await service.head() == 1


async def test_the_same_key_answers_the_same_after_the_order_has_moved_on(
    service: Service,
) -> None:
    order_id = await service.create()
    key = {"Idempotency-Key": "once"}
    path = f"/orders/{order_id}/items"
    first = await service.client.post(path, json=TEA, headers={**key, "If-Match": '"1"'})
    await service.client.post(f"/orders/{order_id}/ship")
    again = await service.client.post(path, json=TEA, headers={**key, "If-Match": '"1"'})
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["etag"] == first.headers["etag"] == '"2"'
    assert await service.head() == 3


async def test_twins_under_one_key_take_effect_once(service: Service) -> None:
    key = {"Idempotency-Key": "twins"}
    requests = [service.client.post("/orders", json=new_order(), headers=key) for _ in range(20)]
    answers = await asyncio.gather(*requests)
    assert {(answer.status_code, answer.content) for answer in answers} == {
        (201, answers[0].content)
    }
    assert await service.head() == 1


async def test_the_same_key_with_another_request_is_refused(service: Service) -> None:
    key = {"Idempotency-Key": "once"}
    order_id = (await service.client.post("/orders", json=new_order(), headers=key)).json()[
        "order_id"
    ]
    for answer in [
        await service.client.post("/orders", json=new_order(customer_name="Bob"), headers=key),
        await service.client.post(f"/orders/{order_id}/ship", headers=key),
        await service.client.delete(f"/orders/{order_id}", headers=key),
    ]:
        assert (answer.status_code, problem_of(answer)) == (422, "command-id-reused")
    assert await service.head() == 1


async def test_a_refused_command_may_be_sent_again_under_its_key(service: Service) -> None:
    key = {"Idempotency-Key": "later"}
    order = new_order(items=[{**TEA, "product_id": "sold-out"}])
    assert (await service.client.post("/orders", json=order, headers=key)).status_code == 409
    service.stock.available["sold-out"] = 5
    assert (await service.client.post("/orders", json=order, headers=key)).status_code == 201


async def test_a_command_that_did_nothing_is_remembered_too(service: Service) -> None:
    order_id = await service.create()
    await service.client.post(f"/orders/{order_id}/ship")
    key = {"Idempotency-Key": "again"}
    answers = [await service.client.post(f"/orders/{order_id}/ship", headers=key) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    other = await service.client.post(f"/orders/{await service.create()}/ship", headers=key)
    assert problem_of(other) == "command-id-reused"
