"""`Unit`: the commands of one transaction of the caller's, kept until it commits.

Its commands see each other: a stream that one of them has written is, for the next, at the version
that it will have. Nothing goes into the caches of the application, because nothing is committed
yet; and positions are known only afterwards.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Protocol, runtime_checkable
from uuid import UUID

import sqlalchemy as sa
from msgspec.structs import replace

from diptych.clock import Clock
from diptych.errors import (
    CommandTookEffect,
    ConcurrencyError,
    ConfigurationError,
    DiptychError,
    OutcomeUnknown,
)
from diptych.messages import RecordedEvent
from diptych.store.contract import (
    START,
    Append,
    Appended,
    CommandKey,
    Load,
    Loaded,
    RecordedCommand,
    StreamVersion,
    Write,
    WriteStore,
)
from diptych.store.limits import MAX_VERSION, validate
from diptych.store.snapshots import Snapshots
from diptych.write.outcome import Outcome, outcome_of


@runtime_checkable
class JoinableStore(WriteStore, Protocol):
    """A store whose database can hold the caller's tables too."""

    def append_within(
        self, connection: sa.Connection, appends: Sequence[Append]
    ) -> Sequence[Appended | DiptychError]:
        """Append in the open transaction of `connection`, whose caller commits or rolls back.

        One answer for each member. It takes the lock of the log, until the transaction ends, and
        sees to it that the commit is durable.

        Raises:
            ConfigurationError: the connection leads to another database, or its isolation level
                is not READ COMMITTED.
        """
        ...

    def committed(self) -> None:
        """What was appended within a transaction is committed: wake who follows the log.

        It may be called in any thread.
        """
        ...


class _State(Enum):
    OPEN = "still open"
    REFUSED = "refused"
    APPENDED = "being committed"
    COMMITTED = "committed"
    ROLLED_BACK = "rolled back"
    UNKNOWN = "unknown"


class Unit:
    """What the commands of one transaction append. It is the store that they are executed on."""

    def __init__(self, store: JoinableStore, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._appends: list[Append] = []
        self._records: dict[CommandKey, RecordedCommand] = {}
        self._written: dict[tuple[str, str], list[RecordedEvent]] = {}
        self._answers: dict[UUID, Appended] = {}
        self._state = _State.OPEN

    @property
    def log_id(self) -> UUID:
        return self._store.log_id

    @property
    def snapshots(self) -> Snapshots:
        return self._store.snapshots

    @property
    def ended(self) -> bool:
        return self._state in {_State.COMMITTED, _State.ROLLED_BACK, _State.UNKNOWN}

    async def append(self, append: Append) -> Appended:
        """Keep it. Where it will stand in the log is not known yet."""
        validate(append)
        self._require_open()
        before = [await self._version(append.tenant, write) for write in append.writes]
        written = [
            self._write(append, write, version)
            for write, version in zip(append.writes, before, strict=True)
        ]
        self._appends.append(append)
        record = append.command
        appended = Appended(START, tuple(written) or (record.streams if record else ()))
        if record is not None:
            self._records[record.key] = RecordedCommand(record.hash, appended)
        return appended

    async def load(self, load: Load) -> Loaded:
        """What is committed, and after it what this unit has written."""
        self._require_open()
        loaded = await self._store.load(load)
        if load.command is not None and (kept := self._records.get(load.command)):
            loaded = replace(loaded, command=kept)
        if not (ours := self._written.get((load.tenant, load.stream))):
            return loaded
        events = [event for event in loaded.events if event.version < ours[0].version]
        events += [event for event in ours if event.version > load.after]
        return replace(loaded, events=events, version=ours[-1].version)

    async def find(self, command: CommandKey) -> RecordedCommand | None:
        return self._records.get(command) or await self._store.find(command)

    def holds(self, command_id: UUID) -> bool:
        """Whether a command of this unit has this id."""
        return any(key.command_id == command_id for key in self._records)

    def append_within(self, connection: sa.Connection) -> None:
        """Append what was kept.

        Raises: why a member was refused; then nothing of the transaction may be committed.
        """
        self._require_open()
        self._state = _State.REFUSED
        answers = self._store.append_within(connection, self._appends) if self._appends else ()
        for append, answer in zip(self._appends, answers, strict=True):
            if isinstance(answer, DiptychError):
                raise answer
            if append.command is not None:
                command_id = append.command.key.command_id
                if answer.repeated:
                    raise CommandTookEffect(command_id)
                self._answers[command_id] = answer
        self._state = _State.APPENDED

    def committed(self) -> None:
        """All of the transaction is."""
        self._state = _State.COMMITTED
        self._store.committed()

    def rolled_back(self) -> None:
        """Once the append was made, the commit may have failed, or only its answer."""
        lost = self._state is _State.APPENDED
        self._state = _State.UNKNOWN if lost else _State.ROLLED_BACK

    def outcome(self, decided: Outcome) -> Outcome:
        """What came of a command; without events it is as of the last event of this unit.

        Raises: OutcomeUnknown, ConfigurationError: as `Pending.outcome` says.
        """
        if self._state is _State.UNKNOWN:
            raise OutcomeUnknown(decided.command_id)
        if self._state is not _State.COMMITTED:
            raise ConfigurationError(
                f"there is no outcome: the transaction is {self._state.value}, not committed"
            )
        answer = self._answers.get(decided.command_id)
        if answer is not None:
            return outcome_of(decided.command_id, answer, decided.log_id)
        points = (decided.point, *(each.point for each in self._answers.values()))
        return replace(decided, point=max(points, key=lambda point: point.position))

    async def _version(self, tenant: str, write: Write) -> int:
        """That the write begins after. What is certain to be refused is refused at once."""
        expected, ours = write.expected_version, self._written.get((tenant, write.stream))
        if isinstance(expected, int) and (not ours or expected == ours[-1].version):
            return expected
        actual = (await self.load(Load(write.stream, tenant, after=MAX_VERSION))).version
        if isinstance(expected, int):
            raise ConcurrencyError(write.stream, expected=expected, actual=actual)
        return actual

    def _write(self, append: Append, write: Write, version: int) -> StreamVersion:
        """The events as later commands of this unit load them; they have no position yet."""
        now, tenant, stream = self._clock.now(), append.tenant, write.stream
        written = self._written.setdefault((tenant, stream), [])
        for event in write.events:
            version += 1
            written.append(
                RecordedEvent(
                    0, tenant, stream, version, event.event_id, event.type, event.data,
                    append.metadata, now, event.occurred_at, event.tags,
                )
            )  # fmt: skip
        return StreamVersion(stream, version)

    def _require_open(self) -> None:
        if self._state is not _State.OPEN:
            raise ConfigurationError(
                f"the transaction is {self._state.value}: roll it back, begin another, and join it"
            )
