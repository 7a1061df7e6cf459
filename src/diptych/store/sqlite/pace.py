"""Where blocking work runs: on the event loop while it is quick, in a thread after it was slow."""

from time import monotonic
from typing import Final

_SLOW: Final = 0.002
"""Seconds, on average, that the event loop may be kept waiting."""
_MEMORY: Final = 8
"""Pieces of work that the average remembers: one that was slow alone changes nothing."""
_SHARE: Final = 100
_LONGEST_REST: Final = 60.0


class Pace:
    """Remembers how long work on the event loop took lately.

    When it is slow on average, the loop is spared for a hundred times what the last piece took, at
    most a minute. Then one piece is tried again, and so on until the average is quick: slow
    storage keeps the loop waiting for a hundredth of the time.
    """

    def __init__(self) -> None:
        self._average = 0.0
        self._spared_until = 0.0

    @property
    def quick(self) -> bool:
        return monotonic() >= self._spared_until

    def took(self, seconds: float) -> None:
        """Note a piece of work that was done on the event loop."""
        self._average += (seconds - self._average) / _MEMORY
        if self._average >= _SLOW:
            self._spared_until = monotonic() + min(_SHARE * seconds, _LONGEST_REST)
