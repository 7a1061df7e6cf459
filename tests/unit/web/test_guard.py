"""The guard refuses what is too large, too slow or malformed, and finishes every answer."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from diptych.web.guard import Guard, Limits, RawHeaders
from diptych.web.problems import Problems
from tests.unit.web.asgi import call, scope_of

LIMITS = Limits(body=100, url=200, headers=10, header_bytes=1_000)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the length of the body."""
    body = await Request(scope, receive).body()
    await PlainTextResponse(str(len(body)))(scope, receive, send)


async def careless(scope: Scope, receive: Receive, send: Send) -> None:
    """Takes every failure for a reason to answer 200."""
    with contextlib.suppress(Exception):
        await Request(scope, receive).body()
    await PlainTextResponse("fine")(scope, receive, send)


async def with_token(_: Scope, given: Collection[bytes]) -> RawHeaders:
    return [] if b"diptych-token" in given else [(b"diptych-token", b"t")]


def guard(app: ASGIApp = echo, limits: Limits = LIMITS) -> Guard:
    return Guard(app, problems=Problems(), finish=with_token, limits=limits)


async def test_a_body_at_the_limit_passes() -> None:
    reply = await call(guard(), scope_of("POST", "/"), [b"x" * 60, b"x" * 40])
    assert (reply.status, reply.body) == (200, b"100")


@pytest.mark.parametrize("app", [echo, careless])
async def test_a_chunked_body_over_the_limit_is_refused_while_it_arrives(app: ASGIApp) -> None:
    reply = await call(guard(app), scope_of("POST", "/"), [b"x" * 60, b"x" * 41, b"x" * 9_999])
    assert (reply.status, reply.problem) == (413, "content-too-large")
    assert reply.json["errors"] == [{"field": "body", "detail": "at most 100 bytes", "limit": 100}]
    assert reply.headers["connection"] == "close"


async def test_a_declared_length_over_the_limit_is_refused_before_the_body_is_read() -> None:
    headers = [(b"content-length", b"101")]
    assert (await call(guard(), scope_of("POST", "/", headers))).status == 413


async def test_a_length_that_lies_does_not_help() -> None:
    headers = [(b"content-length", b"5")]
    assert (await call(guard(), scope_of("POST", "/", headers), [b"x" * 101])).status == 413


async def test_a_client_that_is_still_sending_is_heard_out_for_a_while() -> None:
    chunks = [b"x" * 100] * 20
    left = len(chunks)

    async def receive() -> Message:
        nonlocal left
        left -= 1
        return {"type": "http.request", "body": chunks[left], "more_body": left > 0}

    sent = await _drive(guard(), receive)
    assert sent[0]["status"] == 413
    assert left == 20 - 8


@pytest.mark.parametrize("length", [b"-1", b"abc", b"", b"1e3", b"9" * 40, "²".encode()])
async def test_a_length_that_is_no_number_is_refused(length: bytes) -> None:
    reply = await call(guard(), scope_of("POST", "/", [(b"content-length", length)]))
    assert (reply.status, reply.problem) == (400, "bad-request")


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-length", b"1"), (b"content-length", b"2")],
        [(b"content-length", b"1"), (b"transfer-encoding", b"chunked")],
        [(b"host", b"other")],
        [(b"content-type", b"application/json"), (b"content-type", b"text/html")],
    ],
)
async def test_headers_that_contradict_each_other_are_refused(headers: RawHeaders) -> None:
    assert (await call(guard(), scope_of("POST", "/", headers))).status == 400


@pytest.mark.parametrize("host", [b"a/b", b"a b", b"a@b", b"[", b"h:x", "ä".encode(), b""])
async def test_a_malformed_host_is_refused(host: bytes) -> None:
    scope = {**scope_of("GET", "/"), "headers": [(b"host", host)]}
    assert (await call(guard(), scope)).json["errors"][0]["field"] == "host"


