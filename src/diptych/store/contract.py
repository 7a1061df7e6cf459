"""The contract of the log: what every store does, and what all of them refuse.

One log is one sequence of events in commit order. A stream is the events of one aggregate inside
it, named `category-id`; its version is the number of its events. Every clause below is a test in
`diptych.testing.conformance` that every store passes.

- An append is atomic: all of its writes and its command record, or nothing. Its events stand
  together, in the order of its writes.
- Its expected versions and its condition are checked against the state that it is added to.
- Positions increase in commit order and are never used twice. Who has seen position p never later
  meets an event at or below p that it had not seen. On a `dense` log they are 1, 2, 3, …
- `after` is always exclusive.
- A command id takes effect once. The same id with the same hash gets the first outcome, with
  `repeated` set, before anything else is looked at; with another hash, `CommandIdReused`. Then
  come the versions, in the order of the writes, then the condition.
- An acknowledged append is durable to the level that `durability` states.
- Every read sees every append that was acknowledged before the read began, by any process.
- `data`, `metadata_json` and tags come back as they were given; `recorded_at` has microseconds and
  never runs backwards from one position to the next.
- Where a filter is None everything passes; where it is empty, nothing does.

The ids of events need not be unique, but they must be made anew for each recording: that is how a
history that was restored and went on differently is told from the one that was lost.
"""

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from msgspec import Struct

from diptych.messages import EventData, RecordedEvent
from diptych.store.snapshots import Snapshots


class AnyVersion(Enum):
    ANY_VERSION = "any version"


ANY_VERSION: Final = AnyVersion.ANY_VERSION
"""Append whatever the stream's version is."""

ExpectedVersion = int | AnyVersion


class Write(Struct, frozen=True, gc=False):
    """Events for one stream. `expected_version` 0 means that the stream must not exist yet."""

    stream: str
    events: tuple[EventData, ...]
    expected_version: ExpectedVersion


class Criterion(Struct, frozen=True, gc=False):
    """Matches an event whose type is one of `types` (empty: any) and that has all of `tags`."""

    types: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()

    def matches(self, event_type: str, tags: Iterable[str]) -> bool:
        """Whether an event of this type with these tags is meant."""
        return (not self.types or event_type in self.types) and self.tags.issubset(tags)


class Point(NamedTuple):
    """A position and the id of the event there: this tells one history from another.

    `START` is before the first event. `event_id` None means that nobody looked.
    """

    position: int
    event_id: UUID | None = None


START: Final = Point(0)


class Condition(Struct, frozen=True, gc=False):
    """Append only if no event of the same tenant after the point `after` meets any criterion.

    This is the append condition of dynamic consistency boundaries (dcb.events). `after` is what
    the decision has seen: the `scanned` of its last page. If it carries an event id and the log
    has another event there, the append is refused with `HistoryDiverged`.
    """

    criteria: tuple[Criterion, ...]
    after: Point


class CommandKey(NamedTuple):
    """What makes a command id unique: no tenant or principal can meet another's commands."""

    tenant: str
    principal: str
    command_id: UUID


class StreamVersion(NamedTuple):
    stream: str
    version: int


class CommandRecord(Struct, frozen=True, gc=False):
    """Remembers with the append that a command took effect.

    `hash` is a digest of what the client sent; `streams` are reported when there is nothing to
    append (then they are what the decision was made on, otherwise leave them empty).
    """

    key: CommandKey
    hash: bytes = b""
    streams: tuple[StreamVersion, ...] = ()


class Append(Struct, frozen=True, gc=False):
    """Everything that one append does. Without writes it only records that a command did nothing.

    `metadata` is JSON (`Metadata.to_json`) and is stored with each event.
    """

    writes: tuple[Write, ...]
    condition: Condition | None = None
    command: CommandRecord | None = None
    tenant: str = ""
    metadata: bytes = b"{}"


class Appended(Struct, frozen=True, gc=False):
    """Where the append went: its streams with their versions after it, and its last event.

    With nothing to append `point` is the head of the log at that time. `repeated` says that the
    command had taken effect before, and that this is what came of it then. It is also set when an
    append is repeated because its first answer was lost.
    """

    point: Point
    streams: tuple[StreamVersion, ...]
    repeated: bool = False


