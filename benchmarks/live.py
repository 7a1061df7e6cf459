"""What do a thousand clients of live queries cost the commands of others, and in memory?

The order service is one process: it takes durable commands, projects its views and keeps a stream
open for each client, who follows an order of their own in which nothing happens. The commands are
sent over four connections, each as soon as the last is answered, and place other orders: so the
views of all clients move, a thousand times a second or more, and their own rows do not.
"""

import asyncio
import math
import time
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

from benchmarks.children import child, itself
from benchmarks.harness import Bound, Question, report
from benchmarks.http import body
from benchmarks.load import request
from benchmarks.memory import resident

CLIENTS = 1_000
CONNECTIONS = 4
COMMANDS = 4_000
WARM_UP = 500

MEMORY: list[float] = []
"""Kilobytes by which the service grew for each client, in each round."""


class _Stream(asyncio.Protocol):
    """Reads a stream, and is `shown` once the first answer is there."""

    def __init__(self) -> None:
        self.shown: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._received = b""

    def data_received(self, data: bytes) -> None:
        if not self.shown.done():
            self._received += data
            if b"event: answer" in self._received:
                self.shown.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.shown.done():
            self.shown.set_exception(error or ConnectionError(self._received.decode()))


async def follow(port: int, order_id: UUID) -> asyncio.BaseTransport:
    loop = asyncio.get_running_loop()
    transport, stream = await loop.create_connection(_Stream, "127.0.0.1", port)
    transport.write(request("GET", f"/orders/{order_id}/events"))
    await stream.shown
    return transport


class _Sender:
    """One connection that stays."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, sent: bytes) -> float:
        """Milliseconds until it was answered."""
        began = time.perf_counter()
        self._writer.write(sent)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 201"):
            raise RuntimeError(head.decode())
        length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
        await self._reader.readexactly(int(length))
        return (time.perf_counter() - began) * 1_000


async def commands(port: int, bodies: list[bytes]) -> list[float]:
    """The latency of each."""
    left = iter(bodies)

    async def one() -> list[float]:
        sender = _Sender(*await asyncio.open_connection("127.0.0.1", port))
        return [await sender.send(request("POST", "/orders", each)) for each in left]

    found = await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    return [each for those in found for each in those]


async def measure(folder: Path, *, clients: int) -> float:
    """The latency in milliseconds that one command in a hundred exceeds."""
    async with child(*itself("http", "service", folder)) as server:
        port = int(await server.hear())
        ids = [uuid4() for _ in range(CLIENTS)]
        await commands(port, [body(order_id) for order_id in ids])
        await commands(port, [body()] * WARM_UP)
        before = resident(server.pid)
        streams = [await follow(port, order_id) for order_id in ids[:clients]]
        if clients:
            MEMORY.append((resident(server.pid) - before) * 1_000 / clients)
        found = sorted(await commands(port, [body()] * COMMANDS))
        for stream in streams:
            stream.close()
    return found[math.ceil(len(found) * 0.99) - 1]


NONE, MANY = "nobody follows anything", f"{CLIENTS:,} idle clients of live queries"


async def main() -> bool:
    asked = Question(
        "live",
        f"p99 of a durable command over HTTP, {CONNECTIONS} connections, SQLite, one process",
        "ms",
        {NONE: partial(measure, clients=0), MANY: partial(measure, clients=CLIENTS)},
    )
    await asked.run()
    asked.about = {"kilobytes a client": f"{max(MEMORY):.0f}"}
    bounds = [
        Bound("p99 with clients / without", asked.ratio(MANY, NONE), 1.5, at_least=False),
        Bound("memory of the service for each client, kB", max(MEMORY), 100, at_least=False),
    ]
    return report(asked, bounds)
