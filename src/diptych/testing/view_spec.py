"""`ViewSpec`: tests of a view. Given events, then these rows, however the events get there."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar

from diptych.codec import Events
from diptych.errors import ConfigurationError
from diptych.messages import Metadata
from diptych.read.sqlite.database import SqliteReadDatabase
from diptych.read.view import View
from diptych.store.contract import ANY_VERSION, Append, Write
from diptych.testing.clock import START, FixedClock
from diptych.testing.difference import difference
from diptych.testing.redelivery import PagedLog, reader

Row = TypeVar("Row")

_EVERY_SIZE: Final = 12
_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Happened:
    """An event, when it happened, and who made it happen."""

    event: object
    at: datetime | None = None
    actor: str = ""


def happened(event: object, *, at: datetime | None = None, actor: str = "") -> Happened:
    """Says more of an event that is given to a `ViewSpec`."""
    return Happened(event, at, actor)


class ViewSpec(Generic[Row]):
    """Tests of a view in the same words as those of a decider:

        spec = ViewSpec(summaries)

        def test_a_shipped_order_is_shown_as_shipped() -> None:
            spec.given(created, shipped).then(OrderSummary(...))

    The events are recorded in a log in memory and delivered by the real projector to a temporary
    SQLite database: all at once, and then in pages of every size (of up to twelve events, of each
    power of two, and of all), with a crash before and behind every commit. The rows must be the
    same every time.

    `stream` names the field of the events that tells their streams apart, or is a function of the
    event. It is the key of the view where that is the stream's (of the source, for a view over a
    view); else all events of a category are given to one stream, unless you say.
    """

    def __init__(
        self, view: View[Row], *, stream: str | Callable[[Any], object] | None = None
    ) -> None:
        self._view = view
        root = view.lineage[0]
        if stream is None and root.sticky:
            raise ConfigurationError(f"{root!r} has sticky keys: say which stream an event is in")
        if stream is None:
            stream = root.key_of if root.stream_prefix else _one_stream
        self._stream = attrgetter(stream) if isinstance(stream, str) else stream

    def given(self, *events: object) -> "Given[Row]":
        """Events in the order in which they were recorded; `happened(event, at=...)` says more.

        The first happened at the `START` of `diptych.testing.clock`, each next a second later.
        """
        __tracebackhide__ = True
        facts = [event if isinstance(event, Happened) else Happened(event) for event in events]
        appends = [self._append(fact, number) for number, fact in enumerate(facts)]
        return Given(self._view, tuple(appends))

    def _append(self, fact: Happened, number: int) -> Append:
        __tracebackhide__ = True
        clock, family = FixedClock(), self._family(fact.event)
        at = fact.at or START + number * _SECOND
        data = family.encode(fact.event, event_id=clock.new_id(), occurred_at=at)
        stream = f"{family.category}-{self._stream(fact.event)}"
        metadata = Metadata(actor=fact.actor).to_json()
        return Append((Write(stream, (data,), ANY_VERSION),), metadata=metadata)

    def _family(self, event: object) -> Events[Any]:
        __tracebackhide__ = True
        for family in self._view.families:
            if type(event) in family.types:
                return family
        raise AssertionError(f"{type(event).__name__} is not an event of {self._view!r}")


@dataclass(frozen=True, slots=True)
class Given(Generic[Row]):
    """What was recorded before the rows are looked at."""

    view: View[Row]
    appends: tuple[Append, ...]

    def then(self, *rows: Row) -> None:
        """The view has exactly these rows; their order does not count.

        Raises:
            AssertionError: it has others, or others after other pages and crashes.
            ProjectionStopped: `project` failed; its own error is the cause.
        """
        __tracebackhide__ = True
        with ThreadPoolExecutor(1) as thread:  # there may be a running event loop in this one
            thread.submit(asyncio.run, self._check(rows)).result()

    async def _check(self, expected: Sequence[Row]) -> None:
        __tracebackhide__ = True
        database = SqliteReadDatabase(readers=1)
        async with PagedLog(clock=FixedClock()) as log:
            for append in self.appends:
                await log.append(append)
            async with reader(self.view, log, database) as whole:
                await whole.catch_up()
                found = await whole.rows()
            self._compare(expected, found, "other rows (- expected, + there)")
            for log.page_size in _sizes(len(self.appends)):
                async with reader(self.view, log, database) as restarted:
                    await restarted.catch_up_with_crashes()
                    again = await restarted.rows()
                how = f"other rows in pages of {log.page_size} with crashes (- at once, + then)"
                self._compare(found, again, how)

    def _compare(self, expected: Sequence[Row], found: Sequence[Row], what: str) -> None:
        __tracebackhide__ = True
        key_of = self.view.key_of
        places = {key_of(row): place for place, row in enumerate(expected)}
        ordered = sorted(found, key=lambda row: places.get(key_of(row), len(places)))
        if ordered != list(expected):
            raise AssertionError(f"{self.view!r} has {what}:\n{difference(expected, ordered)}")


def _one_stream(_: object) -> str:
    return "1"


def _sizes(count: int) -> list[int]:
    powers = {2**n for n in range(4, count.bit_length()) if 2**n < count}
    return sorted({*range(1, min(count, _EVERY_SIZE) + 1), *powers, *([count] if count else [])})
