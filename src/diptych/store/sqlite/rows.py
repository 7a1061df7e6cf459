"""Between rows of the log's tables and the messages that stand for them.

This is the innermost loop of every read, so it is written for speed: about 1.3 µs an event.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from diptych.errors import InvalidInput
from diptych.messages import RecordedEvent

Row = tuple[Any, ...]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_encode: Final = msgspec.json.Encoder().encode
_tags: Final = msgspec.json.Decoder(tuple[str, ...]).decode
_convert: Final = msgspec.convert  # makes a UUID in a quarter of the time of UUID(bytes=...)


def json_text(value: object) -> str:
    return _encode(value).decode()


def microseconds(moment: datetime) -> int:
    """Since 1970, exactly."""
    if moment.tzinfo is None:
        raise InvalidInput("occurred_at", "must have a time zone")
    return (moment - _EPOCH) // _MICROSECOND


def moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def uuid_of(data: bytes) -> UUID:
    return _convert(data, UUID)


def events_of(rows: Iterable[Row], *, most: int) -> list[RecordedEvent]:
    """The events of `rows`, up to and with the one that fills `most` bytes of data."""
    events: list[RecordedEvent] = []
    add, new = events.append, tuple.__new__
    last, at, size = 0, _EPOCH, 0
    for row in rows:
        position, tenant, stream, version, event_id, name, data, meta, recorded, occurred, tags = (
            row
        )
        if recorded != last:  # events of one commit share it
            last, at = recorded, moment(recorded)
        fields = (
            position, tenant, stream, version, _convert(event_id, UUID), name, data, meta, at,
            None if occurred is None else moment(occurred), _tags(tags) if tags else (),
        )  # fmt: skip
        add(new(RecordedEvent, fields))
        size += len(data)
        if size >= most:
            break
    return events
