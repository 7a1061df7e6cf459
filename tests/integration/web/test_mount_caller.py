"""FastAPI routes of the user's own dispatch and ask through typed dependencies."""

from typing import Annotated, Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import Depends, FastAPI, Response

from diptych import Token
from diptych.web import Caller, anyone, in_body, in_parameters, known
from tests.acceptance.conftest import problem_of
from tests.integration.test_consistency import Stalled
from tests.integration.web.doors import (
    CountDoors,
    HangDoor,
    ListDoors,
    PaintDoor,
    Service,
    serving,
)
from tests.integration.web.test_mount_identity import bearer, by


def add_routes(service: Service) -> None:
    asking = Annotated[Caller, Depends(service.mounted.caller)]

    @service.api.post("/own/doors", status_code=201)
    async def hang(
        command: Annotated[HangDoor, Depends(in_body(HangDoor))], caller: asking
    ) -> dict[str, Any]:
        outcome = await caller.dispatch(command)
        there = await caller.query(CountDoors())
        return {"by": caller.actor.name, "version": outcome.version, "there": there}

    @service.api.put("/own/doors/{door_id}/colour")
    async def paint(
        command: Annotated[PaintDoor, Depends(in_body(PaintDoor))], caller: asking
    ) -> None:
        await caller.dispatch(command, versioned=True)

    @service.api.get("/own/doors")
    async def doors(
        query: Annotated[ListDoors, Depends(in_parameters(ListDoors))], caller: asking
    ) -> int:
        return (await caller.query(query)).total

    @service.api.post("/own/two")
    async def two(caller: asking) -> None:
        await caller.dispatch(HangDoor(UUID(int=1), "red"))
        await caller.dispatch(HangDoor(UUID(int=2), "red"))


def body(**more: Any) -> dict[str, Any]:
    return {"door_id": str(uuid4()), "colour": "red", **more}


async def test_a_route_dispatches_and_sees_what_it_did() -> None:
    async with serving() as service:
        add_routes(service)
        for count in range(1, 20):
            answered = await service.client.post("/own/doors", json=body())
            assert answered.json() == {"by": "", "version": 1, "there": count}
        assert answered.headers["etag"] == '"1"'
        assert answered.headers["diptych-as-of"] == "19"
        assert Token.parse(answered.headers["diptych-token"]).position == 19
        assert (await service.client.get("/own/doors?colour=red")).json() == 19


async def test_what_is_wrong_is_a_problem_though_the_route_is_fastapi_s() -> None:
    async with serving() as service:
        add_routes(service)
        unknown = await service.client.post("/own/doors", json=body(shape="round"))
        assert (unknown.status_code, problem_of(unknown)) == (422, "invalid-input")
        twice = await service.client.get("/own/doors?colour=a&colour=b")
        assert problem_of(twice) == "invalid-input"
        nowhere = f"/own/doors/{uuid4()}/colour"
        demanded = await service.client.put(nowhere, json={"colour": "red"})
        assert problem_of(demanded) == "precondition-required"
        stale = await service.client.put(
            nowhere, json={"colour": "red"}, headers={"If-Match": '"4"'}
        )
        assert (stale.status_code, problem_of(stale)) == (412, "version-mismatch")


async def test_a_key_makes_a_repeat_safe() -> None:
    async with serving() as service:
        add_routes(service)
        mine, key = body(), {"Idempotency-Key": "k"}
        for _ in range(2):
            assert (await service.client.post("/own/doors", json=mine, headers=key)).is_success
        other = await service.client.post("/own/doors", json=body(), headers=key)
        assert problem_of(other) == "command-id-reused"
        assert await service.head() == 1


async def test_one_request_is_one_command() -> None:
    async with serving() as service:
        add_routes(service)
        assert (await service.client.post("/own/two")).status_code == 500
        assert await service.head() == 1


async def test_its_messages_are_denied_too_until_a_policy_allows_them() -> None:
    async with serving(identity=bearer, routes=()) as service:
        add_routes(service)
        assert (await service.client.post("/own/doors", json=body())).status_code == 401
        denied = await service.client.post("/own/doors", json=body(), headers=by("ada"))
        assert (denied.status_code, problem_of(denied)) == (403, "forbidden")
        assert await service.head() == 0
    allowed = {HangDoor: known, CountDoors: anyone}
    async with serving(identity=bearer, routes=(), allow=allowed) as service:
        add_routes(service)
        done = await service.client.post("/own/doors", json=body(), headers=by("ada"))
        assert done.json()["by"] == "ada"
        guest = await service.client.post("/own/doors", json=body(), headers=by("guest"))
        assert guest.status_code == 403


