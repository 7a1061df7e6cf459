"""One connection that reads the log: each answer comes from one snapshot."""

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from heapq import merge
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Final

from diptych.failpoints import failpoint
from diptych.messages import RecordedEvent
from diptych.sqlite_library import Connection, Cursor, sqlite, translate
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
from diptych.store.sqlite.rows import Row, events_of, json_text, unpacked, uuid_of
from diptych.store.sqlite.statements import SQL

PAGE_EVENTS: Final = 10_000
"""Events that a page holds at most, and looks through at most where no index helps."""

_MANY: Final = 500
"""Events from which it pays to pack them."""

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
class Wanted:
    """A page of the log: where it begins and what it holds; None: all of them."""

    after: Point
    limit: int
    categories: frozenset[str] | None = None
    criteria: tuple[Criterion, ...] | None = None
    tenant: str | None = None

    def scope(self, *, through: int) -> Scope:
        return Scope(self.after.position, through, self.tenant, self.categories)


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

    def select(
        self, statements: Sequence[str], values: Mapping[str, object]
    ) -> list[Sequence[Row]]:
        """The rows of a few short statements."""
        with self._snapshot():
            return [self._db.execute(each, values).fetchall() for each in statements]

    def find(self, key: CommandKey) -> RecordedCommand | None:
        with self._snapshot():
            return find_command(self._db, key)

    def row(self, name: str, values: Sequence[object]) -> Row | None:
        """The one row that a statement answers with, if any."""
        with self._snapshot() as rows:
            found: Row | None = rows.execute(SQL[name], values).fetchone()
            return found

    def loads(self, loads: Sequence[Load], budget: Budget) -> list[Loaded]:
        """Raises: TooLong: `budget` does not cover them."""
        failpoint("load.before_read")
        with self._snapshot() as rows:
            streams = self._streams(rows, loads, budget)
            commands = find_commands(self._db, [load.command for load in loads if load.command])
            return [self._loaded(load, streams, commands) for load in loads]

    def page(self, wanted: Wanted, *, reach: int) -> LogPage:
        """Raises: HistoryDiverged; TooLong: the head is more than `reach` events away."""
        failpoint("read.before_read")
        after = wanted.after
        with self._snapshot() as rows:
            head = head_of(self._db)
            verify(self._db, after)
            if head.position <= after.position:
                scanned = head if head.position == after.position else after
                return LogPage((), scanned, head.position)
            if head.position - after.position > reach:
                raise TooLong
            select = self._scan if wanted.criteria is None else self._search
            events, through = select(rows, wanted, head.position)
            return LogPage(events, self._point(through, head, events), head.position)

    def _streams(self, rows: Cursor, loads: Sequence[Load], budget: Budget) -> dict[_Stream, _Tail]:
        """The streams of all loads, each from the earliest version that a load has seen."""
        starts: dict[_Stream, int] = {}
        for load in loads:
            stream = load.tenant, load.stream
            starts[stream] = min(load.after, starts.get(stream, load.after))
        events = events_of(_tails(rows, starts, limit=budget.events), most=budget.size)
        budget.spend(events)
        found: dict[_Stream, _Tail] = {stream: [] for stream in starts}
        for event in events:
            found[event.tenant, event.stream].append(event)
        for tail in found.values():
            tail.sort(key=_VERSION)  # it is sorted, but no SQL says so
        return found

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

    def _scan(self, rows: Cursor, wanted: Wanted, head: int) -> tuple[list[RecordedEvent], int]:
        scope = wanted.scope(through=min(head, wanted.after.position + PAGE_EVENTS))
        values = {
            "after": scope.after,
            "through": scope.through,
            "tenant": scope.tenant,
            "categories": as_json(scope.categories),
            "limit": wanted.limit,
        }
        if min(wanted.limit, scope.through - scope.after) >= _MANY:
            (size,) = rows.execute(SQL["size_between"], values).fetchone()
            if size < PAGE_BYTES:
                events = unpacked(rows.execute(SQL["packed_between"], values).fetchone())
                full = len(events) == wanted.limit
                return events, events[-1].position if full else scope.through
        return _collect(rows.execute(SQL["events_between"], values), wanted.limit, scope.through)

    def _search(self, rows: Cursor, wanted: Wanted, head: int) -> tuple[list[RecordedEvent], int]:
        criteria, limit = wanted.criteria or (), wanted.limit
        indexed = all(criterion.tags for criterion in criteria)
        through = head if indexed else min(head, wanted.after.position + PAGE_EVENTS)
        scope = wanted.scope(through=through)
        found = (positions_matching(self._db, each, scope, limit=limit) for each in criteria)
        positions = list(dict.fromkeys(merge(*found)))[:limit]
        return _collect(rows.execute(SQL["events_at"], (json_text(positions),)), limit, through)

    def _point(self, position: int, head: Point, events: Sequence[RecordedEvent]) -> Point:
        if position == head.position:
            return head
        if events and events[-1].position == position:
            return Point(position, events[-1].event_id)
        return Point(position, event_id_at(self._db, position))

    @contextmanager
    def _snapshot(self) -> Generator[Cursor]:
        """One state of the log, and a cursor for its events.

        A statement that is not read to its end keeps a snapshot open, and what is read next on the
        connection would be as old; so the cursor is closed before the transaction is ended.
        """
        cursor = self._db.cursor()
        try:
            self._db.execute("BEGIN")
            yield cursor
            cursor.close()
            self._db.execute("COMMIT")
        except sqlite.Error as error:
            self._end(cursor)
            raise translate(error, self._path) from error
        except BaseException:
            self._end(cursor)
            raise

    def _end(self, cursor: Cursor) -> None:
        with suppress(sqlite.Error):
            cursor.close()
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")


def _tails(rows: Cursor, starts: dict[_Stream, int], *, limit: int) -> Iterable[Row]:
    wanted = [(*stream, version) for stream, version in starts.items()]
    if len(wanted) > FEW:
        return rows.execute(SQL["stream_tails"], {"wanted": json_text(wanted), "limit": limit})
    return chain.from_iterable(rows.execute(SQL["stream_tail"], (*tail, limit)) for tail in wanted)


def _collect(rows: Cursor, limit: int, through: int) -> tuple[list[RecordedEvent], int]:
    """The events of a page, and how far it looked: to its last event if there are more."""
    events = events_of(rows, most=PAGE_BYTES)
    more = len(events) == limit or rows.fetchone() is not None
    return events, events[-1].position if more and events else through
