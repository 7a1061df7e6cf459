"""Live queries over HTTP: what is sent, what ends a stream, and who may have how many."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest
from fastapi import FastAPI
from starlette.types import Message

from diptych import Application, Token
from diptych.failpoints import armed, fail
from diptych.testing.waiting import wait_until
from diptych.web import Limits, anyone, known, listen, live_route, mount, serve
from tests.acceptance.conftest import problem_of
from tests.acceptance.live import Event, following, on_a_socket
from tests.integration.web.doors import (
    CountDoors,
    GetDoor,
    ListDoors,
    NoDoor,
    Seen,
    house,
    routes,
)
from tests.integration.web.test_mount_identity import bearer, by

SOON = timedelta(milliseconds=50)


def gone(query: GetDoor) -> Exception:
    return NoDoor()


def live_routes(**allow: Any) -> list[Any]:
    return [
        live_route(
            "GET /doors/{door_id}/events",
            GetDoor,
            show=Seen,
            missing=gone,
            allow=allow.get("GetDoor"),
        ),
        live_route("GET /doors/count/events", CountDoors, allow=allow.get("CountDoors")),
        live_route("GET /doors/events", ListDoors, allow=allow.get("ListDoors")),
    ]


class House:
    def __init__(self, app: Application, client: httpx.AsyncClient) -> None:
        self.app, self.client = app, client

    async def hang(self, **headers: str) -> str:
        answered = await self.client.post("/doors", json={"colour": "red"}, headers=headers)
        return f"/doors/{answered.json()['door_id']}"

    async def paint(self, door: str, colour: str) -> httpx.Response:
        answered = await self.client.put(f"{door}/colour", json={"colour": colour})
        assert answered.status_code == 204, answered.text
        return answered

    @property
    def watched(self) -> int:
        running = self.app._right._running
        assert running is not None
        return len(running.live._watched())


@asynccontextmanager
async def housing(
    *, allow: Mapping[str, Any] | None = None, **options: Any
) -> AsyncIterator[House]:
    """On a socket, which is closed before the application is."""
    app, api = house(), FastAPI()
    allowed = dict(allow or {})
    mount(api, app, routes=[*routes(**allowed), *live_routes(**allowed)], **options)
    async with app, on_a_socket(api) as client:
        yield House(app, client)


async def test_a_quiet_stream_has_heartbeats_and_outlives_the_time_of_a_request() -> None:
    limits = Limits(heartbeat_seconds=0.05, seconds=0.2)
    async with housing(limits=limits) as s:
        door = await s.hang()
        async with following(s.client, f"{door}/events") as client:
            assert (await client.next()).name == "answer"
            for _ in range(8):
                assert await client.next(heartbeats=True) == Event("heartbeat", {})
            await s.paint(door, "blue")
            assert (await client.next()).data["colour"] == "blue"


async def test_a_change_of_what_is_not_shown_is_not_sent() -> None:
    async with housing() as s:
        door = await s.hang()
        async with following(s.client, f"{door}/events") as client:
            await client.next()
            await s.paint(door, "red")  # another coat, which visitors do not see
            last = await s.paint(door, "blue")
            found = await client.next()
            assert (found.data["colour"], found.id) == ("blue", last.headers["diptych-token"])


async def test_a_stale_answer_is_followed_by_that_word_and_then_by_a_fresh_one() -> None:
    async with housing(wait=SOON) as s:
        door = await s.hang()
        async with AsyncExitStack() as streams:
            with armed("projector.after_read", fail, times=10**9):
                token = (await s.paint(door, "blue")).headers["diptych-token"]
                stream = following(s.client, f"{door}/events")
                client = await streams.enter_async_context(stream)
                assert client.response.headers["diptych-stale"] == "true"
                old = await client.next()
                assert (old.name, old.data["colour"], old.id) == ("answer", "red", token)
                assert await client.next() == Event("stale", {"as_of": 1})
            fresh = await client.next()
            assert (fresh.name, fresh.data["colour"]) == ("answer", "blue")


async def test_what_is_removed_is_a_problem_and_the_end() -> None:
    async with housing() as s:
        door = await s.hang()
        async with following(s.client, f"{door}/events") as client:
            await client.next()
            await s.client.delete(door, headers={"if-match": '"1"'})
            problem = await client.next()
            assert (problem.name, problem.data["type"]) == ("problem", "urn:problem:no-door")
            with pytest.raises(StopAsyncIteration):
                await client.next()
        await wait_until(lambda: s.watched == 0)


async def test_a_client_that_comes_again_gets_nothing_older_than_it_had() -> None:
    async with housing(wait=SOON) as s:
        door = await s.hang()
        with armed("projector.after_read", fail, times=10**9):
            token = (await s.paint(door, "blue")).headers["diptych-token"]
            headers = {"last-event-id": token}
            async with following(s.client, f"{door}/events", headers) as client:
                assert (await client.next()).id == token
                assert (await client.next()).name == "stale"


async def test_the_id_of_another_log_is_passed_over_but_one_that_is_none_is_refused() -> None:
    async with housing() as s:
        door = await s.hang()
        point = await s.app.log.head()
        others = [Token(uuid4(), 7), Token(s.app.log.id, point.position, uuid4())]
        for other in others:
            headers = {"last-event-id": str(other)}
            async with following(s.client, f"{door}/events", headers) as client:
                assert (await client.next()).data["colour"] == "red"
        async with following(s.client, f"{door}/events", {"last-event-id": "7"}) as client:
            assert (client.response.status_code, problem_of(client.response)) == (
                422,
                "invalid-token",
            )


async def test_there_are_so_many_streams_and_their_places_are_free_when_clients_are_gone() -> None:
    async with housing(limits=Limits(streams=2)) as s:
        async with (
            following(s.client, "/doors/count/events") as one,
            following(s.client, "/doors/events"),
        ):
            await one.next()
            refused = await s.client.get("/doors/count/events")
            assert (refused.status_code, problem_of(refused)) == (503, "overloaded")
            assert refused.headers["retry-after"] == "1"
        await wait_until(lambda: s.watched == 0)
        async with following(s.client, "/doors/count/events") as again:
            assert (await again.next()).data == 0


async def test_a_refused_stream_takes_no_place() -> None:
    async with housing(limits=Limits(streams=1)) as s:
        for _ in range(3):
            assert (await s.client.get(f"/doors/{uuid4()}/events")).status_code == 409
        async with following(s.client, "/doors/count/events") as client:
            assert (await client.next()).data == 0


async def test_each_actor_may_have_so_many_of_their_own_tenant() -> None:
    allow = dict.fromkeys(["HangDoor", "CountDoors"], anyone)
    limits, count = Limits(streams_each=1), "/doors/count/events"
    async with housing(identity=bearer, limits=limits, allow=allow) as s:
        await s.hang(**by("ada"))
        async with (
            following(s.client, count, by("ada")) as adas,
            following(s.client, count, by("eve")) as eves,
        ):
            assert [(await adas.next()).data, (await eves.next()).data] == [1, 0]
            refused = await s.client.get(count, headers=by("ada"))
            assert (refused.status_code, problem_of(refused)) == (429, "too-many-requests")
            assert (await s.client.get(count)).status_code == 401
            assert (await s.client.get("/doors/events", headers=by("ada"))).status_code == 403
            await s.hang(**by("eve"))
            assert (await eves.next()).data == 1


async def test_who_has_no_name_leaves_some_streams_to_those_who_have_one() -> None:
    limits, count = Limits(streams=4, streams_unnamed=2, streams_each=1), "/doors/count/events"
    async with (
        housing(identity=bearer, limits=limits, allow={"CountDoors": anyone}) as s,
        AsyncExitStack() as streams,
    ):
        clients = []  # one that is forgotten goes away
        for name in ("guest", "customer", "ada", "eve"):  # two of them known to nobody
            clients.append(await streams.enter_async_context(following(s.client, count, by(name))))
            assert (await clients[-1].next()).data == 0
            if name == "customer":
                for each in ("guest", "customer"):
                    refused = await s.client.get(count, headers=by(each))
                    assert (refused.status_code, problem_of(refused)) == (503, "overloaded")
        assert (await s.client.get(count, headers=by("bob"))).status_code == 503  # all are taken


async def test_the_visitors_of_a_tenant_do_not_share_what_one_actor_may_have() -> None:
    limits, count = Limits(streams_each=1), "/doors/count/events"
    async with (
        housing(identity=bearer, limits=limits, allow={"CountDoors": anyone}) as s,
        following(s.client, count, by("customer")) as one,
        following(s.client, count, by("customer")) as other,
    ):
        assert [(await one.next()).data, (await other.next()).data] == [0, 0]


async def test_a_service_without_an_identity_holds_no_streams_back() -> None:
    count = "/doors/count/events"
    async with (
        housing(limits=Limits(streams=2, streams_unnamed=1)) as s,
        following(s.client, count) as one,
        following(s.client, count) as other,
    ):
        assert [(await one.next()).data, (await other.next()).data] == [0, 0]


async def test_a_body_that_has_lines_is_still_one_answer() -> None:
    """What is shown may have been encoded elsewhere, with newlines of either kind."""

    def show(count: int) -> msgspec.Raw:
        return msgspec.Raw(b'{\r\n  "count":\r%d\n}\n\n' % count)

    app, api = house(), FastAPI()
    mount(api, app, routes=[live_route("GET /count/events", CountDoors, show=show)])
    async with app, on_a_socket(api) as client, following(client, "/count/events") as stream:
        found = await stream.next()
        assert (found.name, found.data) == ("answer", {"count": 0})


async def test_only_who_may_ask_is_told_a_token_where_nothing_is() -> None:
    async with housing(identity=bearer, allow={"GetDoor": known}, cookie=True) as s:
        missing = f"/doors/{uuid4()}/events"
        found = await s.client.get(missing, headers=by("ada"))
        assert (found.status_code, "diptych-token" in found.headers) == (409, True)
        stranger = await s.client.get(missing, headers=by("guest"))
        assert (stranger.status_code, "diptych-token" in stranger.headers) == (403, False)


async def test_a_stream_has_an_end_so_that_who_may_not_any_more_does_not() -> None:
    limits, count = Limits(stream_seconds=0.2), "/doors/count/events"
    async with housing(limits=limits) as s, following(s.client, count) as client:
        await client.next()
        with pytest.raises(StopAsyncIteration):
            await client.next()


async def test_streams_end_completely_when_the_server_stops() -> None:
    app, api = house(), FastAPI()
    mount(api, app, routes=[*routes(), *live_routes()], lifespan=False)
    listener, stop = listen(0), asyncio.Event()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with app, asyncio.timeout(5):
        serving = asyncio.create_task(serve(api, listener, stop=stop))
        client = httpx.AsyncClient(base_url=url)
        async with client, client.stream("GET", "/doors/count/events") as response:
            lines = response.aiter_lines()
            while await anext(lines) != "data: 0":
                pass
            stop.set()
            assert [line async for line in lines] == [""]  # no broken connection
        await serving


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_streams_end_when_uvicorn_stops_that_was_started_by_itself(
    number: signal.Signals,
) -> None:
    listener = listen(0)
    fd, url = listener.fileno(), f"http://127.0.0.1:{listener.getsockname()[1]}"
    command = [sys.executable, "-m", "uvicorn", "tests.integration.web.plain:api", "--fd", str(fd)]
    server = await asyncio.create_subprocess_exec(*command, pass_fds=[fd], stderr=PIPE)
    listener.close()
    try:
        client = httpx.AsyncClient(base_url=url, timeout=60)
        async with client, client.stream("GET", "/doors/count/events") as response:
            lines = response.aiter_lines()
            while await anext(lines) != "data: 0":
                pass
            server.send_signal(number)
            async with asyncio.timeout(10):
                assert [line async for line in lines] == [""]
        async with asyncio.timeout(10):
            _, said = await server.communicate()
        assert b"Traceback" not in said
        assert b"Finished server process" in said
    finally:
        if server.returncode is None:
            server.kill()
            await server.wait()


async def test_a_client_that_does_not_read_is_dropped() -> None:
    app, api = house(), FastAPI()
    limits = Limits(write_seconds=0.1, heartbeat_seconds=0.05)
    mount(api, app, routes=[*routes(), *live_routes()], limits=limits, lifespan=False)
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)
        if len(sent) > 2:
            await asyncio.Event().wait()

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/doors/count/events",
        "query_string": b"",
        "headers": [],
        "http_version": "1.1",
        "scheme": "http",
        "root_path": "",
    }
    async with app, asyncio.timeout(5):
        await api(scope, receive, send)
        assert [message["type"] for message in sent][:2] == [
            "http.response.start",
            "http.response.body",
        ]
        running = app._right._running
        assert running is not None
        assert running.live._watched() == []


def test_streams_are_described() -> None:
    api = FastAPI()
    mount(api, house(), routes=[*routes(), *live_routes()])
    described = api.openapi()["paths"]["/doors/{door_id}/events"]["get"]
    content = described["responses"]["200"]["content"]["text/event-stream"]
    data = content["itemSchema"]["properties"]["data"]
    assert data["contentSchema"] == {"$ref": "#/components/schemas/Seen"}
    assert {"429", "503", "404", "422"} <= described["responses"].keys()
    names = {each["name"] for each in described["parameters"]}
    assert {"door_id", "Last-Event-ID", "Diptych-Token"} == names