@pytest.fixture
async def browser() -> Any:
    async with serving(cookie=True) as service:
        add_routes(service)
        yield service


async def test_a_browser_carries_the_token_by_itself(browser: Service) -> None:
    created = await browser.client.post("/own/doors", json=body())
    cookie = created.headers["set-cookie"]
    token, *attributes = cookie.split("; ")
    assert token == f"diptych-token={created.headers['diptych-token']}"
    assert attributes == ["Path=/", "HttpOnly", "SameSite=Lax"]
    assert browser.client.cookies["diptych-token"] == created.headers["diptych-token"]
    seen = await browser.client.get("/doors/count")
    assert Token.parse(seen.headers["diptych-token"]).position == 1


async def test_cookies_of_a_route_stay_beside_the_token(browser: Service) -> None:
    """Such as that of a session, which a route begins or ends together with a command."""
    asking = Annotated[Caller, Depends(browser.mounted.caller)]

    @browser.api.post("/own/sessions")
    async def begin(response: Response, caller: asking) -> None:
        response.set_cookie("session", "s")
        await caller.dispatch(HangDoor(uuid4(), "red"))
        await caller.query(CountDoors())

    answered = await browser.client.post("/own/sessions")
    names = [each.partition("=")[0] for each in answered.headers.get_list("set-cookie")]
    assert names == ["session", "diptych-token"]


async def test_a_cookie_raises_what_a_read_must_have_seen(browser: Service) -> None:
    with Stalled().armed:
        outcome = await browser.app.dispatch(HangDoor(uuid4(), "red"))
        browser.client.cookies["diptych-token"] = str(outcome.token)
        answered = await browser.client.get("/doors/count")
    assert answered.headers["diptych-stale"] == "true"


@pytest.mark.parametrize("text", [str(Token(UUID(int=9), 5)), "nonsense", ""])
async def test_a_cookie_of_another_log_is_replaced(browser: Service, text: str) -> None:
    await browser.hang()
    answered = await browser.client.get("/doors/count", headers={"Cookie": f"diptych-token={text}"})
    assert answered.status_code == 200
    assert Token.parse(answered.headers["diptych-token"]).log_id == browser.app.log.id
    assert "diptych-token=" in answered.headers["set-cookie"]


@pytest.mark.parametrize("lost", [(1, UUID(int=9)), (50, UUID(int=9)), (50, None)])
async def test_a_cookie_from_before_a_restore_is_replaced(browser: Service, lost: Any) -> None:
    await browser.hang()
    other = Token(browser.app.log.id, *lost)
    header = await browser.client.get("/doors/count", headers={"Diptych-Token": str(other)})
    assert problem_of(header) == "token-from-another-history"
    cookie = {"Cookie": f"a=b; diptych-token={other}"}
    assert (await browser.client.get("/doors/count", headers=cookie)).status_code == 200


@pytest.mark.parametrize("cookie", [False, True])
async def test_a_client_without_a_token_is_answered_after_a_restore(cookie: bool) -> None:
    """What this process has given out is lost with the log's end; it does not insist on it."""
    async with serving(cookie=cookie) as service:
        await service.hang()
        lost = (await service.client.get("/doors/count")).headers["diptych-token"]
        service.mounted._edge._newest = Token(service.app.log.id, 1, UUID(int=9))
        browser = {"Cookie": f"diptych-token={lost}"}
        for headers in ({}, browser):
            answered = await service.client.get("/doors/count", headers=headers)
            assert (answered.status_code, answered.json()) == (200, 1)
            assert "diptych-stale" not in answered.headers
            token = Token.parse(answered.headers["diptych-token"])
            assert token == service.mounted._edge._newest == Token.parse(lost)


async def test_refusals_set_the_cookie_too_and_it_is_secure_under_https(browser: Service) -> None:
    transport = httpx.ASGITransport(browser.api)
    async with httpx.AsyncClient(transport=transport, base_url="https://test") as client:
        refused = await client.post("/doors", json={})
        assert refused.status_code == 422
        assert refused.headers["set-cookie"].endswith("; Secure")


async def test_no_cookie_is_set_unless_it_is_switched_on() -> None:
    async with serving() as service:
        await service.hang()
        ahead = {"Cookie": f"diptych-token={Token(service.app.log.id, 50)}"}
        answered = await service.client.get("/doors/count", headers=ahead)
        assert "set-cookie" not in answered.headers
        assert "diptych-stale" not in answered.headers


def test_dependencies_do_not_change_the_document_of_fastapi() -> None:
    assert FastAPI().openapi()["paths"] == {}
