"""One connection that reads the log: each answer comes from one snapshot."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from heapq import merge
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
    Scope,
    as_json,
    event_id_at,
    find_command,
    head_of,
    positions_matching,
    verify,
)
from diptych.store.sqlite.rows import events_of, json_text, uuid_of
from diptych.store.sqlite.statements import SQL

_PAGE_BYTES: Final = 16_000_000
_PAGE_SCAN: Final = 10_000
"""Positions that one page looks through at most where no index helps."""


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
            return [self._load(load, budget) for load in loads]

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

    def _load(self, load: Load, budget: Budget) -> Loaded:
        found = find_command(self._db, load.command) if load.command else None
        wanted = (load.tenant, load.stream, load.after, min(budget.events, MAX_VERSION))
        events = events_of(self._db.execute(SQL["stream_events"], wanted), most=budget.size)
        budget.spend(events)
        if events:
            last = events[-1]
            return Loaded(events, last.version, Point(last.position, last.event_id), found)
        if not load.after:
            return Loaded((), 0, START, found)
        end = self._db.execute(SQL["stream_end"], (load.tenant, load.stream)).fetchone()
        version, point = (end[0], Point(end[1], uuid_of(end[2]))) if end else (0, START)
        return Loaded((), version, point, found)

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
