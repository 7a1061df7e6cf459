"""`Turns`: one at a time for each key, in the order of arrival."""

import asyncio
from collections import deque
from collections.abc import Hashable


class Turns:
    """Locks by name that exist only while somebody holds or awaits them."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}

    @property
    def busy(self) -> bool:
        """Whether anybody holds a turn."""
        return bool(self._waiting)

    async def take(self, key: Hashable) -> None:
        """Wait for the turn; give it back with `release`, whatever happens."""
        waiting = self._waiting.get(key)
        if waiting is None:
            self._waiting[key] = deque()
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release(key)  # the turn came together with the cancellation
            raise

    def release(self, key: Hashable) -> None:
        waiting = self._waiting[key]
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._waiting[key]