@pytest.mark.parametrize("host", [b"localhost:8000", b"127.0.0.1", b"[::1]:8000", b"a.b-c.org"])
async def test_a_sound_host_passes(host: bytes) -> None:
    scope = {**scope_of("GET", "/"), "headers": [(b"host", host)]}
    assert (await call(guard(), scope)).status == 200


async def test_too_many_headers_are_refused() -> None:
    headers = [(b"x-%d" % number, b"1") for number in range(10)]
    reply = await call(guard(), scope_of("GET", "/", headers))
    assert (reply.status, reply.problem) == (431, "header-fields-too-large")


async def test_headers_that_are_too_large_together_are_refused() -> None:
    reply = await call(guard(), scope_of("GET", "/", [(b"x", b"y" * 1_000)]))
    assert (reply.status, reply.json["errors"][0]["limit"]) == (431, 1_000)


@pytest.mark.parametrize("path", ["/" + "x" * 200, "/?q=" + "x" * 200])
async def test_a_url_over_the_limit_is_refused(path: str) -> None:
    assert (await call(guard(), scope_of("GET", path))).problem == "uri-too-long"


@pytest.mark.parametrize("encoding", [b"gzip", b"br", b"gzip, gzip", b"nonsense", b"\xff"])
async def test_an_encoded_body_is_refused_unread(encoding: bytes) -> None:
    reply = await call(guard(), scope_of("POST", "/", [(b"content-encoding", encoding)]))
    assert (reply.status, reply.problem) == (415, "unsupported-media-type")


async def test_a_body_that_never_comes_is_given_up() -> None:
    async def never() -> Message:
        return await asyncio.Future()

    reply = await _drive(guard(limits=Limits(body_seconds=0.01)), never)
    assert reply[0]["status"] == 408


async def test_after_the_body_there_is_no_time_limit() -> None:
    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()
        waiting = asyncio.ensure_future(receive())
        done, _ = await asyncio.wait([waiting], timeout=0.05)
        waiting.cancel()
        await PlainTextResponse("cut off" if done else "open")(scope, receive, send)

    messages: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else await asyncio.Future()

    sent = await _drive(guard(stream, Limits(body_seconds=0.01)), receive)
    assert sent[1]["body"] == b"open"


async def test_a_bug_is_answered_without_a_word_about_it(caplog: Any) -> None:
    async def buggy(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("secret")

    reply = await call(guard(buggy), scope_of("GET", "/"))
    assert (reply.status, reply.problem) == (500, "internal-error")
    assert b"secret" not in reply.body
    instance = reply.json["instance"].removeprefix("urn:uuid:")
    assert instance in caplog.text
    assert "secret" in caplog.text


async def test_a_bug_after_the_answer_began_breaks_the_connection() -> None:
    async def buggy(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await call(guard(buggy), scope_of("GET", "/"))


async def test_a_client_that_leaves_is_no_error(caplog: Any) -> None:
    async def read(scope: Scope, receive: Receive, send: Send) -> None:
        raise ClientDisconnect

    assert await _drive(guard(read), _disconnect) == []
    assert caplog.text == ""


async def test_every_answer_gets_the_headers_that_its_route_did_not_set() -> None:
    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("", headers={"Diptych-Token": "mine"})(scope, receive, send)

    theirs = (await call(guard(), scope_of("GET", "/"))).headers
    assert theirs["diptych-token"] == "t"
    assert theirs["x-content-type-options"] == "nosniff"
    assert theirs["cache-control"] == "no-store"
    own = (await call(guard(route), scope_of("GET", "/"))).headers
    assert own["diptych-token"] == "mine"


async def test_what_is_not_http_passes_untouched() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    await guard(app)({"type": "lifespan"}, _disconnect, _ignore)
    assert seen == ["lifespan"]


async def _drive(app: ASGIApp, receive: Callable[[], Awaitable[Message]]) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope_of("POST", "/"), receive, send)
    return sent


async def _disconnect() -> Message:
    return {"type": "http.disconnect"}


async def _ignore(_: Message) -> None:
    return None
