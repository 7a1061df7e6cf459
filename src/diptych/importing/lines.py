"""Lines of JSON as events that may be appended."""

from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Raw, Struct

from diptych.clock import Clock
from diptych.errors import InvalidInput, Rejected, StoreError, UnknownEventType
from diptych.log import Log
from diptych.messages import EventData, RecordedEvent
from diptych.store.contract import ANY_VERSION, Append, Write, category_of
from diptych.store.limits import MAX_EVENT_BYTES, check_name, validate

LONGEST: Final = 4 * MAX_EVENT_BYTES
"""Bytes of a line; what is around the data of an event may take room as well."""
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class _Line(Struct, forbid_unknown_fields=True, frozen=True, gc=False):
    """What a line may say; `stream`, `type` and `data` it must.

    `position` and `metadata` are part of what `diptych events tail --json --data` prints, and are
    not kept: positions are those of this log, and no command of this log made these events.
    """

    stream: str
    type: str
    data: Raw
    version: int | None = None
    event_id: UUID | None = None
    tags: tuple[str, ...] | None = None
    occurred_at: datetime | None = None
    recorded_at: datetime | None = None
    tenant: str = ""
    position: int | None = None
    metadata: Raw = Raw(b"{}")


@dataclass(frozen=True, slots=True)
class Item:
    """A line that was read and found right; `number` is its place in the file."""

    number: int
    raw: bytes
    stream: str
    version: int | None
    event: EventData


class Lines:
    """The lines of a file that say something, with their numbers and with a way back."""

    def __init__(self, file: Iterable[bytes] | AsyncIterable[bytes]) -> None:
        self._file = _numbered(file)
        self._ready = list[tuple[int, bytes]]()

    async def there_are_more(self) -> bool:
        """Raises: InvalidInput: the next line is too long to be an event."""
        while not self._ready:
            if (found := await anext(self._file, None)) is None:
                return False
            number, line = found
            if len(line) > LONGEST:
                raise InvalidInput(f"line {number}", f"at most {LONGEST} bytes")
            text = line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
            if text := text.strip():
                self._ready.append((number, text))
        return True

    @property
    def number(self) -> int:
        """Of the next line, if there are more."""
        return self._ready[-1][0]

    def take(self) -> tuple[int, bytes]:
        """The next line, if there are more."""
        return self._ready.pop()

    def give_back(self, items: Sequence[Item]) -> None:
        self._ready.extend((item.number, item.raw) for item in reversed(items))


async def _numbered(
    file: Iterable[bytes] | AsyncIterable[bytes],
) -> AsyncGenerator[tuple[int, bytes]]:
    number = 0
    if isinstance(file, AsyncIterable):
        async for line in file:
            yield (number := number + 1), line
    else:
        for line in file:
            yield (number := number + 1), line


class Reader:
    """Makes events of lines, and refuses what the code of this application could not read."""

    def __init__(self, log: Log, *, tenant: str, clock: Clock) -> None:
        self._families, self._tenant, self._clock = log.families, tenant, clock
        self._decoder = msgspec.json.Decoder(_Line)

    async def item(self, number: int, raw: bytes) -> Item:
        """Raises: InvalidInput: the line is no event that may be appended; it names the line."""
        try:
            line = self._decoder.decode(raw)
            item = Item(number, raw, line.stream, line.version, await self._event(line))
            validate(Append((Write(item.stream, (item.event,), ANY_VERSION),), tenant=self._tenant))
        except RecursionError as error:
            raise InvalidInput(f"line {number}", "is nested too deeply") from error
        except (msgspec.MsgspecError, UnicodeError) as error:
            problem = str(error) if isinstance(error, msgspec.MsgspecError) else "is not UTF-8"
            raise InvalidInput(f"line {number}", problem) from error
        except (Rejected, StoreError) as error:
            raise InvalidInput(f"line {number}", str(error)) from error
        return item

    async def _event(self, line: _Line) -> EventData:
        check_name("stream", line.stream)
        if line.tenant != self._tenant:
            raise InvalidInput("tenant", "is not the one of this import")
        if line.version is not None and line.version < 1:
            raise InvalidInput("version", "must be at least 1")
        data = msgspec.json.format(line.data, indent=-1)
        if not data.startswith(b"{"):
            raise InvalidInput("data", "must be an object")
        found = EventData(line.type, data, line.event_id or self._clock.new_id())
        found_tags = await self._tags(line, data)
        occurred = _aware(line.occurred_at or line.recorded_at)
        tags = found_tags if line.tags is None else line.tags
        return found._replace(tags=tags, occurred_at=occurred)

    async def _tags(self, line: _Line, data: bytes) -> tuple[str, ...]:
        """Those that the code gives to such an event; it has to be able to read it."""
        recorded = _as_recorded(line, data)
        category = category_of(line.stream)
        for family in self._families:
            if family.category != category:
                continue
            try:
                found = await family.decode([recorded])
            except UnknownEventType:  # the family of a view may know fewer types
                continue
            # What cannot be recorded here (a NUL in text, say) is not to come in from elsewhere.
            made = [family.encode(each, event_id=recorded.event_id) for _, each in found]
            return tuple(dict.fromkeys(tag for each in made for tag in each.tags))
        raise UnknownEventType(line.type, category=category)


def _as_recorded(line: _Line, data: bytes) -> RecordedEvent:
    """As if it were in the log; where is not known yet."""
    return RecordedEvent(
        position=0,
        tenant=line.tenant,
        stream=line.stream,
        version=line.version or 1,
        event_id=UUID(int=0),
        type=line.type,
        data=data,
        metadata_json=b"{}",
        recorded_at=datetime.now(UTC),
        occurred_at=line.occurred_at,
        tags=line.tags or (),
    )


def _aware(at: datetime | None) -> datetime | None:
    if at is not None and at.tzinfo is None:
        raise InvalidInput("occurred_at", "must have a time zone, as in 2026-11-21T07:25:44Z")
    return at and at.astimezone(UTC)
