"""`Progress`: how far something long is, and what it will still take."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

_EVERY: Final = 0.2
"""Seconds between two reports; the last one always comes."""

_SMOOTHING: Final = 0.2


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` of `what` ("building", "verifying"); a total may grow on the way.

    `per_second` is the pace of late, `time_left` what that takes for the rest; None while nothing
    is known of it.
    """

    what: str
    done: int
    total: int
    per_second: float
    time_left: timedelta | None

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return min(self.done / self.total, 1.0) if self.total else 1.0


OnProgress = Callable[[Progress], None]
"""Called on the event loop, now and then; it must be quick. What it raises ends the work."""


class Meter:
    """Measures the pace of one step, and reports it a few times a second."""

    def __init__(self, what: str, on_progress: OnProgress | None) -> None:
        self._what, self._tell = what, on_progress
        self._began: tuple[float, int] | None = None
        self._pace = 0.0

    def at(self, done: int, total: int) -> None:
        """Report if it is time to, and at the end."""
        now = asyncio.get_running_loop().time()
        if self._began is None:
            self._began = (now, done)
            self._report(done, total)
            return
        since, before = self._began
        if now - since >= _EVERY or done >= total:
            pace = (done - before) / max(now - since, 1e-6)
            self._pace += (pace - self._pace) * (_SMOOTHING if self._pace else 1.0)
            self._began = (now, done)
            self._report(done, total)

    def _report(self, done: int, total: int) -> None:
        if self._tell is not None:
            left = timedelta(seconds=(total - done) / self._pace) if self._pace else None
            self._tell(Progress(self._what, done, total, self._pace, left))
