"""How many events the projector takes at a time, and how fast it gets on."""

from dataclasses import dataclass
from typing import Final

FEWEST: Final = 100
MOST: Final = 10_000

_START: Final = 500
_QUICK: Final = 0.015
_SLOW: Final = 0.040
_SMOOTHING: Final = 0.3


@dataclass(slots=True)
class Pace:
    """Aims at write transactions of 15 to 40 ms: long enough to be worth their commit, short
    enough for the other projections that wait for the lock. `quick` and `slow` are in seconds."""

    limit: int = _START
    positions_per_second: float = 0.0
    quick: float = _QUICK
    slow: float = _SLOW

    def wrote(self, events: int, *, seconds: float) -> None:
        """A page of `events` took a write transaction of `seconds`."""
        if seconds > self.slow:
            self.limit = max(self.limit // 2, FEWEST)
        elif events >= self.limit and seconds < self.quick:
            self.limit = min(2 * self.limit, MOST)

    def went(self, positions: int, *, seconds: float) -> None:
        """Everything from reading to committing that many positions took `seconds`."""
        rate = positions / max(seconds, 1e-6)
        before = self.positions_per_second or rate
        self.positions_per_second = before + _SMOOTHING * (rate - before)
