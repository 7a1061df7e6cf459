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
        self._waiting: deque[asyncio.Future[bool]] = deque()
        self._free = asyncio.Event()
        self._free.set()
        self.closed = False

    async def take(self) -> None:
        """Raises: Overloaded: 1,000 are waiting. StoreClosed."""
        given = False
        if not self.closed and self._taken < self._limit:
            self._taken += 1
            self._free.clear()
            return
        if not self.closed:
            given = await self._wait()
        if self.closed:
            if given:
                self.give()
            raise StoreClosed("the read database is closed")

    def give(self) -> None:
        """Whoever is woken has the place that became free: nobody else gets it meanwhile."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(True)
                return
        self._taken -= 1
        if not self._taken:
            self._free.set()

    def close(self) -> None:
        """Wake everybody: they find it closed."""
        self.closed = True
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(False)
        self._waiting.clear()

    async def all_given_back(self) -> None:
        await self._free.wait()

    async def _wait(self) -> bool:
        """Whether it was given a place; if not, it was closed."""
        if len(self._waiting) >= _MAX_WAITING:
            raise Overloaded(waiting=len(self._waiting), limit=_MAX_WAITING)
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.result():
                self.give()
            raise
