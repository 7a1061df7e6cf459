"""A batch of appends as the arguments of one call, and its answer as the members' answers.

The database decides. It answers with the head and the versions that it found, and with what it
refuses; the positions and versions of all else follow from these, in the order of the batch.
"""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec.structs import replace

from diptych.clock import Clock
from diptych.errors import (
    CommandIdReused,
    ConcurrencyError,
    ConditionFailed,
    DiptychError,
    HistoryDiverged,
    InvalidInput,
)
from diptych.store.contract import (
    START,
    AnyVersion,
    Append,
    Appended,
    CommandKey,
    CommandRecord,
    Condition,
    Point,
    StreamVersion,
    Write,
)
from diptych.store.postgres.rows import (
    Command,
    criteria_json,
    json_text,
    numbers_text,
    recorded,
    tags_text,
    time_text,
    times_text,
    uuid_of,
    uuids_text,
)

Answer = Appended | DiptychError
Found = tuple[int, bytes | None, str, str]
"""What `append_1` answers: head, event id there, versions of the streams, what is refused."""

_NO_EVENTS: Final[tuple[tuple[Any, ...], ...]] = ((), (), (), (), ())
_refusals: Final = msgspec.json.Decoder(list[tuple[int, list[Any]]]).decode
_versions: Final = msgspec.json.Decoder(list[int]).decode


class Batch:
    """Appends as columns, which count from 1 as PostgreSQL does."""

    def __init__(self) -> None:
        self.members: list[Append] = []
        self._metadata: list[str] = []
        self._writes_of: list[int] = []
        self._events_of: list[int] = []
        self._key_of: list[int | None] = []
        self._hashes: list[str | None] = []
        self._nothing: list[str | None] = []
        self._conditions: list[str | None] = []
        self._streams: dict[tuple[str, str], int] = {}  # tenant and name
        self._keys: dict[CommandKey, int] = {}
        self._writes: list[
            tuple[int, int, int | None, int]
        ] = []  # member, stream, expected, events
        self._write_of: list[int] = []
        self._ids: list[UUID] = []
        self._types: list[str] = []
        self._data: list[str] = []
        self._times: list[str | None] = []
        self._tags: list[str | None] = []

    def add(self, append: Append) -> None:
        """Raises: InvalidInput: the database could not store it; nothing was added."""
        events = [event for write in append.writes for event in write.events]
        types, data, ids, tags, times = zip(*events, strict=True) if events else _NO_EVENTS
        texts = [_text("data", each) for each in data]
        moments = [time_text(each) if each else None for each in times]
        self._metadata.append(_text("metadata", append.metadata))
        self.members.append(append)
        self._writes_of.append(len(append.writes))
        self._events_of.append(len(events))
        self._types += types
        self._data += texts
        self._ids += ids
        self._tags += [tags_text(each) if each else None for each in tags]
        self._times += moments
        condition = append.condition
        self._conditions.append(_condition(append.tenant, condition) if condition else None)
        self._add_command(append.command)
        for write in append.writes:
            self._add_write(append.tenant, write)

    def parameters(self, clock: Clock | None) -> tuple[object, ...]:
        """The arguments of `append_1`, in its order. Without a clock the server's is used."""
        members, streams, expected, events = (
            zip(*self._writes, strict=True) if self._writes else ([],) * 4
        )
        return (
            clock.now() if clock else None,
            [tenant for tenant, _ in self._streams],
            [name for _, name in self._streams],
            [key.tenant for key in self._keys],
            [key.principal for key in self._keys],
            uuids_text([key.command_id for key in self._keys]),
            self._metadata,
            numbers_text(self._writes_of),
            numbers_text(self._events_of),
            numbers_text(self._key_of),
            self._hashes,
            self._nothing,
            self._conditions if any(self._conditions) else None,
            numbers_text(members),
            numbers_text(streams),
            numbers_text(expected),
            numbers_text(events),
            numbers_text(self._write_of),
            uuids_text(self._ids),
            self._types,
            self._data,
            times_text(self._times) if any(self._times) else None,
            self._tags if any(self._tags) else None,
        )

    def answers(self, found: Found) -> list[Answer]:
        """One for each append that was added, in that order."""
        position, event_id, versions, refused = found
        head = Point(position, uuid_of(event_id)) if event_id else START
        replay = _Replay(head, dict(zip(self._streams, _versions(versions), strict=True)))
        refusals = dict(_refusals(refused))
        answers: list[Answer] = []
        for number, append in enumerate(self.members, 1):
            if (refusal := refusals.get(number)) is not None:
                answers.append(_refusal(append, refusal, self.members, answers))
            else:
                answers.append(replay.add(append))
        return answers

    def _add_command(self, record: CommandRecord | None) -> None:
        if record is None:
            self._key_of.append(None)
            self._hashes.append(None)
            self._nothing.append(None)
            return
        self._key_of.append(self._keys.setdefault(record.key, len(self._keys) + 1))
        self._hashes.append(record.hash.hex())
        self._nothing.append(json_text(record.streams) if record.streams else None)

    def _add_write(self, tenant: str, write: Write) -> None:
        expected = write.expected_version
        stream = self._streams.setdefault((tenant, write.stream), len(self._streams) + 1)
        self._writes.append((
            len(self.members), stream, None if isinstance(expected, AnyVersion) else expected,
            len(write.events),
        ))  # fmt: skip
        self._write_of += [len(self._writes)] * len(write.events)


