"""An application is mounted into a FastAPI app: routes decode strictly and answer as declared."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient

from diptych import ConfigurationError, Outcome, Query, Token, handler
from diptych.web import Limits, Problem, command_route, mount, query_route
from tests.acceptance.conftest import problem_of
from tests.integration.test_consistency import Stalled
from tests.integration.web.doors import (
    DOOR,
    CountDoors,
    DoorStuck,
    GetDoor,
    HangDoor,
    ListDoors,
    NoDoor,
    PaintDoor,
    RemoveDoor,
    doors,
    house,
    routes,
    serving,
)


async def test_a_command_comes_from_the_body_and_is_answered_as_declared() -> None:
    async with serving() as service:
        answered = await service.client.post("/doors", json={"colour": "red", "price": "2.50"})
        door_id = answered.json()["door_id"]
        assert answered.status_code == 201
        assert answered.headers["location"] == f"/doors/{door_id}"
        assert answered.headers["etag"] == '"1"'
        assert Token.parse(answered.headers["diptych-token"]).position == 1
        assert answered.headers["x-content-type-options"] == "nosniff"


async def test_a_command_takes_what_is_in_the_path() -> None:
    async with serving() as service:
        door = await service.hang()
        painted = await service.client.put(f"{door}/colour", json={"colour": "blue"})
        assert (painted.status_code, painted.content) == (204, b"")
        assert (await service.client.get(door)).json()["colour"] == "blue"


async def test_a_client_may_choose_the_id_and_a_key_repeats_it() -> None:
    async with serving() as service:
        mine = str(uuid4())
        body = {"colour": "red", "door_id": mine}
        assert (await service.client.post("/doors", json=body)).json() == {"door_id": mine}
        one, again = [await service.hang(**{"Idempotency-Key": "k"}) for _ in range(2)]
        assert one == again
        assert await service.head() == 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"colour": "red", "actor": "root"}, "actor"),
        ({"colour": ""}, "colour"),
        ({"colour": 3}, "colour"),
        ({"colour": "red", "price": 1.5}, "price"),
        ({"colour": "red", "door_id": None}, "door_id"),
        ({}, "colour"),
        ([], "body"),
    ],
)
async def test_a_body_that_does_not_fit_is_refused_and_writes_nothing(
    body: Any, field: str
) -> None:
    async with serving() as service:
        answered = await service.client.post("/doors", json=body)
        assert (answered.status_code, problem_of(answered)) == (422, "invalid-input")
        assert answered.json()["errors"][0]["field"] == field
        assert "root" not in answered.text
        assert await service.head() == 0


async def test_a_limit_of_a_field_is_named() -> None:
    async with serving() as service:
        door = await service.hang()
        answered = await service.client.put(f"{door}/colour", json={"colour": "a", "coats": 10})
        assert answered.json()["errors"][0]["field"] == "coats"
        listed = await service.client.get("/doors?page_size=101")
        assert listed.json()["errors"][0]["field"] == "page_size"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/doors?colour=red"),
        ("GET", "/doors?colour=red&colour=red"),
        ("GET", "/doors?shape=round"),
        ("GET", "/doors/not-an-id"),
    ],
)
async def test_parameters_that_are_not_taken_are_refused(method: str, path: str) -> None:
    async with serving() as service:
        assert (await service.client.request(method, path)).status_code == 422


async def test_a_query_with_a_body_is_refused() -> None:
    async with serving() as service:
        answered = await service.client.request("GET", "/doors", content=b"{}")
        assert answered.json()["errors"][0]["field"] == "body"


async def test_a_query_is_answered_with_what_is_to_be_seen_of_it() -> None:
    async with serving() as service:
        door = await service.hang()
        answered = await service.client.get(door)
        assert answered.json() == {"door_id": door.removeprefix("/doors/"), "colour": "red"}
        assert answered.headers["etag"] == '"1"'
        assert answered.headers["diptych-as-of"] == "1"
        assert "diptych-stale" not in answered.headers


async def test_pages_and_plain_values_are_answered() -> None:
    async with serving() as service:
        for _ in range(3):
            await service.hang()
        page = (await service.client.get("/doors?page_size=2")).json()
        assert (len(page["items"]), page["total"]) == (2, 3)
        assert page["items"][0]["price"] == "1.00"
        # Declared after /doors/{door_id}, and yet "count" is no id
        assert (await service.client.get("/doors/count")).json() == 3


async def test_what_is_not_there_is_404_or_what_the_route_says() -> None:
    def no_door(query: GetDoor) -> NoDoor:
        return NoDoor()

    path = f"/doors/{uuid4()}"
    async with serving() as service:
        assert problem_of(await service.client.get(path)) == "not-found"
    mine = [query_route(f"GET {DOOR}", GetDoor, missing=no_door)]
    async with serving(routes=mine, problems={NoDoor: 404}) as service:
        answered = await service.client.get(path)
        assert (answered.status_code, problem_of(answered)) == (404, "no-door")


async def test_an_answer_that_is_not_new_enough_says_so() -> None:
    async with serving(wait=timedelta(milliseconds=50)) as service:
        await service.hang()
        await service.client.get("/doors")
        with Stalled().armed:
            outcome = await service.app.dispatch(HangDoor(uuid4(), "red"))
            seen = {"Diptych-Token": str(outcome.token)}
            answered = await service.client.get("/doors", headers=seen)
        assert answered.headers["diptych-stale"] == "true"
        assert answered.headers["diptych-as-of"] == "1"
        assert answered.headers["diptych-token"] == str(outcome.token)


@pytest.mark.parametrize("event_id", [None, UUID(int=9)])
async def test_a_token_from_beyond_the_end_of_the_log_is_refused_at_once(
    event_id: UUID | None,
) -> None:
    """It is made up, or from a history that the log has lost: there is nothing to wait for."""
    async with serving(wait=timedelta(hours=1)) as service:
        await service.hang()
        forged = {"Diptych-Token": str(Token(service.app.log.id, 2, event_id))}
        async with asyncio.timeout(5):
            answered = await service.client.get("/doors", headers=forged)
        assert (answered.status_code, problem_of(answered)) == (422, "token-from-another-history")


async def test_a_refusal_is_409_and_a_route_may_demand_a_version() -> None:
    async with serving() as service:
        refused = await service.client.put(f"/doors/{uuid4()}/colour", json={"colour": "blue"})
        assert (refused.status_code, problem_of(refused)) == (409, "no-door")
        door = await service.hang()
        demanded = await service.client.delete(door)
        assert (demanded.status_code, problem_of(demanded)) == (428, "precondition-required")
        stale = await service.client.delete(door, headers={"If-Match": '"7"'})
        assert (stale.status_code, problem_of(stale)) == (412, "version-mismatch")
        assert await service.head() == 1
        removed = await service.client.delete(f"{door}?reason=old", headers={"If-Match": '"1"'})
        assert (removed.status_code, removed.headers["etag"]) == (204, '"2"')


async def test_another_method_is_refused_with_those_that_are_known() -> None:
    async with serving() as service:
        answered = await service.client.patch("/doors")
        assert (answered.status_code, problem_of(answered)) == (405, "method-not-allowed")
        assert answered.headers["allow"] == "GET, POST"


async def test_under_a_prefix_and_inside_another_app_everything_keeps_its_place() -> None:
    async with serving(prefix="/house") as service:
        created = await service.client.post("/doors", json={"colour": "red"})
        assert created.headers["location"].startswith("/house/doors/")
        outer = FastAPI()
        outer.mount("/town", service.api)
        transport = httpx.ASGITransport(outer)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            created = await client.post("/town/house/doors", json={"colour": "red"})
            location = created.headers["location"]
            assert location.startswith("/town/house/doors/")
            assert (await client.get(location)).status_code == 200


def beside(api: FastAPI) -> FastAPI:
    @api.get("/own/{number}")
    async def own(number: int) -> dict[str, int]:
        return {"number": number}

    return api


async def test_routes_of_the_app_stay_as_they_are() -> None:
    async with serving(api=beside(FastAPI())) as service:
        assert (await service.client.get("/own/3")).json() == {"number": 3}
        assert "diptych-token" not in (await service.client.get("/own/3")).headers
        refused = await service.client.get("/own/x")
        assert refused.headers["content-type"] == "application/json"
        assert (await service.client.get("/nowhere")).json() == {"detail": "Not Found"}


async def test_where_the_whole_app_is_ours_everything_is_answered_alike() -> None:
    async with serving(api=beside(FastAPI()), whole_app=True) as service:
        assert "diptych-token" in (await service.client.get("/own/3")).headers
        assert problem_of(await service.client.get("/own/x")) == "invalid-input"
        assert problem_of(await service.client.get("/nowhere")) == "not-found"
        assert (await service.client.put("/doors")).headers["allow"] == "GET, POST"


def test_the_application_is_open_while_the_lifespan_of_the_app_runs() -> None:
    app, events = house(), list[str]()

    async def own(api: FastAPI) -> Any:
        await app.dispatch(HangDoor(UUID(int=1), "red"))
        events.append("started")
        yield
        events.append(str((await app.log.head()).position))

    api = FastAPI(lifespan=own)  # type: ignore[arg-type]
    mount(api, app, routes=routes())
    with TestClient(api) as client:
        assert client.get("/doors/count").json() == 1
    assert events == ["started", "1"]
    assert not app.alive


async def test_who_opens_the_application_does_it_alone() -> None:
    app, api = house(), FastAPI()
    mount(api, app, routes=routes(), lifespan=False)
    async with app, api.router.lifespan_context(api):
        assert app.alive
    assert not app.alive


async def deny() -> None:
    raise AssertionError("it would have been asked")


async def test_an_app_with_dependencies_of_its_own_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="dependencies"):
        mount(FastAPI(dependencies=[Depends(deny)]), house(), routes=routes())


async def test_dependencies_that_come_later_close_the_mount() -> None:
    async with serving() as service:
        service.api.router.dependencies.append(Depends(deny))
        answered = await service.client.post("/doors", json={"colour": "red"})
        assert answered.status_code == 500
        assert await service.head() == 0


@dataclass(frozen=True)
class Unhandled:
    door_id: UUID


@dataclass(frozen=True)
class Unanswered(Query[int]):
    pass


def own_door(api: FastAPI) -> None:
    @api.get("/doors/{name}")
    async def own(name: str) -> str:
        return name


NOT_FITTING: dict[str, Any] = {
    "no address": lambda: command_route("/doors", HangDoor),
    "no method of a command": lambda: command_route("GET /doors", HangDoor),
    "no method of a query": lambda: query_route("POST /doors", ListDoors),
    "a query as a command": lambda: command_route("POST /doors", ListDoors),
    "a command as a query": lambda: query_route("GET /doors", HangDoor),
    "an unknown parameter": lambda: command_route("POST /doors/{id}", HangDoor),
    "a parameter twice": lambda: command_route("POST /{door_id}/{door_id}", HangDoor),
    "an unknown new id": lambda: command_route("POST /doors", HangDoor, new_id="id"),
    "an unknown location": lambda: command_route("POST /doors", HangDoor, location="/{id}"),
    "an answer without a hint": lambda: command_route(
        "POST /doors", HangDoor, answer=lambda command, outcome: 1
    ),
    "a class as an answer": lambda: command_route("POST /doors", HangDoor, answer=Outcome),
    "a version that is none": lambda: query_route("GET /doors", ListDoors, version="v"),
    "showing what is not there": lambda: query_route(f"GET {DOOR}", GetDoor, show=RemoveDoor),
}


@pytest.mark.parametrize("declare", NOT_FITTING.values(), ids=NOT_FITTING)
def test_a_route_that_does_not_fit_is_refused(declare: Any) -> None:
    with pytest.raises(ConfigurationError):
        declare()


COLLISIONS: dict[str, list[Any]] = {
    "nothing dispatches it": [command_route("POST /x/{door_id}", Unhandled)],
    "nothing answers it": [query_route("GET /x", Unanswered)],
    "an address twice": [
        query_route("GET /doors", ListDoors),
        query_route("GET /doors", CountDoors),
    ],
    "a path under two names": [
        query_route("GET /x/{door_id}", GetDoor),
        query_route("GET /x/{colour}", ListDoors),
    ],
}


@pytest.mark.parametrize("declared", COLLISIONS.values(), ids=COLLISIONS)
def test_routes_that_collide_are_refused(declared: list[Any]) -> None:
    with pytest.raises(ConfigurationError):
        mount(FastAPI(), house(), routes=declared)


async def test_a_method_that_a_fixed_path_does_not_know_is_not_meant_for_a_parameter() -> None:
    async with serving() as service:
        answered = await service.client.delete("/doors/count", headers={"If-Match": "*"})
        assert (answered.status_code, problem_of(answered)) == (405, "method-not-allowed")
        assert answered.headers["allow"] == "GET"


async def test_a_path_may_have_methods_from_several_places() -> None:
    api, app = FastAPI(), house()
    get, *others = [each for each in routes() if each.path == "/doors/{door_id}"][::-1]
    mount(api, app, routes=others, lifespan=False)
    mount(api, app, routes=[get], lifespan=False)

    @api.put("/doors/{other}")
    async def put(other: str) -> str:
        return other

    transport = httpx.ASGITransport(api)
    async with app, httpx.AsyncClient(transport=transport, base_url="http://t") as client:
        door = f"/doors/{uuid4()}"
        found = [await client.request(method, door) for method in ("GET", "DELETE", "PUT", "PATCH")]
    assert [each.status_code for each in found] == [404, 428, 200, 405]


def test_a_route_that_the_app_would_take_first_is_refused() -> None:
    api = FastAPI()
    own_door(api)
    with pytest.raises(ConfigurationError, match="was there first"):
        mount(api, house(), routes=routes())
    mount(api, house(), routes=routes(), prefix="/house")


async def slowly(command: PaintDoor, write: Any) -> Outcome:
    await asyncio.sleep(60)
    outcome: Outcome = await write(doors, command)
    return outcome


async def test_a_command_that_takes_too_long_has_an_unknown_outcome() -> None:
    app = house(write=[doors, handler(PaintDoor, slowly)])
    async with serving(app, limits=Limits(seconds=0.1)) as service:
        door = await service.hang()
        answered = await service.client.put(f"{door}/colour", json={"colour": "blue"})
        assert (answered.status_code, problem_of(answered)) == (504, "outcome-unknown")
        assert "retry-after" not in answered.headers


async def test_what_takes_too_long_before_anything_was_dispatched_may_be_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def identity(request: Any) -> Any:
        await asyncio.sleep(60)

    async with serving(identity=identity, limits=Limits(seconds=0.1)) as service:
        answered = await service.client.post("/doors", json={"colour": "red"})
        assert (answered.status_code, problem_of(answered)) == (503, "time-limit")
        assert answered.headers["retry-after"]
        assert answered.json()["instance"].removeprefix("urn:uuid:") in caplog.text


async def test_a_timeout_of_somebody_else_is_not_taken_for_ours() -> None:
    async def identity(request: Any) -> Any:
        raise TimeoutError

    async with serving(identity=identity) as service:
        assert (await service.client.get("/doors")).status_code == 500


@pytest.mark.parametrize(
    ("host", "status"),
    [("shop.example", 200), ("shop.example:8000", 200), ("a.test", 200), ("SHOP.example", 200),
     ("evil.example", 400), ("test", 400), ("shop.example.evil", 400)],
)  # fmt: skip
async def test_only_trusted_hosts_are_answered(host: str, status: int) -> None:
    async with serving(hosts=["shop.example", "*.test"]) as service:
        answered = await service.client.get("/doors", headers={"Host": host})
        assert answered.status_code == status


def test_a_host_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="hosts"):
        mount(FastAPI(), house(), routes=routes(), hosts=["http://shop"])


async def test_errors_are_mapped_by_their_class_and_say_nothing_that_is_not_ours() -> None:
    def stuck(error: DoorStuck) -> Problem:
        return Problem(status=423, code="door-stuck", detail="Try the window.")

    rust = {"colour": "rust"}
    async with serving(problems={DoorStuck: 409}) as service:
        answered = await service.client.put(f"{await service.hang()}/colour", json=rust)
        assert (answered.status_code, problem_of(answered)) == (409, "door-stuck")
        assert "secret" not in answered.text
    async with serving(problems={DoorStuck: stuck}) as service:
        answered = await service.client.put(f"{await service.hang()}/colour", json=rust)
        assert (answered.status_code, answered.json()["detail"]) == (423, "Try the window.")
    async with serving() as service:
        answered = await service.client.put(f"{await service.hang()}/colour", json=rust)
        assert (answered.status_code, problem_of(answered)) == (500, "internal-error")
        assert "secret" not in answered.text
