"""Between rows of the log's tables and the messages that stand for them.

This is the innermost loop of every read, so it is written for speed: about 1.1 µs an event that is
a row, 0.9 µs of those that came packed in one.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import accumulate, pairwise
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
_texts: Final = msgspec.json.Decoder(list[str]).decode
_texts_or_none: Final = msgspec.json.Decoder(list[str | None]).decode
_numbers: Final = msgspec.json.Decoder(list[int]).decode
_numbers_or_none: Final = msgspec.json.Decoder(list[int | None]).decode
_event: Final = partial(tuple.__new__, RecordedEvent)
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


def unpacked(row: Row) -> list[RecordedEvent]:
    """The events of the one row that `packed_between` gives."""
    positions, tenants, streams, versions, ids, types, sizes, data, sizes_of_metadata, metadata = (
        row[:10]
    )
    recorded, occurred, tags = row[10:]
    at = _numbers(recorded)
    moments = {number: moment(number) for number in set(at)}  # events of one commit share it
    columns = (
        _numbers(positions), _texts(tenants), _texts(streams), _numbers(versions), _ids(ids or b""),
        _texts(types), _cut(data, sizes), _cut(metadata, sizes_of_metadata),
        map(moments.__getitem__, at),
        (None if each is None else moment(each) for each in _numbers_or_none(occurred)),
        (_tags(each) if each else () for each in _texts_or_none(tags)),
    )  # fmt: skip
    return list(map(_event, zip(*columns, strict=True)))


def _ids(data: bytes) -> list[UUID]:
    return _convert([data[at : at + 16] for at in range(0, len(data), 16)], list[UUID])


def _cut(data: bytes, sizes: str) -> Sequence[bytes]:
    ends = [0, *accumulate(_numbers(sizes))]
    return [data[begin:end] for begin, end in pairwise(ends)]
