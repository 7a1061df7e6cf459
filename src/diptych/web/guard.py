"""`Guard`: the pure ASGI shell that no request gets past unchecked and no answer leaves unfinished.

Limits are checked here, before any route runs, and the body is counted while it arrives, because
neither `Content-Length` nor its absence can be believed. What a route lets escape is answered as a
problem. A response that has begun cannot be taken back: then the connection is what fails.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from diptych.errors import ConfigurationError
from diptych.web.deadline import Deadline
from diptych.web.origins import Origins
from diptych.web.problems import Problems, RequestRefused

RawHeaders = Sequence[tuple[bytes, bytes]]
Finish = Callable[[Scope, Collection[bytes]], Awaitable[RawHeaders]]
"""Gives the headers that an answer to this request lacks, where its route has set these names."""

_ALWAYS: Final[RawHeaders] = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
_DISCARD_SECONDS: Final = 1.0
_DISCARD_BODIES: Final = 8
_ONCE: Final = frozenset([b"host", b"content-length", b"content-type", b"content-encoding"])
_PATTERN: Final = re.compile(r"(\*\.)?[A-Za-z0-9._\-]+|\[[0-9A-Fa-f:.]+\]")
_PORT: Final = re.compile(rb":[0-9]+\Z")
_HOST: Final = re.compile(rb"[A-Za-z0-9._\-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request may have at most: bytes, headers, seconds until its body is there, and until
    a mounted route has answered it.

    Of live queries there are so many `streams` at a time, and `streams_each` of one actor with a
    name. Where there is an identity, all actors without a name have `streams_unnamed` together, so
    that they cannot take those of the others. A stream says something every `heartbeat_seconds`, is
    dropped if its client does not read for `write_seconds`, and ended after `stream_seconds`: its
    client comes again, and is judged anew.
    """

    body: int = 1_000_000
    url: int = 8_192
    headers: int = 100
    header_bytes: int = 32_768
    body_seconds: float = 30.0
    seconds: float = 60.0
    streams: int = 1_000
    streams_each: int = 20
    streams_unnamed: int = 500
    heartbeat_seconds: float = 15.0
    write_seconds: float = 10.0
    stream_seconds: float = 900.0


