"""What one transaction appends: each member is checked against all that stands before it.

Rows are bound as str, int and bytearray only: the driver binds these at once, but looks for an
adapter for each `bytes` and None, which makes an insert two to three times slower. So blobs are
bytearrays, and the statements store '' as null where null is meant.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec.structs import replace

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
    StreamVersion,
    Write,
    category_of,
)
from diptych.store.sqlite.lookup import (
    FEW,
    Scope,
    end_of,
    find_command,
    find_commands,
    positions_matching,
    verify,
)
from diptych.store.sqlite.rows import Row, json_text, microseconds
from diptych.store.sqlite.statements import SQL

Answer = Appended | DiptychError
_Stream = tuple[str, str]  # tenant and name
_Outcome = tuple[bytes, Appended]  # the command's hash and what came of it


class Batch:
    """Appends inside an open transaction, each with its own answer.

    The versions of streams are looked up at once, and kept up to date here, so that later members
    see earlier ones. Rows are collected and inserted together by `flush`. Only a condition has to
    ask the tables, so `flush` comes before it.

    Two things nearly always hold, and are only looked up if the batch is `careful`: a stream that
    is expected to be new is new, and a command was not known before (one whose member would be
    refused is looked up in any case). If they do not hold, a unique key is broken by `flush`.
    """

    def __init__(
        self, db: Connection, appends: Sequence[Append], *, recorded_at: datetime, careful: bool
    ) -> None:
        self._db = db
        self.head, last_recorded_at = end_of(db)
        # The machine's clock may be set back; the log's times never are.
        self._recorded_at = max(microseconds(recorded_at), last_recorded_at)
        self._versions = _versions_of(db, appends, careful=careful)
        self._outcomes = _outcomes_of(db, appends) if careful else {}
        self._events: list[Row] = []
        self._tags: list[Row] = []
        self._commands: list[Row] = []

    def add(self, append: Append) -> Answer:
        """Collect what it writes; or, changing nothing, say why it is refused."""
        try:
            return self._add(append)
        except DiptychError as refusal:
            return self._refused(append, refusal)
        except UnicodeError:
            return self._refused(append, InvalidInput("data", "must be JSON in UTF-8"))

    def flush(self) -> None:
        """Insert what was collected."""
        for name, rows in (
            ("insert_event", self._events),
            ("insert_tag", self._tags),
            ("insert_command", self._commands),
        ):
            if rows:
                self._db.executemany(SQL[name], rows)
                rows.clear()

    def _add(self, append: Append) -> Answer:
        record = append.command
        if record is not None and record.key in self._outcomes:
            return _repeated(record, *self._outcomes[record.key])
        for write in append.writes:
            self._check_version(append.tenant, write)
        if append.condition is not None:
            self._check_condition(append.condition, append.tenant)
        before = self.head.position
        appended = self._write(append) if append.writes else self._nothing(record)
        if record is not None:
            self._remember(record, appended, events=self.head.position - before)
        return appended

    def _refused(self, append: Append, refusal: DiptychError) -> Answer:
        """What the caller is told: of a command that took effect before, what came of it then."""
        record = append.command
        if record is None or (found := find_command(self._db, record.key)) is None:
            return refusal
        return _repeated(record, found.hash, found.outcome)

    def _check_version(self, tenant: str, write: Write) -> None:
        actual, expected = self._versions[tenant, write.stream], write.expected_version
        if expected != actual and isinstance(expected, int):
            raise ConcurrencyError(write.stream, expected=expected, actual=actual)

    def _check_condition(self, condition: Condition, tenant: str) -> None:
        self.flush()
        verify(self._db, condition.after)
        scope = Scope(after=condition.after.position, tenant=tenant)
        for criterion in condition.criteria:
            if found := positions_matching(self._db, criterion, scope, limit=1):
                raise ConditionFailed(after=condition.after.position, position=found[0])

    def _write(self, append: Append) -> Appended:
        """One loop, for speed. Whatever can fail is done before anything here is changed."""
        tenant, metadata, at = append.tenant, append.metadata.decode(), self._recorded_at
        position, last = self.head
        rows: list[Row] = []
        tagged: list[Row] = []
        streams: list[StreamVersion] = []
        for write in append.writes:
            stream = write.stream
            category, version = category_of(stream), self._versions[tenant, stream]
            for name, data, last, tags, occurred in write.events:
                position, version = position + 1, version + 1
                rows.append((
                    position, tenant, stream, version, bytearray(last.bytes), name, data.decode(),
                    metadata, at, microseconds(occurred) if occurred else "",
                    json_text(tags) if tags else "", category,
                ))  # fmt: skip
                if tags:
                    tagged += [(tag, position) for tag in sorted(set(tags))]
            streams.append(StreamVersion(stream, version))
        self._events += rows
        self._tags += tagged
        for stream, version in streams:
            self._versions[tenant, stream] = version
        self.head = Point(position, last)
        return Appended(self.head, tuple(streams))

    def _nothing(self, record: CommandRecord | None) -> Appended:
        return Appended(self.head, record.streams if record else ())

    def _remember(self, record: CommandRecord, appended: Appended, *, events: int) -> None:
        (tenant, principal, command_id), point = record.key, appended.point
        key, streams = bytearray(command_id.bytes), "" if events else json_text(appended.streams)
        row = (tenant, principal, key, bytearray(record.hash), point.position, events, streams)
        self._commands.append(row)
        self._outcomes[record.key] = record.hash, appended


def _versions_of(db: Connection, appends: Sequence[Append], *, careful: bool) -> dict[_Stream, int]:
    versions: dict[_Stream, int] = {}
    wanted: dict[str, set[str]] = {}
    for append in appends:
        for write in append.writes:
            if careful or write.expected_version != 0:
                wanted.setdefault(append.tenant, set()).add(write.stream)
            else:
                versions[append.tenant, write.stream] = 0
    for tenant, names in wanted.items():
        for name, version in _versions_in(db, tenant, list(names)):
            versions[tenant, name] = version or 0
    return versions


def _versions_in(db: Connection, tenant: str, names: list[str]) -> Iterable[tuple[str, int | None]]:
    if len(names) > FEW:
        wanted = {"tenant": tenant, "streams": json_text(names)}
        return db.execute(SQL["stream_versions"], wanted)
    found = (db.execute(SQL["stream_version"], (tenant, name)).fetchone() for name in names)
    return zip(names, (version for (version,) in found), strict=True)


def _outcomes_of(db: Connection, appends: Sequence[Append]) -> dict[CommandKey, _Outcome]:
    keys = [append.command.key for append in appends if append.command is not None]
    return {key: (found.hash, found.outcome) for key, found in find_commands(db, keys).items()}


def _repeated(record: CommandRecord, digest: bytes, outcome: Appended) -> Answer:
    if digest != record.hash:
        return CommandIdReused(record.key.command_id)
    return replace(outcome, repeated=True)
