"""Places for a few connections: who comes first gets one first, and nobody waits for ever."""

import asyncio
from collections import deque
from typing import Final

from diptych.errors import Overloaded, StoreClosed

_MAX_WAITING: Final = 1_000


class Places:
    """Gives places out in the order in which they were asked for."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.closed = False

    async def take(self) -> None:
        """Raises: Overloaded: 1,000 are waiting. StoreClosed."""
        if self._taken < self._limit and not self.closed:
            self._taken += 1
            return
        if not self.closed:
            await self._wait()
        if self.closed:
            raise StoreClosed("the read database is closed")

    def give(self) -> None:
        """Whoever is woken has the place that became free: nobody else gets it meanwhile."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._taken -= 1

    def close(self) -> None:
        """Wake everybody: they find it closed."""
        self.closed = True
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        self._waiting.clear()

    async def _wait(self) -> None:
        if len(self._waiting) >= _MAX_WAITING:
            raise Overloaded(waiting=len(self._waiting), limit=_MAX_WAITING)
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and not self.closed:
                self.give()
            raise
