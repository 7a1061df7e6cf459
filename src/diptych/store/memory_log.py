"""The contract of the log in lists and dictionaries: no clock, no task, no file.

It is written to be read beside `contract.py`; other stores are compared with it.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from diptych.errors import (
    CommandIdReused,
    ConcurrencyError,
    ConditionFailed,
    HistoryDiverged,
    InvalidInput,
)
from diptych.messages import EventData, RecordedEvent
from diptych.store.contract import (
    START,
    Append,
    Appended,
    CommandKey,
    Condition,
    Criterion,
    Load,
    Loaded,
    LogPage,
    Point,
    RecordedCommand,
    StreamVersion,
    Write,
    category_of,
)
from diptych.store.limits import PAGE_BYTES


@dataclass(frozen=True, slots=True)
class Filter:
    """What a page of the log holds; None: all of them."""

    categories: frozenset[str] | None
    criteria: tuple[Criterion, ...] | None
    tenant: str | None

    def passes(self, event: RecordedEvent) -> bool:
        return (
            (self.tenant is None or event.tenant == self.tenant)
            and (self.categories is None or category_of(event.stream) in self.categories)
            and (self.criteria is None or _meets(event, self.criteria))
        )


class MemoryLog:
    """The contract, for one caller at a time."""

    def __init__(self) -> None:
        self.events: list[RecordedEvent] = []
        self._streams: dict[tuple[str, str], list[RecordedEvent]] = {}
        self._commands: dict[CommandKey, RecordedCommand] = {}

    def point(self, count: int) -> Point:
        """The point after the first `count` events."""
        return _point(self.events[count - 1]) if count else START

    def add(self, append: Append, at: datetime, stride: Callable[[], int]) -> Appended:
        """Add what it writes; raise what it is refused with, having changed nothing."""
        record = append.command
        if record is not None and (found := self._commands.get(record.key)) is not None:
            if found.hash != record.hash:
                raise CommandIdReused(record.key.command_id)
            return replace(found.outcome, repeated=True)
        for write in append.writes:
            self._check_version(append.tenant, write)
        if append.condition is not None:
            self._check_condition(append.condition, append.tenant)
        self._extend(self._recorded(append, at, stride))
        streams = tuple(
            StreamVersion(write.stream, self._version(append.tenant, write.stream))
            for write in append.writes
        )
        nothing = record.streams if record else ()
        appended = Appended(self.point(len(self.events)), streams or nothing)
        if record is not None:
            self._commands[record.key] = RecordedCommand(record.hash, appended)
        return appended

    def load(self, load: Load) -> Loaded:
        stream = self._streams.get((load.tenant, load.stream), [])
        point = _point(stream[-1]) if stream else START
        found = self._commands.get(load.command) if load.command else None
        return Loaded(stream[load.after :], len(stream), point, found)

    def find(self, command: CommandKey) -> RecordedCommand | None:
        return self._commands.get(command)

    def page(self, after: Point, wanted: Filter, *, limit: int, scan: int, visible: int) -> LogPage:
        """At most `limit` events, of the next `scan` events of the first `visible`."""
        self._verify(after)
        count = self._count(after.position)
        visible = max(visible, count)  # who knows a point may see up to it
        end = min(visible, count + scan)
        found: list[RecordedEvent] = []
        size = 0
        while count < end and len(found) < limit and size < PAGE_BYTES:
            event = self.events[count]
            count += 1
            if wanted.passes(event):
                found.append(event)
                size += len(event.data)
        scanned = self.point(count)
        if scanned.position < after.position:
            scanned = after
        return LogPage(found, scanned, self.point(visible).position)

    def _count(self, position: int) -> int:
        """How many events stand at or before `position`."""
        return bisect_right(self.events, position, key=lambda event: event.position)

    def _verify(self, seen: Point) -> None:
        if seen.event_id is not None and seen != self.point(self._count(seen.position)):
            raise HistoryDiverged("what was read before", position=seen.position)

    def _check_version(self, tenant: str, write: Write) -> None:
        actual, expected = self._version(tenant, write.stream), write.expected_version
        if isinstance(expected, int) and expected != actual:
            raise ConcurrencyError(write.stream, expected=expected, actual=actual)

    def _check_condition(self, condition: Condition, tenant: str) -> None:
        self._verify(condition.after)
        for event in self.events[self._count(condition.after.position) :]:
            if event.tenant == tenant and _meets(event, condition.criteria):
                raise ConditionFailed(after=condition.after.position, position=event.position)

    def _recorded(
        self, append: Append, at: datetime, stride: Callable[[], int]
    ) -> list[RecordedEvent]:
        _check_text("metadata", append.metadata)
        position = 0
        recorded: list[RecordedEvent] = []
        if self.events:  # a clock may be set back; the times of a log never are
            position, at = self.events[-1].position, max(at, self.events[-1].recorded_at)
        for write in append.writes:
            first = self._version(append.tenant, write.stream) + 1
            for version, event in enumerate(write.events, first):
                position += stride()
                _check_time(event)
                _check_text("data", event.data)
                recorded.append(
                    RecordedEvent(
                        position,
                        append.tenant,
                        write.stream,
                        version,
                        event.event_id,
                        event.type,
                        event.data,
                        append.metadata,
                        at,
                        event.occurred_at,
                        event.tags,
                    )
                )
        return recorded

    def _extend(self, events: Iterable[RecordedEvent]) -> None:
        for event in events:
            self._streams.setdefault((event.tenant, event.stream), []).append(event)
            self.events.append(event)

    def _version(self, tenant: str, stream: str) -> int:
        return len(self._streams.get((tenant, stream), ()))


def _check_time(event: EventData) -> None:
    if event.occurred_at is not None and event.occurred_at.tzinfo is None:
        raise InvalidInput("occurred_at", "must have a time zone")


def _check_text(field_name: str, text: bytes) -> None:
    try:
        text.decode()
    except UnicodeError:
        raise InvalidInput(field_name, "must be JSON in UTF-8") from None


def _point(event: RecordedEvent) -> Point:
    return Point(event.position, event.event_id)


def _meets(event: RecordedEvent, criteria: Iterable[Criterion]) -> bool:
    return any(criterion.matches(event.type, event.tags) for criterion in criteria)
