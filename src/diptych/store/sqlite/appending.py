"""What one transaction appends: each member is checked against all that stands before it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from diptych.errors import (
    CommandIdReused,
    ConcurrencyError,
    ConditionFailed,
    DiptychError,
    InvalidInput,
)
from diptych.sqlite_library import Connection
from diptych.store.contract import (
    Append,
    Appended,
    CommandKey,
    CommandRecord,
    Condition,
    Point,
    RecordedCommand,
    StreamVersion,
    Write,
    category_of,
)
from diptych.store.sqlite.lookup import Scope, end_of, find_command, positions_matching, verify
from diptych.store.sqlite.rows import Row, json_text, microseconds
from diptych.store.sqlite.statements import SQL

Answer = Appended | DiptychError


class _Stream(NamedTuple):
    tenant: str
    name: str


class Batch:
    """Appends inside an open transaction, each with its own answer.

    The versions of all streams are looked up at once and then counted on here, so that later
    members see earlier ones; rows are collected and inserted together by `flush`. Only a condition
    has to ask the tables, so `flush` comes before it.
    """

    def __init__(self, db: Connection, appends: Sequence[Append], *, recorded_at: datetime) -> None:
        self._db = db
        self.head, last_recorded_at = end_of(db)
        # The machine's clock may be set back; the log's times never are.
        self._recorded_at = max(microseconds(recorded_at), last_recorded_at)
        self._versions = _versions_of(db, appends)
        self._found: dict[CommandKey, RecordedCommand] = {}
        self._events: list[Row] = []
        self._tags: list[Row] = []
        self._commands: list[Row] = []

    def add(self, append: Append) -> Answer:
        """Collect what it writes; or, changing nothing, say why it is refused."""
        try:
            return self._add(append)
        except DiptychError as refusal:
            return refusal
        except UnicodeError:
            return InvalidInput("data", "must be JSON in UTF-8")

    def flush(self) -> None:
        """Insert what was collected."""
        self._db.executemany(SQL["insert_event"], self._events)
        self._db.executemany(SQL["insert_tag"], self._tags)
        self._db.executemany(SQL["insert_command"], self._commands)
        self._events, self._tags, self._commands = [], [], []

    def _add(self, append: Append) -> Appended:
        record = append.command
        if record is not None and (found := self._find(record.key)) is not None:
            return _repeated(record, found)
        for write in append.writes:
            self._check_version(append.tenant, write)
        if append.condition is not None:
            self._check_condition(append.condition, append.tenant)
        appended = self._write(append) if append.writes else self._nothing(record)
        if record is not None:
            self._remember(record, appended, events=sum(len(w.events) for w in append.writes))
        return appended

    def _find(self, key: CommandKey) -> RecordedCommand | None:
        return self._found.get(key) or find_command(self._db, key)

    def _check_version(self, tenant: str, write: Write) -> None:
        actual, expected = self._versions[_Stream(tenant, write.stream)], write.expected_version
        if isinstance(expected, int) and expected != actual:
            raise ConcurrencyError(write.stream, expected=expected, actual=actual)

    def _check_condition(self, condition: Condition, tenant: str) -> None:
        self.flush()
        verify(self._db, condition.after)
        scope = Scope(after=condition.after.position, tenant=tenant)
        for criterion in condition.criteria:
            if found := positions_matching(self._db, criterion, scope, limit=1):
                raise ConditionFailed(after=condition.after.position, position=found[0])

    def _write(self, append: Append) -> Appended:
        metadata = append.metadata.decode()
        rows: list[Row] = []
        for write in append.writes:
            rows += self._rows(append.tenant, write, metadata, after=self.head.position + len(rows))
        self._events += rows
        streams = tuple(self._moved(append.tenant, write) for write in append.writes)
        events = [event for write in append.writes for event in write.events]
        for position, event in enumerate(events, self.head.position + 1):
            self._tags += [(tag, position) for tag in sorted(set(event.tags))]
        self.head = Point(self.head.position + len(rows), events[-1].event_id)
        return Appended(self.head, streams)

    def _rows(self, tenant: str, write: Write, metadata: str, *, after: int) -> list[Row]:
        version = self._versions[_Stream(tenant, write.stream)]
        category = category_of(write.stream)
        return [
            (
                after + place, tenant, write.stream, version + place, event.event_id.bytes,
                event.type, event.data.decode(), metadata, self._recorded_at,
                microseconds(event.occurred_at) if event.occurred_at else None,
                json_text(event.tags) if event.tags else None, category,
            )
            for place, event in enumerate(write.events, 1)
        ]  # fmt: skip

    def _moved(self, tenant: str, write: Write) -> StreamVersion:
        stream = _Stream(tenant, write.stream)
        self._versions[stream] += len(write.events)
        return StreamVersion(write.stream, self._versions[stream])

    def _nothing(self, record: CommandRecord | None) -> Appended:
        return Appended(self.head, record.streams if record else ())

    def _remember(self, record: CommandRecord, appended: Appended, *, events: int) -> None:
        key, streams = record.key, None if events else json_text(appended.streams)
        row = (key.tenant, key.principal, key.command_id.bytes, record.hash)
        self._commands.append((*row, appended.point.position, events, streams))
        self._found[key] = RecordedCommand(record.hash, appended)


def _versions_of(db: Connection, appends: Sequence[Append]) -> dict[_Stream, int]:
    wanted: dict[str, set[str]] = {}
    for append in appends:
        for write in append.writes:
            wanted.setdefault(append.tenant, set()).add(write.stream)
    return {
        _Stream(tenant, name): version or 0
        for tenant, names in wanted.items()
        for name, version in db.execute(
            SQL["stream_versions"], {"tenant": tenant, "streams": json_text(list(names))}
        )
    }


def _repeated(record: CommandRecord, found: RecordedCommand) -> Appended:
    if found.hash != record.hash:
        raise CommandIdReused(record.key.command_id)
    return replace(found.outcome, repeated=True)
