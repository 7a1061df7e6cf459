"""`Pool`: a few connections for short reads, with a second attempt when one was lost."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from diptych.errors import StoreClosed
from diptych.postgres_library.connection import Wanted, connect, cut_off, farewell
from diptych.postgres_library.driver import Connection
from diptych.postgres_library.errors import is_passing, translate
from diptych.postgres_library.url import PostgresUrl

T = TypeVar("T")

PATIENCE: Final = 10.0
"""Seconds for which a server that is away is tried again: a restart or a failover."""
DEADLINE: Final = 30.0
"""Seconds after which a call that is not answered loses its socket. Nothing is cancelled."""


class Pauses:
    """How long to wait between attempts, and when to give up."""

    def __init__(self, patience: float) -> None:
        self._until = time.monotonic() + patience
        self._next = 0.0

    async def wait(self) -> bool:
        """Wait a little; False if there is no time left. The first attempt follows at once."""
        if time.monotonic() + self._next > self._until:
            return False
        await asyncio.sleep(self._next)
        self._next = min(2 * self._next, 0.5) or 0.02
        return True


class Pool:
    """At most `size` connections, opened when they are needed, for one event loop.

    What was used last is used next, so a quiet application has few of them.
    """

    def __init__(
        self,
        url: PostgresUrl,
        wanted: Wanted,
        *,
        size: int,
        patience: float = PATIENCE,
        deadline: float = DEADLINE,
    ) -> None:
        self._url, self._wanted = url, wanted
        self._patience, self._deadline = patience, deadline
        self._free = asyncio.Semaphore(size)
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()
        self._closed = False

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do `work`, which only reads: again, if its connection is lost or the server is away.

        Raises: StoreError.
        """
        pauses: Pauses | None = None
        while True:
            try:
                async with self.connection() as connection, cut_off(connection, self._deadline):
                    return await work(connection)
            except Exception as error:
                if self._closed or not is_passing(error):
                    raise translate(error, self._url.shown) from error
                pauses = pauses or Pauses(self._patience)
                if not await pauses.wait():
                    raise translate(error, self._url.shown) from error

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Connection]:
        """A connection; after anything but success, or inside a transaction, it is not kept.

        Raises: StoreError: none is to be had.
        """
        async with self._free:
            connection = await self._take()
            self._busy.add(connection)
            kept = False
            try:
                yield connection
                kept = not (self._closed or connection.is_in_transaction())
            finally:
                self._busy.discard(connection)
                if kept:
                    self._idle.append(connection)
                else:
                    connection.terminate()

    async def close(self) -> None:
        """Close what is idle; what is busy is cut off. Whoever comes later gets `StoreClosed`."""
        self._closed = True
        idle, self._idle = self._idle, []
        for connection in self._busy:
            connection.terminate()
        await asyncio.gather(*(farewell(connection) for connection in idle))

    async def _take(self) -> Connection:
        if self._closed:
            raise StoreClosed(f"{self._url.shown}: is closed")
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return await connect(self._url, self._wanted)
