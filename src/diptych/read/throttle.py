"""`Throttle`: how much a rebuild takes at a time, and how much it leaves to live work."""

import asyncio
from typing import Final

from diptych.read.pace import Pace

_QUICK: Final = 0.005
_SLOW: Final = 0.015
_LEAST_PAUSE: Final = 0.02
"""Seconds: whoever waits for the lock of a SQLite file asks for it this often."""

_SHARE: Final = 1.0
"""Of the time that a page took, while others work; so a rebuild works half of the time."""

_STILL_LIVE: Final = 1.0
"""Seconds after which a log that has not moved has nobody at work."""

_FULL_SPEED: Final = 10_000


class Throttle:
    """Write transactions of 5 to 15 ms, and pauses while anything is appended to the log.

    Those of live projections may be longer, as there are few. A rebuild has one behind the other,
    and each keeps others waiting: for the lock of a SQLite file, for the disk at its commit.

    Commands are what can be seen from here of live work, in whichever process it is; with them
    come live views. At full speed pages are large, and nothing is left to others.
    """

    def __init__(self, *, full_speed: bool = False) -> None:
        self.full_speed = full_speed
        self._pace = Pace(quick=_QUICK, slow=_SLOW)
        self._head = 0
        self._moved_at: float | None = None

    @property
    def limit(self) -> int:
        """Events to take at a time."""
        return _FULL_SPEED if self.full_speed else self._pace.limit

    def wrote(self, events: int, *, seconds: float) -> None:
        """A page of `events` took a write transaction of `seconds`."""
        self._pace.wrote(events, seconds=seconds)

    async def pause(self, *, head: int, worked: float) -> None:
        """Leave others some time, after a page that took `worked` seconds in all."""
        await asyncio.sleep(self.due(head=head, worked=worked, now=_time()))

    def due(self, *, head: int, worked: float, now: float) -> float:
        """The seconds to pause for."""
        if self._head and head > self._head:
            self._moved_at = now
        self._head = head
        live = self._moved_at is not None and now - self._moved_at < _STILL_LIVE
        return max(_SHARE * worked, _LEAST_PAUSE) if live and not self.full_speed else 0.0


def _time() -> float:
    return asyncio.get_running_loop().time()
