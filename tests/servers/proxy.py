"""A TCP proxy that cuts, stalls and refuses connections on command, where a test wants it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

_CHUNK: Final = 65_536
Matcher = Callable[[bytes], bool]


@dataclass(eq=False, slots=True)
class Trap:
    """Something that happens once: when `matches` is true of data of the `side` that sends it.

    `sprung` is set when it happened. With `forward`, the other side gets that data first.
    """

    side: str
    matches: Matcher
    forward: bool
    mute: bool = False
    sprung: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(eq=False, slots=True)
class _Pair:
    """One connection through the proxy: what it has of the client and of the server."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    muted: bool = False  # the server's answers are thrown away: the next one cuts

    def cut(self) -> None:
        for writer in (self.client, self.server):
            with suppress(RuntimeError):
                writer.transport.abort()


class Proxy:
    """Passes bytes between clients and one server until it is told to do worse.

    `cut()` resets all connections; `refuse()` also new ones; `stall()` stops all bytes while the
    connections stay; `resume()` ends both. A trap waits for one piece of data and cuts there.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._pairs: set[_Pair] = set()
        self._traps: list[Trap] = []
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._refusing = False
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.accepted = 0

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client to its end."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.accepted += 1
        try:
            if self._refusing:
                raise ConnectionError
            server_reader, server_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        pair = _Pair(writer, server_writer)
        self._pairs.add(pair)
        try:
            await self._pump_both(pair, reader, server_reader)
        finally:
            pair.cut()
            self._pairs.discard(pair)

    async def _pump_both(
        self, pair: _Pair, client: asyncio.StreamReader, server: asyncio.StreamReader
    ) -> None:
        pumps = {
            asyncio.create_task(self._pump("client", pair, client, pair.server)),
            asyncio.create_task(self._pump("server", pair, server, pair.client)),
        }
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(
        self, side: str, pair: _Pair, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        while data := await source.read(_CHUNK):
            await self._flowing.wait()
            if side == "server" and pair.muted:
                return  # the server has worked and answered; the client never hears of it
            trap = self._trap_for(side, data)
            if trap is None or trap.forward:
                sink.write(data)
                await sink.drain()
            if trap is not None:
                trap.sprung.set()
                pair.muted = trap.mute
                if not trap.mute:
                    return

    def _trap_for(self, side: str, data: bytes) -> Trap | None:
        for trap in self._traps:
            if trap.side == side and trap.matches(data):
                self._traps.remove(trap)
                return trap
        return None

    def cut_before_request(self, matches: Matcher) -> Trap:
        """Cut when a client sends such data: the server never sees it."""
        return self._set(Trap("client", matches, forward=False))

    def cut_after_request(self, matches: Matcher) -> Trap:
        """Pass such data on to the server, then cut at once: it may or may not do it."""
        return self._set(Trap("client", matches, forward=True))

    def cut_before_answer(self, matches: Matcher) -> Trap:
        """Pass such data on, let the server do it, and cut instead of passing on its answer."""
        return self._set(Trap("client", matches, forward=True, mute=True))

    def _set(self, trap: Trap) -> Trap:
        self._traps.append(trap)
        return trap

    def cut(self) -> int:
        """Reset every connection; give how many there were."""
        pairs = list(self._pairs)
        for pair in pairs:
            pair.cut()
        return len(pairs)

    def refuse(self) -> None:
        """Reset every connection, and new ones too, until `resume()`."""
        self._refusing = True
        self.cut()

    def stall(self) -> None:
        """Pass nothing on until `resume()`; connections stay open and silent."""
        self._flowing.clear()

    def resume(self) -> None:
        """Be a plain proxy again."""
        self._refusing = False
        self._flowing.set()

    async def end(self) -> None:
        """Cut everything and wait for it."""
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def proxy_to(url: str) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy to the server of `url`, and the URL that goes through it."""
    parts = urlsplit(url)
    proxy = Proxy(parts.hostname or "127.0.0.1", parts.port or 5432)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    try:
        yield proxy, parts._replace(netloc=f"{user}127.0.0.1:{proxy.port}").geturl()
    finally:
        server.close()
        await proxy.end()
