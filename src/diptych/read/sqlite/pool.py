"""The connections that queries read through: a few, opened when needed, each for one at a time."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from diptych.errors import Overloaded, StoreClosed
from diptych.read.sqlite.connection import Connection

_MAX_WAITING: Final = 1_000


class Pool:
    """Gives connections out in the order in which they were asked for."""

    def __init__(self, connect: Callable[[], Connection], *, limit: int) -> None:
        self._connect, self._limit = connect, limit
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._promised = 0
        self._closed = False

    async def take(self) -> Connection:
        """Raises: Overloaded: 1,000 queries are waiting. StoreClosed. StoreError: cannot open."""
        if len(self._busy) + self._promised >= self._limit and not self._closed:
            await self._wait()
            self._promised -= 1
        if self._closed:
            raise StoreClosed("the read database is closed")
        connection = self._idle.pop() if self._idle else self._connect()
        self._busy.add(connection)
        return connection

    def give(self, connection: Connection, *, sound: bool = True) -> None:
        """Take it back; one that is not `sound` is closed."""
        self._busy.discard(connection)
        if sound and not self._closed:
            self._idle.append(connection)
        else:
            connection.close()
        self._wake_next()

    def close(self) -> None:
        """Close what is idle; what is in use is closed when it is given back."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()
        while self._waiting:
            self._wake_next()

    async def _wait(self) -> None:
        if len(self._waiting) >= _MAX_WAITING:
            raise Overloaded(waiting=len(self._waiting), limit=_MAX_WAITING)
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._promised -= 1
                self._wake_next()
            raise

    def _wake_next(self) -> None:
        """Whoever is woken has the place that became free: nobody else gets it meanwhile."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                self._promised += 1
                return
