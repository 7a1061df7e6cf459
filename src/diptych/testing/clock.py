"""`FixedClock`: time, ids and chance that are the same in every run."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""Where the time of tests begins."""

_FIRST_ID: Final = UUID("00000000-0000-7000-8000-000000000000").int


class SequentialIds(Iterator[UUID]):
    """Version 7 UUIDs that count: `00000000-0000-7000-8000-000000000001`, `…2`, `…3`."""

    def __init__(self) -> None:
        self._last = 0

    def __next__(self) -> UUID:
        self._last += 1
        return UUID(int=_FIRST_ID + self._last)


class FixedClock:
    """A `Clock` that says what the test wants: the first time is `start`, each next `step` later.

    Ids count up, `jitter` is always 0.
    """

    def __init__(
        self,
        start: datetime = START,
        *,
        step: timedelta = timedelta(0),
        ids: Iterator[UUID] | None = None,
    ) -> None:
        if start.utcoffset() is None:
            raise ValueError("start must be aware: datetime(..., tzinfo=UTC)")
        self._next, self._step = start.astimezone(UTC), step
        self._ids = ids or SequentialIds()

    def now(self) -> datetime:
        now, self._next = self._next, self._next + self._step
        return now

    def new_id(self) -> UUID:
        return next(self._ids)

    def jitter(self) -> float:
        return 0.0

    def advance(self, by: timedelta) -> None:
        """Let `by` pass, at once."""
        self._next += by