class Load(Struct, frozen=True, gc=False):
    """Ask for the events of a stream after a version and, with `command`, for what became of it."""

    stream: str
    tenant: str = ""
    after: int = 0
    command: CommandKey | None = None


class RecordedCommand(Struct, frozen=True, gc=False):
    """A command that took effect, as the log remembers it."""

    hash: bytes
    outcome: Appended


class Loaded(Struct, frozen=True, gc=False):
    """A stream: its events after the version that was asked for, to its end.

    `version` is the stream's version, `point` the place of its last event (`START` if it has
    none), whether or not they are among `events`. `command` is what became of the command that
    was asked for; if it is None, `events` hold nothing of that command.
    """

    events: Sequence[RecordedEvent]
    version: int
    point: Point
    command: RecordedCommand | None = None


class LogPage(Struct, frozen=True, gc=False):
    """Part of the log: all that matches after the point that was asked for, up to `scanned`.

    `scanned` is how far the store looked, whether or not events there matched: read on after it.
    `head` is the position of the log's last event at that time; a page may be short, or empty,
    before it. At `scanned.position == head` there is nothing more.
    """

    events: Sequence[RecordedEvent]
    scanned: Point
    head: int


class WriteStore(Protocol):
    """What commands are executed on: the part of a log that decides on streams."""

    @property
    def log_id(self) -> UUID:
        """Made when the log is created; tells one log from another."""
        ...

    @property
    def snapshots(self) -> Snapshots:
        """Kept states of long streams."""
        ...

    async def append(self, append: Append) -> Appended:
        """Add events, or refuse and change nothing.

        An append whose caller is cancelled while it waits may take effect or not: append the same
        again under the same command record to know. It harms nobody else.

        Raises:
            ConcurrencyError: a stream is not at its expected version.
            ConditionFailed: an event matches the condition.
            CommandIdReused: the command id took effect before, with another hash.
            InvalidInput, LimitExceeded: as `validate` says.
            Overloaded: too many appends are waiting.
            OutcomeUnknown: the answer to the commit was lost. Append the same again, under the
                same command record: that is exact, while a look-up that finds nothing is not, as
                the first attempt may still be under way.
            HistoryDiverged: the condition's point is not in this log.
            StoreError: the database cannot do it; nothing was written.
        """
        ...

    async def load(self, load: Load) -> Loaded:
        """Read one stream, to its end, in version order."""
        ...

    async def find(self, command: CommandKey) -> RecordedCommand | None:
        """What became of a command, None if it never took effect."""
        ...


class EventStore(WriteStore, Protocol):
    """The log. Open it with `async with`, or with `open` and `close`.

    A protocol for stores that live in this package: others are welcome, must pass the conformance
    suite, and may see it change between minor versions.
    """

    @property
    def dense(self) -> bool:
        """Whether positions are 1, 2, 3, … without holes."""
        ...

    @property
    def durability(self) -> str:
        """One line on what an acknowledgement survives, for the start-up report."""
        ...

    async def open(self) -> None:
        """Open the log, creating it where there is none.

        Raises: StoreError: it cannot be used; the message says what to do.
        """
        ...

    async def close(self) -> None:
        """Refuse new work, finish what was accepted, wake who waits in `moved`, release all."""
        ...

    async def read(
        self,
        *,
        after: Point = START,
        limit: int = 1000,
        categories: frozenset[str] | None = None,
        criteria: tuple[Criterion, ...] | None = None,
        tenant: str | None = None,
    ) -> LogPage:
        """Read the log in position order: at most `limit` events, of these categories, that meet
        any criterion, of this tenant (None: all of each); fewer where they would be many bytes.

        After a position beyond the head, without an event id, there is nothing: `scanned` is that
        position.

        Raises:
            HistoryDiverged: `after` carries an event id, and the log has another event there or
                ends before it.
        """
        ...

    async def head(self) -> Point:
        """The last event of the log, `START` when it is empty."""
        ...

    async def moved(self, after: int) -> None:
        """Return once the log's head may be beyond `after`: at once if it is.

        A hint: it may return too early, and within a second after an append by another process.
        """
        ...


def category_of(stream: str) -> str:
    """The part of a stream name before the first `-`."""
    return stream.partition("-")[0]
