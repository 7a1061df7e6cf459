"""Who asks is told by the server's own hook, and nothing is allowed that no policy allows."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI, HTTPException
from starlette.requests import Request

from diptych import ConfigurationError
from diptych.web import Actor, Unauthorized, anyone, known, mount, role
from tests.acceptance.conftest import problem_of
from tests.integration.web.doors import HangDoor, Service, house, routes, serving

ACTORS = {
    "ada": Actor("ada", roles=frozenset({"painter"})),
    "bob": Actor("bob"),
    "eve": Actor("eve", "other-house", frozenset({"painter"})),
    "guest": Actor(""),
    "customer": Actor("", "other-house"),
}
ALL: dict[str, Any] = dict.fromkeys(
    ["HangDoor", "PaintDoor", "RemoveDoor", "GetDoor", "ListDoors", "CountDoors"], anyone
)


async def bearer(request: Request) -> Actor:
    """What a service would do with a signed token."""
    scheme, _, name = request.headers.get("authorization", "").partition(" ")
    if scheme != "Bearer" or name not in ACTORS:
        raise Unauthorized
    return ACTORS[name]


def by(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {name}"}


async def hang(service: Service, name: str, **headers: str) -> httpx.Response:
    sent = {**by(name), **headers}
    return await service.client.post("/doors", json={"colour": "red"}, headers=sent)


async def test_who_cannot_be_told_is_refused_before_anything_is_looked_at() -> None:
    async with serving(identity=bearer, routes=routes(**ALL)) as service:
        for content in (b"{}", b"no JSON", b'{"colour": "red"}'):
            answered = await service.client.post("/doors", content=content)
            assert (answered.status_code, problem_of(answered)) == (401, "unauthorized")
            assert answered.headers["www-authenticate"] == "Bearer"
        assert (await service.client.get("/doors/count")).status_code == 401
        assert await service.head() == 0


async def test_the_hook_may_refuse_as_fastapi_does() -> None:
    async def identity(request: Request) -> Actor:
        raise HTTPException(401, "no", {"WWW-Authenticate": "Basic"})

    async with serving(identity=identity) as service:
        answered = await service.client.get("/doors")
        assert (answered.status_code, problem_of(answered)) == (401, "unauthorized")
        assert answered.headers["www-authenticate"] == "Basic"


async def test_without_a_policy_nobody_may(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(identity=bearer) as service:
        door = f"/doors/{uuid4()}"
        answers = [
            await hang(service, "ada"),
            await service.client.get("/doors", headers=by("ada")),
            await service.client.put(f"{door}/colour", json={"colour": "a"}, headers=by("ada")),
            await service.client.delete(door, headers=by("ada")),
        ]
        assert [each.status_code for each in answers] == [403] * 4
        assert {problem_of(each) for each in answers} == {"forbidden"}
        assert await service.head() == 0
        assert "nobody may POST /doors" in caplog.text


async def test_strangers_get_no_token() -> None:
    """It tells how much has happened here, and carries the id of the log and of an event."""
    allowed = {**ALL, "RemoveDoor": known}
    async with serving(
        identity=bearer, routes=routes(**allowed), whole_app=True, cookie=True
    ) as service:
        door = (await hang(service, "ada")).headers["location"]
        client, guest = service.client, by("guest")
        refused = [
            await client.get(door),
            await client.post("/doors", json={"colour": "red"}),
            await client.get("/nowhere"),
            await client.put(door),
            await client.delete(door, headers={**guest, "If-Match": "*"}),
            await client.put(f"{door}/colour", json={}, headers=guest),
        ]
        assert [each.status_code for each in refused] == [401, 401, 404, 405, 403, 422]
        for each in refused:
            assert not {"diptych-token", "set-cookie"} & set(each.headers)
        known_here = [
            await client.get(door, headers=guest),
            await client.get(f"/doors/{uuid4()}", headers=guest),
            await client.put(f"/doors/{uuid4()}/colour", json={"colour": "a"}, headers=guest),
        ]
        assert [each.status_code for each in known_here] == [200, 404, 409]
        assert all({"diptych-token", "set-cookie"} <= set(each.headers) for each in known_here)


async def only_red(actor: Actor, command: HangDoor) -> bool:
    await asyncio.sleep(0)
    return command.colour == "red"


async def never(actor: Actor, message: object) -> bool:
    return False


def truthy(actor: Actor, message: object) -> Any:
    return "certainly"


@pytest.mark.parametrize(
    ("allow", "name", "status"),
    [
        (anyone, "guest", 201),
        (known, "guest", 403),
        (known, "bob", 201),
        (role("painter"), "bob", 403),
        (role("painter", "owner"), "ada", 201),
        (only_red, "bob", 201),
        (never, "ada", 403),
        (truthy, "ada", 403),
    ],
)
async def test_a_policy_decides_for_an_actor_and_a_message(
    allow: Any, name: str, status: int
) -> None:
    async with serving(identity=bearer, routes=routes(HangDoor=allow)) as service:
        assert (await hang(service, name)).status_code == status
        blue = await service.client.post("/doors", json={"colour": "blue"}, headers=by(name))
        assert blue.status_code == (403 if allow is only_red else status)


async def test_a_policy_that_fails_allows_nothing() -> None:
    def broken(actor: Actor, message: object) -> bool:
        raise RuntimeError("secret")

    async with serving(identity=bearer, routes=routes(HangDoor=broken)) as service:
        answered = await hang(service, "ada")
        assert (answered.status_code, "secret" in answered.text) == (500, False)
        assert await service.head() == 0


async def test_a_hook_that_gives_no_actor_allows_nothing() -> None:
    async def identity(request: Request) -> Any:
        return None

    async with serving(identity=identity, routes=routes(**ALL)) as service:
        assert (await hang(service, "ada")).status_code == 500
        assert await service.head() == 0


async def test_actor_and_tenant_are_recorded_and_separate_what_is_seen() -> None:
    async with serving(identity=bearer, routes=routes(**ALL)) as service:
        door = (await hang(service, "ada")).headers["location"]
        await hang(service, "eve")
        events = (await service.app.log.read()).events
        found = [(each.metadata.actor, each.tenant) for each in events]
        assert found == [("ada", ""), ("eve", "other-house")]
        assert (await service.client.get(door, headers=by("bob"))).status_code == 200
        assert (await service.client.get(door, headers=by("eve"))).status_code == 404
        counted = await service.client.get("/doors/count", headers=by("eve"))
        assert counted.json() == 1


async def test_a_key_belongs_to_the_actor_who_sent_it() -> None:
    async with serving(identity=bearer, routes=routes(**ALL)) as service:
        key = {"Idempotency-Key": "1"}
        mine, again = [(await hang(service, "ada", **key)).json() for _ in range(2)]
        theirs = [(await hang(service, name, **key)).json() for name in ("bob", "eve")]
        assert mine == again
        assert len({mine["door_id"], *(each["door_id"] for each in theirs)}) == 3
        assert await service.head() == 3


def test_policies_without_an_identity_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="identity"):
        mount(FastAPI(), house(), routes=routes(HangDoor=anyone))


def test_two_policies_for_one_message_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="two policies"):
        mount(
            FastAPI(),
            house(),
            routes=routes(HangDoor=anyone),
            identity=bearer,
            allow={HangDoor: known},
        )
