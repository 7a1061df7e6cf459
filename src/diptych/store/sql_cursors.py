"""Cursors in SQL: one call is a few named statements in one transaction, the same on each database.

What decides stands in the statements, so nothing has to be asked in between: a change is made
`WHERE epoch = :epoch`, and tells by its rows whether it was. The first statement of each change by
a holder, `lock_cursor`, takes the row of the cursor, for which all others that change anything of
it wait to the end of the transaction.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from diptych.store.contract import Point
from diptych.store.cursors import Cursor, Discard, Failure, Held, Limits, Parked, Parking
from diptych.worker import Worker

Row = Sequence[Any]
Values = Mapping[str, object]


class Run(Protocol):
    """Runs named statements in one transaction; the rows of each.

    Moments are bound as `datetime`. Unless it `writes`, a snapshot will do.
    """

    async def __call__(
        self, names: Sequence[str], values: Values, *, writes: bool
    ) -> Sequence[Sequence[Row]]: ...


class SqlCursors:
    """`moment` makes a datetime of what a row holds for one."""

    def __init__(self, run: Run, *, moment: Callable[[Any], datetime]) -> None:
        self._run, self._moment = run, moment

    async def register(self, name: str, start: Point) -> None:
        await self._do("register_cursor", name=name, **_point(start))

    async def look(self) -> Sequence[Cursor]:
        (rows,) = await self._run(("cursors",), {}, writes=False)
        return [self._cursor(row) for row in rows]

    async def take(self, name: str, worker: Worker, *, ttl: float, gone: str = "") -> Held | None:
        taken, parked, discarded = await self._run(
            ("take_cursor", "parked", "discarded_beyond"),
            {"name": name, "ttl": ttl, "gone": gone, **_worker(worker)},
            writes=True,
        )
        if not taken:
            return None
        epoch, position, event_id = taken[0]
        return Held(
            name,
            epoch,
            _point_of(position, event_id),
            [self._parked(row) for row in parked],
            [self._discard(row) for row in discarded],
        )

    async def renew(self, worker: Worker, *, ttl: float) -> Collection[str]:
        return {name for (name,) in await self._do("renew_cursors", holder=worker.id, ttl=ttl)}

    async def release(self, worker: Worker, name: str | None = None) -> None:
        await self._do("release_cursors", holder=worker.id, name=name)

    async def advance(self, held: Held, point: Point) -> bool:
        return bool(await self._do("advance_cursor", **_held(held), **_point(point)))

    async def stop(self, held: Held, failure: Failure) -> bool:
        values = {**_held(held), **_failure(failure)}
        mine, _ = await self._run(("lock_cursor", "stop_cursor"), values, writes=True)
        return bool(mine)

    async def park(self, held: Held, failure: Failure, *, limits: Limits) -> Parking:
        values = {**_held(held), **_failure(failure), **_limits(limits)}
        names = ("lock_cursor", "is_discarded", "park_stream", "is_parked")
        mine, discarded, _, parked = await self._run(names, values, writes=True)
        if not mine:
            return Parking.LOST
        if discarded:
            return Parking.NOT_PARKED
        return Parking.PARKED if parked else Parking.FULL

    async def join(
        self, held: Held, *, tenant: str, stream: str, place: tuple[int, int], limits: Limits
    ) -> Parking:
        version, position = place
        event = {"tenant": tenant, "stream": stream, "version": version, "position": position}
        values = {**_held(held), **event, **_limits(limits)}
        names = ("lock_cursor", "join_stream", "is_parked")
        mine, joined, parked = await self._run(names, values, writes=True)
        if not mine:
            return Parking.LOST
        if not parked:
            return Parking.NOT_PARKED
        return Parking.PARKED if joined else Parking.FULL

    async def parked(self, name: str) -> Sequence[Parked]:
        (rows,) = await self._run(("parked",), {"name": name}, writes=False)
        return [self._parked(row) for row in rows]

    async def reopen(self, name: str, *, tenant: str, stream: str) -> Parked | None:
        rows = await self._do("reopen_stream", name=name, tenant=tenant, stream=stream)
        return self._parked(rows[0]) if rows else None

    async def worked_off(self, name: str, parked: Parked) -> Parked | Parking:
        values = {"name": name, **_worked_on(parked)}
        _, done, left = await self._run(
            ("lock_cursor_by_name", "finish_stream", "shorten_stream"), values, writes=True
        )
        if done:
            return Parking.NOT_PARKED
        return self._parked(left[0]) if left else Parking.LOST

    async def failed_again(self, name: str, parked: Parked, failure: Failure) -> bool:
        values = {**_failure(failure), **_worked_on(parked)}
        return bool(await self._do("fail_stream", name=name, **values))

    async def discard(
        self, name: str, *, tenant: str, stream: str, reason: str, at: datetime
    ) -> Discard | None:
        values = {"name": name, "tenant": tenant, "stream": stream, "reason": reason, "at": at}
        names = ("lock_cursor_by_name", "discard_stream", "forget_stream")
        _, discarded, _ = await self._run(names, values, writes=True)
        return self._discard(discarded[0]) if discarded else None

    async def skip(self, name: str, *, reason: str, at: datetime) -> Discard | None:
        values = {"name": name, "reason": reason, "at": at}
        names = ("lock_cursor_by_name", "discard_failed", "clear_failed")
        _, discarded, _ = await self._run(names, values, writes=True)
        return self._discard(discarded[0]) if discarded else None

    async def discarded(self, name: str) -> Sequence[Discard]:
        (rows,) = await self._run(("discarded",), {"name": name}, writes=False)
        return [self._discard(row) for row in rows]

    async def again(self, name: str) -> bool:
        return bool(await self._do("clear_failure", name=name))

    async def pause(self, name: str, *, reason: str, at: datetime) -> None:
        await self._do("pause_cursor", name=name, reason=reason, at=at)

    async def resume(self, name: str) -> bool:
        return bool(await self._do("resume_cursor", name=name))

    async def _do(self, statement: str, **values: object) -> Sequence[Row]:
        (rows,) = await self._run((statement,), values, writes=True)
        return rows

    def _cursor(self, row: Row) -> Cursor:
        each = iter(row)
        name, position, event_id, epoch, holder, called, process, alive, paused, why = (
            next(each) for _ in range(10)
        )
        return Cursor(
            name,
            _point_of(position, event_id),
            epoch,
            Worker(holder, called, process) if holder else None,
            alive=bool(holder and alive),
            failure=self._failure(each),
            paused_at=None if paused is None else self._moment(paused),
            paused_reason=why or "",
            parked_streams=next(each),
            parked_events=int(next(each)),
        )

    def _parked(self, row: Row) -> Parked:
        tenant, stream, first, through, epoch, *failure = row
        found = self._failure(iter((tenant, stream, *failure)))
        assert found is not None  # noqa: S101 - the columns are NOT NULL
        return Parked(tenant, stream, first, through, epoch, found)

    def _discard(self, row: Row) -> Discard:
        tenant, stream, first, through, reason, error, at = row
        return Discard(tenant, stream, first, through, reason, error, self._moment(at))

    def _failure(self, each: Iterator[Any]) -> Failure | None:
        tenant, stream, version, position, event_type, kind, error, attempts, at = (
            next(each) for _ in range(9)
        )
        if kind is None:
            return None
        return Failure(
            kind,
            error,
            self._moment(at),
            position,
            tenant=tenant,
            stream=stream,
            version=version,
            event_type=event_type,
            attempts=attempts,
        )


def _point(point: Point) -> dict[str, object]:
    return {"position": point.position, "event_id": point.event_id and point.event_id.bytes}


def _point_of(position: int, event_id: bytes | None) -> Point:
    return Point(position, UUID(bytes=bytes(event_id)) if event_id else None)


def _held(held: Held) -> dict[str, object]:
    return {"name": held.name, "epoch": held.epoch}


def _worker(worker: Worker) -> dict[str, object]:
    return {"holder": worker.id, "holder_name": worker.name, "process": worker.process}


def _limits(limits: Limits) -> dict[str, object]:
    return {"most_streams": limits.streams, "most_events": limits.events}


def _worked_on(parked: Parked) -> dict[str, object]:
    return {
        "tenant": parked.tenant,
        "stream": parked.stream,
        "work": parked.epoch,
        "first": parked.first,
    }


def _failure(failure: Failure) -> dict[str, object]:
    return {
        "tenant": failure.tenant,
        "stream": failure.stream,
        "version": failure.version,
        "position": failure.position,
        "event_type": failure.event_type,
        "kind": failure.kind,
        "error": failure.error,
        "attempts": failure.attempts,
        "failed_at": failure.at,
    }
