"""Pages of other sites have a browser change nothing here."""

from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI

from diptych import ConfigurationError
from diptych.web import Caller, mount
from tests.acceptance.conftest import problem_of
from tests.integration.web.doors import CountDoors, house, routes, serving

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),  # a program
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://test"}, True),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://behind.a.proxy"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Origin": "http://test"}, True),
        ({"Origin": "https://TEST"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://other.test"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://test"}, False),
        ({"Sec-Fetch-Site": "anything"}, False),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "http://test.evil.example"}, False),
        ({"Origin": "http://test:8080"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": ""}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://admin.example"}, True),
        ({"Origin": "https://admin.example"}, True),
        ({"Origin": "http://admin.example"}, False),
    ],
)
async def test_only_pages_of_this_service_and_trusted_ones_change_something(
    headers: dict[str, str], allowed: bool
) -> None:
    async with serving(origins=["https://admin.example"]) as service:
        door = await service.hang()
        before = await service.head()
        removed = await service.client.delete(door, headers={"If-Match": '"1"', **headers})
        if allowed:
            assert removed.status_code == 204
        else:
            assert (removed.status_code, problem_of(removed)) == (403, "cross-site-request")
        assert await service.head() - before == allowed
        assert (await service.client.get("/doors", headers=headers)).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_no_method_that_may_change_something_gets_past(method: str) -> None:
    async with serving(whole_app=True) as service:
        asked: Any = {"headers": {**JSON, "Sec-Fetch-Site": "cross-site"}, "content": b"{}"}
        for path in ("/doors", "/nowhere"):
            answered = await service.client.request(method, path, **asked)
            assert (answered.status_code, problem_of(answered)) == (403, "cross-site-request")


@pytest.mark.parametrize("whole_app", [True, False])
async def test_routes_of_your_own_are_asked_too(whole_app: bool) -> None:
    async with serving(whole_app=whole_app) as service:

        @service.api.post("/count")
        async def count(caller: Annotated[Caller, Depends(service.mounted.caller)]) -> int:
            return await caller.query(CountDoors())

        assert (await service.client.post("/count")).json() == 0
        refused = await service.client.post("/count", headers={"Sec-Fetch-Site": "same-site"})
        assert (refused.status_code, problem_of(refused)) == (403, "cross-site-request")


@pytest.mark.parametrize("origin", ["shop.example", "https://shop.example/", "*", "null"])
def test_an_origin_that_is_none_is_refused(origin: str) -> None:
    with pytest.raises(ConfigurationError, match="origins"):
        mount(FastAPI(), house(), routes=routes(), origins=[origin])
