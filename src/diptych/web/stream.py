"""`Stream`: one live query on its way to a client, as server-sent events; `Streams`: all of them.

A stream ends when its client goes away or does not read, when it is too old, when the query fails
(with a `problem`), and when the server stops. The client of all but the fourth comes again by
itself, with the id of the last event, and misses nothing.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final

from starlette.types import Receive, Scope, Send

from diptych.errors import Overloaded
from diptych.read.query import Answer
from diptych.read.watching import Watching
from diptych.web.guard import Limits
from diptych.web.identity import Actor
from diptych.web.problems import Problems, RequestRefused
from diptych.web.reply import RawHeaders
from diptych.web.stopping import STOPPING, Stopping

_HEADERS: Final[RawHeaders] = (
    (b"content-type", b"text/event-stream"),
    (b"x-accel-buffering", b"no"),  # nginx would hold events back until it has enough of them
)
_RETRY: Final = b"retry: 1000\n\n"
_HEARTBEAT: Final = b"event: heartbeat\ndata: {}\n\n"  # scripts are not told of comments
_ONE_LINE: Final = bytes.maketrans(b"\r\n", b"  ")  # in JSON they are blanks between its parts

_log = logging.getLogger("diptych.web")

_Who = tuple[str, str] | None


class Streams:
    """The streams of one mount, within its limits. Where actors are `known`, those without a name
    leave some to the others; who they are cannot be told apart, so they share theirs.
    """

    def __init__(self, limits: Limits, problems: Problems, *, known: bool) -> None:
        self.limits, self.problems, self.stopping = limits, problems, Stopping()
        self._unnamed = limits.streams_unnamed if known else limits.streams
        self._of: Counter[_Who] = Counter()

    def enter(self, actor: Actor) -> None:
        """Raises: Overloaded; RequestRefused: this actor has too many."""
        total, who = self._of.total(), _who(actor)
        own, most = self._of[who], self.limits.streams_each
        if total >= self.limits.streams:
            raise Overloaded(waiting=total, limit=self.limits.streams)
        if who is None and own >= self._unnamed:
            raise Overloaded(waiting=own, limit=self._unnamed)
        if who is not None and own >= most:
            raise RequestRefused(429, "streams", f"at most {most} at a time", limit=most)
        self._of[who] += 1

    def leave(self, actor: Actor) -> None:
        who = _who(actor)
        self._of[who] -= 1
        if not self._of[who]:
            del self._of[who]

    def __len__(self) -> int:
        return self._of.total()


class Stream:
    """What a client of a live query gets: `first`, and the answers of `watching` behind it.

    `show` makes the body of an answer, and raises what the client is told if there is none. `leave`
    is called at the end, whatever that is.
    """

    def __init__(
        self,
        first: Answer[Any],
        watching: Watching[Any],
        *,
        show: Callable[[Answer[Any]], bytes],
        leave: Callable[[], None],
        streams: Streams,
        headers: RawHeaders,
        request: tuple[Scope, Receive],
    ) -> None:
        self._watching, self._show, self._leave = watching, show, leave
        self._limits, self._problems = streams.limits, streams.problems
        self._stopping = (streams.stopping, *_told_by_server(request[0]))
        self._headers, self._receive = headers, request[1]
        self._body: bytes | None = None
        self._stale = self._over = False
        self._first = self._events(first)

    async def send(self, send: Send) -> None:
        gone: asyncio.Task[None] | None = None
        try:
            gone = asyncio.create_task(self._until_gone())
            with ExitStack() as stack:
                for stopping in self._stopping:
                    stack.enter_context(stopping.ends(self._watching.close))
                await self._send(send)
        except _NotRead:
            _log.warning("a live query was dropped: its client does not read")
        finally:
            self._watching.close()
            self._leave()
            if gone is not None:
                gone.cancel()

    async def _send(self, send: Send) -> None:
        headers = [*self._headers, *_HEADERS]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._write(send, _RETRY + self._first)
        time = asyncio.get_running_loop().time
        ends_at = time() + self._limits.stream_seconds
        while not self._over and (left := ends_at - time()) > 0:
            text = await self._next(min(left, self._limits.heartbeat_seconds))
            if text:
                await self._write(send, text)
        await self._write(send, b"", more=False)

    async def _next(self, seconds: float) -> bytes:
        """What is to be said now, at the latest after `seconds`."""
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                answer = await anext(self._watching)
            return self._events(answer)
        except StopAsyncIteration:
            self._over = True
            return b""
        except Exception as error:  # noqa: BLE001 - the client is told, as the guard would
            if limit.expired():
                return _HEARTBEAT
            self._over = True
            return _event(b"problem", bytes(self._problems.of(error).response().body))

    def _events(self, answer: Answer[Any]) -> bytes:
        """The answer, if its body is another one or was stale; and whether it is stale now."""
        body, text = self._show(answer), b""
        if body != self._body or (self._stale and not answer.stale):
            text = _event(b"answer", body, b"id: %s\n" % str(answer.token).encode())
        if answer.stale and (text or not self._stale):
            text += _event(b"stale", b'{"as_of":%d}' % answer.as_of.position)
        self._body, self._stale = body, answer.stale
        return text

    async def _write(self, send: Send, text: bytes, *, more: bool = True) -> None:
        """Raises: _NotRead: the client does not take what is sent."""
        limit = asyncio.timeout(self._limits.write_seconds)
        try:
            async with limit:
                await send({"type": "http.response.body", "body": text, "more_body": more})
        except TimeoutError:
            if limit.expired():
                raise _NotRead from None
            raise

    async def _until_gone(self) -> None:
        """A server says that a client is gone to who asks, and to nobody else."""
        try:
            while (await self._receive())["type"] != "http.disconnect":
                pass
        finally:
            self._watching.close()


class _NotRead(Exception):
    pass


def _event(name: bytes, data: bytes, more: bytes = b"") -> bytes:
    return b"event: %s\n%sdata: %s\n\n" % (name, more, data.translate(_ONE_LINE))


def _who(actor: Actor) -> _Who:
    return (actor.tenant, actor.name) if actor.name else None


def _told_by_server(scope: Scope) -> tuple[Stopping, ...]:
    found = scope.get(STOPPING)
    return (found,) if isinstance(found, Stopping) else ()
