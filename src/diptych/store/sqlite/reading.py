"""One connection that reads the log: each answer comes from one snapshot."""

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from heapq import merge
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

from diptych.failpoints import failpoint
from diptych.messages import RecordedEvent
from diptych.sqlite_library import Connection, sqlite, translate
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
from diptych.store.limits import MAX_VERSION
from diptych.store.sqlite.lookup import (
    FEW,
    Scope,
    as_json,
    event_id_at,
    find_command,
    find_commands,
    head_of,
    positions_matching,
    verify,
)
from diptych.store.sqlite.rows import Row, events_of, json_text, uuid_of
from diptych.store.sqlite.statements import SQL

_PAGE_BYTES: Final = 16_000_000
_PAGE_SCAN: Final = 10_000
"""Positions that one page looks through at most where no index helps."""


_Stream = tuple[str, str]  # tenant and name
_Tail = list[RecordedEvent]
_VERSION: Final = attrgetter("version")


class TooLong(Exception):
    """The answer is longer than the caller can wait for."""


@dataclass(slots=True)
class Budget:
    """What the answers to one call may hold together."""

    events: int = MAX_VERSION
    size: int = MAX_VERSION

    def spend(self, events: Sequence[RecordedEvent]) -> None:
        """Raises: TooLong: nothing is left."""
        self.events -= len(events)
        self.size -= sum(len(event.data) for event in events)
        if self.events <= 0 or self.size <= 0:
            raise TooLong


@dataclass(frozen=True, slots=True)
class Filter:
    """What a page of the log holds; None: all of them."""

    categories: frozenset[str] | None = None
    criteria: tuple[Criterion, ...] | None = None
    tenant: str | None = None

    def scope(self, *, after: int, through: int) -> Scope:
        return Scope(after, through, self.tenant, self.categories)


class Reader:
    """Reads for one thread at a time."""

    def __init__(self, db: Connection, path: Path) -> None:
        self._db, self._path = db, path
        self._data_version = -1
        self._head = 0

    def close(self) -> None:
        self._db.close()

    def head(self) -> Point:
        with self._snapshot():
            return head_of(self._db)

    def moved(self) -> int:
        """The position of the head. Cheap while no other connection commits."""
        try:
            (version,) = self._db.execute("PRAGMA data_version").fetchone()
        except sqlite.Error as error:
            raise translate(error, self._path) from error
        if version != self._data_version:
            self._head = self.head().position
            self._data_version = version
        return self._head

    def find(self, key: CommandKey) -> RecordedCommand | None:
        with self._snapshot():
            return find_command(self._db, key)

    def loads(self, loads: Sequence[Load], budget: Budget) -> list[Loaded]:
        """Raises: TooLong: `budget` does not cover them."""
        failpoint("load.before_read")
        with self._snapshot():
            streams = self._streams(loads, budget)
            commands = find_commands(self._db, [load.command for load in loads if load.command])
            return [self._loaded(load, streams, commands) for load in loads]

    def page(self, after: Point, wanted: Filter, *, limit: int, reach: int) -> LogPage:
        """Raises: HistoryDiverged; TooLong: the head is more than `reach` events away."""
        failpoint("read.before_read")
        with self._snapshot():
            head = head_of(self._db)
            verify(self._db, after)
            if head.position <= after.position:
                scanned = head if head.position == after.position else after
                return LogPage((), scanned, head.position)
            if head.position - after.position > reach:
                raise TooLong
            select = self._scan if wanted.criteria is None else self._search
            events, through = select(after.position, head.position, wanted, limit)
            return LogPage(events, self._point(through, head, events), head.position)

    def _streams(self, loads: Sequence[Load], budget: Budget) -> dict[_Stream, _Tail]:
        """The streams of all loads, each from the earliest version that a load has seen."""
        starts: dict[_Stream, int] = {}
        for load in loads:
            stream = load.tenant, load.stream
            starts[stream] = min(load.after, starts.get(stream, load.after))
        events = events_of(self._tails(starts, limit=budget.events), most=budget.size)
        budget.spend(events)
        found: dict[_Stream, _Tail] = {stream: [] for stream in starts}
        for event in events:
            found[event.tenant, event.stream].append(event)
        for tail in found.values():
            tail.sort(key=_VERSION)  # it is sorted, but no SQL says so
        return found

    def _tails(self, starts: dict[_Stream, int], *, limit: int) -> Iterable[Row]:
        wanted = [(*stream, version) for stream, version in starts.items()]
        if len(wanted) > FEW:
            both = {"wanted": json_text(wanted), "limit": limit}
            return self._db.execute(SQL["stream_tails"], both)
        return chain.from_iterable(
            self._db.execute(SQL["stream_tail"], (*tail, limit)) for tail in wanted
        )

    def _loaded(
        self,
        load: Load,
        streams: dict[_Stream, _Tail],
        commands: dict[CommandKey, RecordedCommand],
    ) -> Loaded:
        found = commands.get(load.command) if load.command else None
        tail = streams[load.tenant, load.stream]
        if not tail:
            return Loaded((), *self._end_of(load), found)
        last = tail[-1]
        events = tail[max(load.after + 1 - tail[0].version, 0) :]
        return Loaded(events, last.version, Point(last.position, last.event_id), found)

    def _end_of(self, load: Load) -> tuple[int, Point]:
        """Of a stream that is shorter than the load has seen: there may be none at all."""
        if not load.after:
            return 0, START
        end = self._db.execute(SQL["stream_end"], (load.tenant, load.stream)).fetchone()
        return (end[0], Point(end[1], uuid_of(end[2]))) if end else (0, START)

    def _scan(
        self, after: int, head: int, wanted: Filter, limit: int
    ) -> tuple[list[RecordedEvent], int]:
        through = min(head, after + max(_PAGE_SCAN, limit))
        values = {
            "after": after,
            "through": through,
            "tenant": wanted.tenant,
            "categories": as_json(wanted.categories),
            "limit": limit,
        }
        return _collect(self._db.execute(SQL["events_between"], values), limit, through)

    def _search(
        self, after: int, head: int, wanted: Filter, limit: int
    ) -> tuple[list[RecordedEvent], int]:
        criteria = wanted.criteria or ()
        indexed = all(criterion.tags for criterion in criteria)
        through = head if indexed else min(head, after + _PAGE_SCAN)
        scope = wanted.scope(after=after, through=through)
        found = (positions_matching(self._db, each, scope, limit=limit) for each in criteria)
        positions = list(dict.fromkeys(merge(*found)))[:limit]
        rows = self._db.execute(SQL["events_at"], (json_text(positions),))
        return _collect(rows, limit, through)

    def _point(self, position: int, head: Point, events: Sequence[RecordedEvent]) -> Point:
        if position == head.position:
            return head
        if events and events[-1].position == position:
            return Point(position, events[-1].event_id)
        return Point(position, event_id_at(self._db, position))

    @contextmanager
    def _snapshot(self) -> Generator[None]:
        try:
            self._db.execute("BEGIN")
            yield
            self._db.execute("COMMIT")
        except sqlite.Error as error:
            self._end()
            raise translate(error, self._path) from error
        except BaseException:
            self._end()
            raise

    def _end(self) -> None:
        if self._db.in_transaction:
            with suppress(sqlite.Error):
                self._db.execute("ROLLBACK")


def _collect(rows: Any, limit: int, through: int) -> tuple[list[RecordedEvent], int]:
    """The events of a page, and how far it looked: to its last event if there are more."""
    events = events_of(rows, most=_PAGE_BYTES)
    more = len(events) == limit or rows.fetchone() is not None
    return events, events[-1].position if more and events else through
