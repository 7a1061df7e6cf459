"""`Turns`: one at a time for each key, in the order of arrival."""

import asyncio
from collections import deque
from collections.abc import Hashable


class Turns:
    """Locks by name that exist only while somebody holds or awaits them."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, deque[asyncio.Future[None]] | None] = {}

    @property
    def busy(self) -> bool:
        """Whether anybody holds a turn."""
        return bool(self._waiting)

    def begin(self, key: Hashable) -> bool:
        """Take the turn if nobody has it, else `wait` for it. `release` it, whatever happens."""
        if key in self._waiting:
            return False
        self._waiting[key] = None
        return True

    async def wait(self, key: Hashable) -> None:
        """Queue for a turn that somebody has."""
        queue = self._waiting[key]
        if queue is None:
            queue = self._waiting[key] = deque()
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release(key)  # the turn came together with the cancellation
            raise

    def release(self, key: Hashable) -> None:
        queue = self._waiting[key]
        while queue:
            turn = queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._waiting[key]
