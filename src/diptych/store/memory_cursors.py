"""The contract of cursors in dictionaries; to be read beside `cursors.py`."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from msgspec.structs import replace

from diptych.store.contract import START, Point
from diptych.store.cursors import Cursor, Discard, Failure, Held, Limits, Parked, Parking
from diptych.worker import Worker

_Stream = tuple[str, str]  # tenant and name


@dataclass(slots=True)
class _Row:
    point: Point
    epoch: int = 0
    holder: Worker | None = None
    until: float = 0.0
    failure: Failure | None = None
    paused_at: datetime | None = None
    paused_reason: str = ""
    parked: dict[_Stream, Parked] = field(default_factory=dict)
    reached: dict[_Stream, int] = field(default_factory=dict)
    """The position of the last event that joined a parked stream."""
    discards: list[tuple[int, Discard]] = field(default_factory=list)
    """With the position of its last event."""


class MemoryCursors:
    """One call at a time: nothing in them awaits."""

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}

    async def register(self, name: str, start: Point) -> None:
        self._rows.setdefault(name, _Row(start))

    async def look(self) -> Sequence[Cursor]:
        now = time.monotonic()
        return [
            Cursor(
                name,
                row.point,
                row.epoch,
                row.holder,
                alive=row.holder is not None and row.until > now,
                failure=row.failure,
                paused_at=row.paused_at,
                paused_reason=row.paused_reason,
                parked_streams=len(row.parked),
                parked_events=_events(row),
            )
            for name, row in sorted(self._rows.items())
        ]

    async def take(self, name: str, worker: Worker, *, ttl: float, gone: str = "") -> Held | None:
        row, now = self._row(name), time.monotonic()
        free = row.holder is None or row.until <= now or row.holder.id in {worker.id, gone}
        if name not in self._rows or row.paused_at is not None or not free:
            return None
        row.epoch, row.holder, row.until, row.failure = row.epoch + 1, worker, now + ttl, None
        beyond = [each for at, each in row.discards if at > row.point.position]
        return Held(name, row.epoch, row.point, await self.parked(name), beyond)

    async def renew(self, worker: Worker, *, ttl: float) -> Collection[str]:
        until = time.monotonic() + ttl
        held = {name: row for name, row in self._rows.items() if _is_held(row, worker)}
        for row in held.values():
            row.until = until
        return set(held)

    async def release(self, worker: Worker, name: str | None = None) -> None:
        for each, row in self._rows.items():
            if _is_held(row, worker) and name in {None, each}:
                row.holder = None

    async def advance(self, held: Held, point: Point) -> bool:
        row = self._mine(held)
        if row is not None and point.position > row.point.position:
            row.point = point
        return row is not None

    async def stop(self, held: Held, failure: Failure) -> bool:
        row = self._mine(held)
        if row is not None and not _is_discarded(row, failure):
            row.failure = failure
        return row is not None

    async def park(self, held: Held, failure: Failure, *, limits: Limits) -> Parking:
        row, version = self._mine(held), failure.version
        if row is None:
            return Parking.LOST
        if _is_discarded(row, failure):
            return Parking.NOT_PARKED
        stream = failure.tenant, failure.stream
        if stream not in row.parked:
            if len(row.parked) >= limits.streams or _events(row) >= limits.events:
                return Parking.FULL
            row.parked[stream] = Parked(*stream, version, version, 0, failure)
            row.reached[stream] = failure.position
        return Parking.PARKED

    async def join(
        self, held: Held, *, tenant: str, stream: str, place: tuple[int, int], limits: Limits
    ) -> Parking:
        row, (version, position) = self._mine(held), place
        if row is None:
            return Parking.LOST
        found = row.parked.get((tenant, stream))
        if found is None:
            return Parking.NOT_PARKED
        if version > found.through:
            if _events(row) >= limits.events:
                return Parking.FULL
            row.parked[tenant, stream] = replace(found, through=version)
            row.reached[tenant, stream] = position
        return Parking.PARKED

    async def parked(self, name: str) -> Sequence[Parked]:
        found = self._row(name).parked.values()
        return sorted(found, key=lambda each: each.failure.position)

    async def reopen(self, name: str, *, tenant: str, stream: str) -> Parked | None:
        parked = self._row(name).parked
        found = parked.get((tenant, stream))
        if found is not None:
            found = parked[tenant, stream] = replace(found, epoch=found.epoch + 1)
        return found

    async def worked_off(self, name: str, parked: Parked) -> Parked | Parking:
        row, found = self._row(name), self._worked_on(name, parked)
        if found is None:
            return Parking.LOST
        if found.first == found.through:
            self._forget(row, (parked.tenant, parked.stream))
            return Parking.NOT_PARKED
        left = replace(found, first=found.first + 1)
        row.parked[parked.tenant, parked.stream] = left
        return left

    async def failed_again(self, name: str, parked: Parked, failure: Failure) -> bool:
        found = self._worked_on(name, parked)
        if found is not None:
            left = replace(found, failure=failure)
            self._row(name).parked[parked.tenant, parked.stream] = left
        return found is not None

    async def discard(
        self, name: str, *, tenant: str, stream: str, reason: str, at: datetime
    ) -> Discard | None:
        row = self._row(name)
        found = row.parked.get((tenant, stream))
        if found is None:
            return None
        error = found.failure.error
        discard = Discard(tenant, stream, found.first, found.through, reason, error, at)
        row.discards.append((row.reached[tenant, stream], discard))
        self._forget(row, (tenant, stream))
        return discard

    async def skip(self, name: str, *, reason: str, at: datetime) -> Discard | None:
        row = self._row(name)
        failure = row.failure
        if failure is None or not failure.version:
            return None
        event = failure.tenant, failure.stream, failure.version, failure.version
        discard = Discard(*event, reason, failure.error, at)
        row.discards.append((failure.position, discard))
        row.failure = None
        return discard

    async def discarded(self, name: str) -> Sequence[Discard]:
        return [discard for _, discard in self._row(name).discards]

    async def again(self, name: str) -> bool:
        row = self._row(name)
        stopped, row.failure = row.failure is not None, None
        return stopped

    async def pause(self, name: str, *, reason: str, at: datetime) -> None:
        row = self._row(name)
        if row.paused_at is None:
            row.paused_at, row.paused_reason = at, reason

    async def resume(self, name: str) -> bool:
        row = self._row(name)
        paused, row.paused_at, row.paused_reason = row.paused_at is not None, None, ""
        return paused

    def _row(self, name: str) -> _Row:
        """Of a name that nobody registered there is nothing."""
        return self._rows.get(name) or _Row(START)

    def _mine(self, held: Held) -> _Row | None:
        row = self._rows.get(held.name)
        return row if row is not None and row.epoch == held.epoch else None

    def _worked_on(self, name: str, parked: Parked) -> Parked | None:
        found = self._row(name).parked.get((parked.tenant, parked.stream))
        same = found is not None and (found.epoch, found.first) == (parked.epoch, parked.first)
        return found if same else None

    def _forget(self, row: _Row, stream: _Stream) -> None:
        del row.parked[stream], row.reached[stream]


def _is_held(row: _Row, worker: Worker) -> bool:
    return row.holder is not None and row.holder.id == worker.id


def _is_discarded(row: _Row, failure: Failure) -> bool:
    at = failure.tenant, failure.stream, failure.version
    return any(discard.has(*at) for _, discard in row.discards)


def _events(row: _Row) -> int:
    return sum(each.events for each in row.parked.values())