class _Replay:
    """The log's state while the batch is decided once more, now that it is known how."""

    def __init__(self, head: Point, versions: dict[tuple[str, str], int]) -> None:
        self._head, self._versions = head, versions

    def add(self, append: Append) -> Appended:
        record = append.command
        if not append.writes:
            return Appended(self._head, record.streams if record else ())
        position, last = self._head
        streams: list[StreamVersion] = []
        for write in append.writes:
            key = append.tenant, write.stream
            self._versions[key] = version = self._versions[key] + len(write.events)
            streams.append(StreamVersion(write.stream, version))
            position, last = position + len(write.events), write.events[-1].event_id
        self._head = Point(position, last)
        return Appended(self._head, tuple(streams))


def repeated(record: CommandRecord, digest: bytes, outcome: Appended) -> Answer:
    """What a command that took effect before is told."""
    if digest != record.hash:
        return CommandIdReused(record.key.command_id)
    return replace(outcome, repeated=True)


def _refusal(
    append: Append, refusal: list[Any], members: Sequence[Append], answers: Sequence[Answer]
) -> Answer:
    kind, *facts = refusal
    match kind, facts, append:
        case "known", [found], Append(command=CommandRecord() as record):
            command = recorded(msgspec.convert(found, Command))
            return repeated(record, command.hash, command.outcome)
        case "twin", [number], Append(command=CommandRecord() as record):
            return _like_twin(record, members[number - 1], answers[number - 1])
        case "version", [place, actual], _:
            write = append.writes[place]
            assert isinstance(write.expected_version, int)  # noqa: S101 - any version is not refused
            return ConcurrencyError(write.stream, expected=write.expected_version, actual=actual)
        case "condition", [position], Append(condition=Condition() as condition):
            return ConditionFailed(after=condition.after.position, position=position)
        case "diverged", [position], _:
            return HistoryDiverged("what was read before", position=position)
        case _:
            raise AssertionError(f"append_1 refused for an unknown reason: {kind}")


def _like_twin(record: CommandRecord, twin: Append, answer: Answer) -> Answer:
    """The same command stands before it in the batch, and took effect."""
    assert twin.command is not None  # noqa: S101 - so it has a record
    assert isinstance(answer, Appended)  # noqa: S101 - and an outcome
    return repeated(record, twin.command.hash, answer)


def _condition(tenant: str, condition: Condition) -> str:
    position, event_id = condition.after
    return json_text([tenant, position, event_id, criteria_json(condition.criteria)])


def _text(field_name: str, data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeError:
        raise InvalidInput(field_name, "must be JSON in UTF-8") from None
    if "\0" in text:
        raise InvalidInput(field_name, "must be JSON in UTF-8, without NUL")
    return text
