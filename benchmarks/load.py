"""A load generator in plain sockets: the same bytes again and again, over connections that stay.

It parses of an answer only what it must, so that one core of it asks for more than one core of a
server can answer; `Load.busy` says how much of its core it used.
"""

import asyncio
import time
from dataclasses import dataclass

_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


@dataclass(frozen=True)
class Load:
    """`rate` answers a second; `busy` is the share of one core that asking took."""

    rate: float
    busy: float


class _Connection(asyncio.Protocol):
    def __init__(self, request: bytes, left: list[int], status: bytes) -> None:
        self._request, self._left, self._status = request, left, status
        self._received = b""
        self._transport: asyncio.Transport
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(_END)
        if not found or len(body) < _length(head):
            return
        if head[9:12] != self._status:
            self.done.set_exception(RuntimeError(self._received.decode(errors="replace")))
            self._transport.close()
            return
        self._received = body[_length(head) :]
        self._ask()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server closed the connection"))

    def _ask(self) -> None:
        if self._left[0]:
            self._left[0] -= 1
            self._transport.write(self._request)
        elif not self.done.done():
            self.done.set_result(None)
            self._transport.close()


def _length(head: bytes) -> int:
    found = head.lower().partition(_LENGTH)[2]
    return int(found.partition(b"\r\n")[0] or 0)


async def load(port: int, request: bytes, *, status: int, total: int, connections: int) -> Load:
    """Have `total` requests answered with `status`, over `connections` at once.

    Raises: RuntimeError: an answer had another status. ConnectionError.
    """
    loop, left = asyncio.get_running_loop(), [total]
    used, began = time.process_time(), time.perf_counter()
    made = [
        await loop.create_connection(
            lambda: _Connection(request, left, b"%d" % status), "127.0.0.1", port
        )
        for _ in range(connections)
    ]
    await asyncio.gather(*(connection.done for _, connection in made))
    seconds = time.perf_counter() - began
    return Load(total / seconds, (time.process_time() - used) / seconds)


def request(method: str, path: str, body: bytes = b"") -> bytes:
    """A request in HTTP/1.1."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body