class Guard:
    """Wraps an ASGI application; `FastAPI.add_middleware(Guard, problems=..., finish=...)`."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        problems: Problems,
        finish: Finish,
        limits: Limits | None = None,
        hosts: Sequence[str] = (),
        origins: Origins | None = None,
    ) -> None:
        self._app, self._problems, self._finish = app, problems, finish
        self._origins = origins or Origins()
        self._limits, self._hosts = limits or Limits(), TrustedHosts(hosts)
        self._deadline = Deadline(self._limits.body_seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(receive, self._limits, self._deadline)
        answer = _Answer(scope, send, self._finish, body)
        try:
            found = check_head(scope, self._limits, self._hosts)
            self._origins.check(scope["method"], found)
            await self._app(scope, body.receive, answer.send)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - the last line: every bug is answered as one
            await self._refuse(error, scope, body, answer)
        else:
            if body.refused is not None:
                await self._refuse(body.refused, scope, body, answer)

    async def _refuse(
        self, error: Exception, scope: Scope, body: "_Body", answer: "_Answer"
    ) -> None:
        if answer.started:
            raise error
        answer.closed_to_route = False
        conditional = any(name == b"if-match" for name, _ in scope["headers"])
        problem = self._problems.of(error, conditional=conditional)
        if problem.status == 413 and (b"expect", b"100-continue") not in scope["headers"]:
            await body.discard()
        await problem.response()(scope, _nothing_more, answer.send)


class _Body:
    """The request's body, counted and timed."""

    def __init__(self, receive: Receive, limits: Limits, deadline: Deadline) -> None:
        self._receive, self._limits, self._deadline = receive, limits, deadline
        self._began, self._size = asyncio.get_running_loop().time(), 0
        self._complete = False
        self.refused: RequestRefused | None = None

    async def receive(self) -> Message:
        if self._complete:
            return await self._receive()
        if self.refused is not None:
            raise self.refused
        message = await self._timely()
        if message["type"] == "http.request":
            self._size += len(message.get("body", b""))
            self._complete = not message.get("more_body", False)
            if self._size > self._limits.body:
                raise self._refuse(too_large(self._limits.body))
        return message

    async def discard(self) -> None:
        """Read on for a moment: the connection is closed after a refusal, and a client that is
        still sending then would see a reset instead of the answer.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_DISCARD_SECONDS):
                while not self._complete and self._size < _DISCARD_BODIES * self._limits.body:
                    message = await self._receive()
                    self._size += len(message.get("body", b""))
                    self._complete = not message.get("more_body", False)

    async def _timely(self) -> Message:
        try:
            with self._deadline.limit(began=self._began):
                return await self._receive()
        except TimeoutError:
            limit = self._limits.body_seconds
            problem = f"must arrive within {limit:g} s"
            raise self._refuse(RequestRefused(408, "body", problem)) from None

    def _refuse(self, error: RequestRefused) -> RequestRefused:
        self.refused = error
        return error


class _Answer:
    """The answer on its way out. Once the body is refused, what the route says is dropped."""

    def __init__(self, scope: Scope, send: Send, finish: Finish, body: _Body) -> None:
        self._scope, self._send, self._finish, self._body = scope, send, finish, body
        self.started = False
        self.closed_to_route = True

    async def send(self, message: Message) -> None:
        if not self.started:
            if self._body.refused is not None and self.closed_to_route:
                return
            self.started = True
            message = {**message, "headers": await self._headers(message)}
        await self._send(message)

    async def _headers(self, message: Message) -> RawHeaders:
        given = list(message.get("headers", ()))
        names = {name.lower() for name, _ in given}
        given.extend(header for header in _ALWAYS if header[0] not in names)
        given.extend(await self._finish(self._scope, names))
        return given


class TrustedHosts:
    """Host names that requests may be for: `shop.example`, `*.shop.example`; none means any.

    Raises: ConfigurationError: one of them is no host name.
    """

    def __init__(self, names: Sequence[str]) -> None:
        for name in names:
            if not _PATTERN.fullmatch(name):
                raise ConfigurationError(f"hosts= has {name!r}: write names, or *. and a name")
        lower = [name.lower().encode() for name in names]
        self._exact = frozenset(name for name in lower if not name.startswith(b"*"))
        self._ends = tuple(name[1:] for name in lower if name.startswith(b"*"))
        self._any = not lower

    def __contains__(self, host: bytes) -> bool:
        if self._any:
            return True
        name = _PORT.sub(b"", host).lower()
        return name in self._exact or name.endswith(self._ends)


def check_head(scope: Scope, limits: Limits, hosts: TrustedHosts) -> dict[bytes, bytes]:
    """The headers by their names.

    Raises: RequestRefused: URL or headers are too large, repeated, malformed or not for us.
    """
    path = scope.get("raw_path") or scope["path"].encode(errors="replace")
    if len(path) + len(scope["query_string"]) > limits.url:
        raise RequestRefused(414, "url", f"at most {limits.url} bytes", limit=limits.url)
    found: dict[bytes, bytes] = {}
    size = 0
    for name, value in scope["headers"]:
        if name in found and name in _ONCE:
            raise RequestRefused(400, name.decode(), "must not be repeated")
        found[name] = value
        size += len(name) + len(value)
    _check_sizes(len(scope["headers"]), size, limits)
    host = found.get(b"host", b"localhost")
    if not _HOST.fullmatch(host):
        raise RequestRefused(400, "host", "must be a host name and port")
    if host not in hosts:
        raise RequestRefused(400, "host", "is not a name of this service")
    if found.get(b"content-encoding", b"identity").lower() != b"identity":
        raise RequestRefused(415, "content-encoding", "must be identity: nothing is unpacked here")
    _check_length(found, limits)
    return found


def too_large(limit: int) -> RequestRefused:
    return RequestRefused(413, "body", f"at most {limit} bytes", limit=limit)


def _check_sizes(count: int, size: int, limits: Limits) -> None:
    if count > limits.headers:
        problem = f"at most {limits.headers} headers"
        raise RequestRefused(431, "headers", problem, limit=limits.headers)
    if size > limits.header_bytes:
        problem = f"at most {limits.header_bytes} bytes"
        raise RequestRefused(431, "headers", problem, limit=limits.header_bytes)


def _check_length(headers: dict[bytes, bytes], limits: Limits) -> None:
    length = headers.get(b"content-length")
    if length is None:
        return
    if b"transfer-encoding" in headers:
        raise RequestRefused(400, "content-length", "must not come with a transfer-encoding")
    if not length.isdigit() or len(length) > 19:
        raise RequestRefused(400, "content-length", "must be a number of bytes")
    if int(length) > limits.body:
        raise too_large(limits.body)


async def _nothing_more() -> Message:
    return {"type": "http.disconnect"}
