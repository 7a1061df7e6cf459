"""How often something is tried again, and after which pauses."""

import asyncio
from collections.abc import Callable
from typing import Final

from diptych.read.failure import Failure, FailureKind
from diptych.read.model import Key

MOST: Final = 4
"""Times that an event is tried before its key is parked, or the view stops."""

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 5.0
_REMEMBERED: Final = 2.0
_NEVER_AGAIN: Final = frozenset({FailureKind.DIVERGED, FailureKind.FULL})
_MANY: Final = 1_000

What = tuple[int | None, Key | None]


class Tries:
    """Counts the failures since something last worked.

    Pauses double, and each is shortened at random (by `jitter`, from 0 to 1) by up to a half: what
    fails at one time in many processes is not tried again at one time. An error that did not go
    away at one event is not waited for at those that meet it within two seconds from then on, as a
    rule with a bug fails for many keys; later it may be another matter.
    """

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._counts: dict[What, int] = {}
        self._in_vain: dict[str, float] = {}

    def again(self, failure: Failure) -> bool:
        """Whether an event that failed should be tried again."""
        if failure.kind in _NEVER_AGAIN:
            return False
        now = asyncio.get_running_loop().time()
        if self.of(failure) < MOST and now > self._in_vain.get(failure.error, 0.0):
            return True
        if len(self._in_vain) >= _MANY:
            self._in_vain.clear()
        self._in_vain[failure.error] = now + _REMEMBERED
        return False

    def of(self, failure: Failure) -> int:
        """How often this was met, with the one that was met just now."""
        return self._counts.get(_what(failure), 0) + 1

    def count(self, failure: Failure) -> tuple[int, float]:
        """How often this was met now, and the seconds to wait before it is tried again."""
        met = self._counts[_what(failure)] = self.of(failure)
        longest = min(_FIRST_PAUSE * 2 ** min(met - 1, 10), _LONGEST_PAUSE)
        return met, longest * (0.5 + self._jitter() / 2)

    def went_on(self, position: int) -> None:
        """Everything up to `position` is finished."""
        for what in [what for what in self._counts if (what[0] or 0) <= position]:
            del self._counts[what]


def _what(failure: Failure) -> What:
    return failure.position, failure.key
