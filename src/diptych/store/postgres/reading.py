"""Reading the log: each answer comes from one statement, so from one snapshot."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final
from uuid import UUID

import msgspec

from diptych.errors import HistoryDiverged
from diptych.failpoints import failpoint
from diptych.messages import RecordedEvent
from diptych.postgres_library.pool import Pool
from diptych.store.contract import (
    START,
    CommandKey,
    Criterion,
    Load,
    Loaded,
    LogPage,
    Point,
    RecordedCommand,
)
from diptych.store.limits import MAX_VERSION, PAGE_BYTES
from diptych.store.postgres.rows import (
    Row,
    commands_of,
    criteria_json,
    events_of,
    json_text,
    numbers_text,
    point_of,
    uuids_text,
)
from diptych.store.postgres.statements import Statements

PAGE_EVENTS: Final = 10_000
"""Events that a page holds at most, and looks through at most where no index helps."""
_STREAM_EVENTS: Final = 1_000
"""Events of a stream that are read together with other streams; a longer one is read alone."""

_Stream = tuple[str, str]  # tenant and name
_VERSION: Final = attrgetter("version")
_Ends = tuple[int, UUID, UUID | None, int, UUID]
_ends: Final = msgspec.json.Decoder(_Ends).decode


@dataclass(frozen=True, slots=True)
class Wanted:
    """A page of the log: where it begins and what it holds; None: all of them."""

    after: Point
    limit: int
    categories: frozenset[str] | None = None
    criteria: tuple[Criterion, ...] | None = None
    tenant: str | None = None

    @property
    def through(self) -> int:
        """How far one page looks."""
        if self.criteria is not None and all(criterion.tags for criterion in self.criteria):
            return MAX_VERSION
        return min(self.after.position + PAGE_EVENTS, MAX_VERSION)


class Reader:
    """Reads over a pool; what is lost on the way is read again."""

    def __init__(self, pool: Pool, sql: Statements) -> None:
        self._pool, self._sql = pool, sql

    async def close(self) -> None:
        await self._pool.close()

    async def head(self) -> Point:
        rows = await self._fetch("head")
        return point_of(*rows[0]) if rows else START

    async def head_position(self) -> int:
        ((position,),) = await self._fetch("head_position")
        return int(position)

    async def find(self, key: CommandKey) -> RecordedCommand | None:
        ((found,),) = await self._fetch("find", *_keys([key]))
        return commands_of(found).get(0)

    async def loads(self, loads: Sequence[Load]) -> list[Loaded | None]:
        """Short streams together; None stands for one that is better read `alone`."""
        failpoint("load.before_read")
        starts = _starts(loads)
        asked = [load.command for load in loads if load.command is not None]
        rows = await self._fetch(
            "load",
            [tenant for tenant, _ in starts],
            [name for _, name in starts],
            numbers_text(list(starts.values())),
            _STREAM_EVENTS,
            PAGE_BYTES,
            *_keys(asked),
        )
        found, events = _split(rows)
        known = commands_of(found)
        commands = {asked[place]: command for place, command in known.items()}
        tails = _tails(events)
        whole = sum(len(event.data) for event in events) < PAGE_BYTES
        return [
            _loaded(load, tails.get((load.tenant, load.stream), []), commands)
            if whole and _is_whole(load, tails)
            else None
            for load in loads
        ]

    async def page(self, wanted: Wanted) -> LogPage:
        """Raises: HistoryDiverged."""
        failpoint("read.before_read")
        after, criteria = wanted.after, wanted.criteria
        categories = None if wanted.categories is None else sorted(wanted.categories)
        scope = (
            after.position,
            wanted.through,
            wanted.limit,
            PAGE_BYTES,
            wanted.tenant,
            categories,
        )
        if criteria is None:
            rows = await self._fetch("page", *scope)
        else:
            rows = await self._fetch("page_meeting", *scope, json_text(criteria_json(criteria)))
        ends, events = _split(rows)
        return _page(wanted, _ends(ends) if ends else None, events)

    async def alone(self, load: Load) -> Loaded:
        """A stream of any length: its end first, then what is before it and never changes."""
        stream = load.tenant, load.stream
        asked = [load.command] if load.command else []
        ((version, position, event_id, found),) = await self._fetch(
            "end_of_stream", *stream, *_keys(asked)
        )
        command = commands_of(found).get(0)
        if version is None:
            return Loaded((), 0, START, command)
        events: list[RecordedEvent] = []
        after = load.after
        while after < version:
            few = (*stream, after, version, PAGE_EVENTS, PAGE_BYTES)
            events += events_of(await self._fetch("stream_between", *few))
            after = events[-1].version
        return Loaded(events, version, point_of(position, event_id), command)

    async def _fetch(self, name: str, *values: object) -> list[Any]:
        statement = self._sql[name]
        return await self._pool.run(lambda connection: connection.fetch(statement, *values))


def _split(rows: list[Row]) -> tuple[bytes | None, list[RecordedEvent]]:
    """The JSON of the row without a position, and the events."""
    beside = next(row for row in rows if row[0] is None)
    return beside[6], events_of(row for row in rows if row is not beside)


def _starts(loads: Sequence[Load]) -> dict[_Stream, int]:
    """The streams of all loads, each with the earliest version that a load has seen."""
    starts: dict[_Stream, int] = {}
    for load in loads:
        stream = load.tenant, load.stream
        starts[stream] = min(load.after, starts.get(stream, load.after))
    return starts


def _tails(events: Sequence[RecordedEvent]) -> dict[_Stream, list[RecordedEvent]]:
    tails: dict[_Stream, list[RecordedEvent]] = {}
    for event in events:
        tails.setdefault((event.tenant, event.stream), []).append(event)
    for tail in tails.values():
        tail.sort(key=_VERSION)  # it is sorted, but no SQL says so
    return tails


def _is_whole(load: Load, tails: dict[_Stream, list[RecordedEvent]]) -> bool:
    """Not if there may be more, or if the stream is shorter than the load has seen."""
    tail = tails.get((load.tenant, load.stream))
    return len(tail) < _STREAM_EVENTS if tail else not load.after


def _loaded(
    load: Load, tail: Sequence[RecordedEvent], commands: dict[CommandKey, RecordedCommand]
) -> Loaded:
    found = commands.get(load.command) if load.command else None
    if not tail:
        return Loaded((), 0, START, found)
    last = tail[-1]
    events = tail[max(load.after + 1 - tail[0].version, 0) :]
    return Loaded(events, last.version, Point(last.position, last.event_id), found)


def _page(wanted: Wanted, ends: _Ends | None, events: Sequence[RecordedEvent]) -> LogPage:
    after = wanted.after
    head, head_id, after_id, through, through_id = ends or (0, None, None, 0, None)
    if after.event_id is not None and after.event_id != after_id:
        raise HistoryDiverged("what was read before", position=after.position)
    if head <= after.position:
        scanned = Point(head, head_id) if head == after.position and head else after
        return LogPage((), scanned, head)
    size = sum(len(event.data) for event in events)
    if len(events) == wanted.limit or size >= PAGE_BYTES:
        last = events[-1]
        return LogPage(events, Point(last.position, last.event_id), head)
    return LogPage(events, Point(through, through_id), head)


def _keys(keys: Sequence[CommandKey]) -> tuple[list[str], list[str], str]:
    return (
        [key.tenant for key in keys],
        [key.principal for key in keys],
        uuids_text([key.command_id for key in keys]),
    )
