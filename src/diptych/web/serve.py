"""`serve`: an ASGI application on uvicorn, with limits, until SIGTERM, and then cleanly."""

import asyncio
import signal
import socket
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import h11
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from diptych.web.problems import MEDIA_TYPE, Problem
from diptych.web.stopping import STOPPING, Stopping

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_BACKLOG: Final = 2_048
_UNREAD_MILLISECONDS: Final = 30_000
_MAX_HEAD: Final = 262_144
"""Beyond what the guard allows, so that the guard answers, and says what the limit is."""


def listen(port: int, host: str = "127.0.0.1") -> socket.socket:
    """A socket that accepts connections, which wait until `serve` answers them.

    Raises: OSError: the port is taken or not allowed.
    """
    # With the protocol named: asyncio switches Nagle's algorithm off only where it sees TCP, and
    # with it on every answer waits 40 ms for the client's delayed acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _give_up_on_who_does_not_read(listener)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _give_up_on_who_does_not_read(listener: socket.socket) -> None:
    """A connection that is closed while its client reads nothing would be kept until it does."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux has it, for accepted sockets too
    if option is not None:
        listener.setsockopt(socket.IPPROTO_TCP, option, _UNREAD_MILLISECONDS)


async def serve(
    api: ASGIApp,
    listener: socket.socket,
    *,
    graceful_seconds: int = 10,
    stop: asyncio.Event | None = None,
) -> None:
    """Answer requests until SIGTERM or SIGINT; return when those under way are answered.

    With `stop`, until that is set: signals are then the caller's. What `api` needs is opened before
    and closed after, around the call: the lifespan is not run.
    """
    stopping = Stopping()
    config = uvicorn.Config(
        _telling(api, stopping),
        http=_Protocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        h11_max_incomplete_event_size=_MAX_HEAD,
        timeout_graceful_shutdown=graceful_seconds,
    )
    if stop is None:
        await _serve_until_signal(_Server(config, stopping), listener)
    else:
        await _serve_until(stop, _QuietServer(config, stopping), listener)


async def _serve_until_signal(server: uvicorn.Server, listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    # uvicorn raises the signal that stopped it once more when it is done. Without a handler of ours
    # that would end the process before the log is closed.
    for number in _SIGNALS:
        loop.add_signal_handler(number, lambda: None)
    try:
        await server.serve(sockets=[listener])
    finally:
        await asyncio.sleep(0)
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


async def _serve_until(
    stop: asyncio.Event, server: uvicorn.Server, listener: socket.socket
) -> None:
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="diptych-http")
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        server.should_exit = True
        stopping.cancel()
        await serving


def _telling(api: ASGIApp, stopping: Stopping) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope[STOPPING] = stopping
        await api(scope, receive, send)

    return app


class _Server(uvicorn.Server):
    """Ends what would not end by itself, before it waits for all that is under way."""

    def __init__(self, config: uvicorn.Config, stopping: Stopping) -> None:
        super().__init__(config)
        self._stopping = stopping

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping.begin()
        await super().shutdown(sockets)


class _QuietServer(_Server):
    """Leaves signals alone."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class _Protocol(H11Protocol):
    """Answers what is not even HTTP with a problem, as everything else is answered."""

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - repeats parts of the request
        problem = Problem(status=400, code="bad-request", detail="This is not an HTTP request.")
        body = bytes(problem.response().body)
        headers = [
            ("content-type", MEDIA_TYPE),
            ("content-length", str(len(body))),
            ("connection", "close"),
        ]
        head = h11.Response(status_code=400, headers=headers, reason=b"Bad Request")
        for event in (head, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
