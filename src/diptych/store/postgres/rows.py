"""Between rows of the log's tables and the messages that stand for them."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from diptych.errors import InvalidInput
from diptych.messages import RecordedEvent
from diptych.store.contract import Appended, Criterion, Point, RecordedCommand, StreamVersion

Row = Sequence[Any]
Command = tuple[int, str, int, UUID | None, tuple[StreamVersion, ...]]
"""Place in the list of those asked for, hash in hexadecimal, last position, event id, streams."""

_encode: Final = msgspec.json.Encoder().encode
_convert: Final = msgspec.convert  # makes a UUID in a quarter of the time of UUID(bytes=...)
_commands: Final = msgspec.json.Decoder(list[Command] | None).decode


def json_text(value: object) -> str:
    return _encode(value).decode()


def criteria_json(criteria: Iterable[Criterion]) -> list[dict[str, list[str]]]:
    return [{"types": sorted(each.types), "tags": sorted(each.tags)} for each in criteria]


def uuids_text(ids: Sequence[UUID]) -> str:
    """An array of PostgreSQL, as text: JSON but for the brackets."""
    return f"{{{_encode(ids)[1:-1].decode()}}}"


def numbers_text(numbers: Sequence[int | None]) -> str:
    """An array of PostgreSQL, as text; None is null."""
    return f"{{{str(list(numbers))[1:-1].replace('None', 'NULL')}}}"


def tags_text(tags: Iterable[str]) -> str:
    """An array of PostgreSQL, as text."""
    quoted = (tag.replace("\\", "\\\\").replace('"', '\\"') for tag in tags)
    return "{" + ",".join(f'"{tag}"' for tag in quoted) + "}"


def time_text(moment: datetime) -> str:
    """In UTC, to the microsecond."""
    if moment.tzinfo is None:
        raise InvalidInput("occurred_at", "must have a time zone")
    try:
        return moment.astimezone(UTC).isoformat()
    except OverflowError:
        raise InvalidInput("occurred_at", "must be within the years 1 to 9999 in UTC") from None


def times_text(times: Iterable[str | None]) -> str:
    """An array of PostgreSQL, as text; None is null."""
    return f"{{{','.join(time or 'NULL' for time in times)}}}"


def uuid_of(data: bytes) -> UUID:
    return _convert(data, UUID)


def point_of(position: int, event_id: bytes) -> Point:
    return Point(position, uuid_of(event_id))


def commands_of(text: str | bytes | None) -> dict[int, RecordedCommand]:
    """What `commands_1` found, by the places in the list, from 0."""
    return {command[0] - 1: recorded(command) for command in _commands(text or b"null") or ()}


def recorded(command: Command) -> RecordedCommand:
    _, digest, position, event_id, streams = command
    return RecordedCommand(bytes.fromhex(digest), Appended(Point(position, event_id), streams))


def events_of(rows: Iterable[Row]) -> list[RecordedEvent]:
    """The innermost loop of every read."""
    events: list[RecordedEvent] = []
    add, new = events.append, tuple.__new__
    for position, tenant, stream, version, event_id, name, data, meta, at, occurred, tags in rows:
        add(new(RecordedEvent, (
            position, tenant, stream, version, _convert(event_id, UUID), name, data, meta, at,
            occurred, tuple(tags) if tags else (),
        )))  # fmt: skip
    return events
