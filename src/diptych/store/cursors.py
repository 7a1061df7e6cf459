"""The contract of cursors: how far something that acts on the world is, kept beside the events.

What is outside of both databases (a mail, a broker, another service) cannot be part of a
transaction, so who acts on it needs a place of its own that is as durable as the log and goes back
with it when a backup is restored. That is a cursor: a row in the log's database, by name. Every
clause is a test in `diptych.testing.conformance`.

- A cursor has one holder at a time, for as long as its lease lasts by the clock of the database.
  Whoever takes it raises its epoch, and every change by a holder is made under the epoch that it
  was given, or not at all: a holder that slept through a takeover changes nothing.
- A cursor stands at a point up to which all is done. It only goes forward.
- A stream may be parked: from one of its versions on, what a holder comes across joins it, instead
  of being done. An operator lets it be done later, in order, or discards it, which is remembered
  for ever. Both work beside a holder, and two operators at once do not get into each other's way.
- Everything a holder does may be done twice: an answer that was lost is asked for again.
- Of a name that nobody has registered there is nothing: no holder, nothing parked.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from enum import Enum
from typing import Protocol, runtime_checkable

from msgspec import Struct

from diptych.errors import ConfigurationError
from diptych.messages import RecordedEvent
from diptych.store.contract import EventStore, Point
from diptych.worker import Worker


class Failure(Struct, frozen=True):
    """The event that could not be handled, and why. `error` has nothing of what is in the event.

    `kind` is a word for programs: `handle`, `decode`, `unknown type`, `full`, `diverged`. Without
    a `version` it is no matter of one event.
    """

    kind: str
    error: str
    at: datetime
    position: int
    tenant: str = ""
    stream: str = ""
    version: int = 0
    event_type: str = ""
    attempts: int = 1


class Parked(Struct, frozen=True):
    """A stream whose events from version `first` to `through` are set aside; `failure` is the
    first one's. `epoch` counts who has begun to work them off."""

    tenant: str
    stream: str
    first: int
    through: int
    epoch: int
    failure: Failure

    @property
    def events(self) -> int:
        return self.through - self.first + 1


class Discard(Struct, frozen=True):
    """Events of a stream that will never be handled, by an operator's act, and what was wrong."""

    tenant: str
    stream: str
    first: int
    through: int
    reason: str
    error: str
    at: datetime

    def covers(self, event: RecordedEvent) -> bool:
        return self.has(event.tenant, event.stream, event.version)

    def has(self, tenant: str, stream: str, version: int) -> bool:
        same = (self.tenant, self.stream) == (tenant, stream)
        return same and self.first <= version <= self.through


class Held(Struct, frozen=True):
    """A cursor as its holder takes it: what it changes, it changes under `epoch`.

    `parked` are the streams set aside, `discarded` what must be passed over beyond `point`.
    """

    name: str
    epoch: int
    point: Point
    parked: Sequence[Parked] = ()
    discarded: Sequence[Discard] = ()


class Cursor(Struct, frozen=True):
    """A cursor as anybody sees it.

    `holder` is who took it last and did not give it back; `alive` whether its lease still lasts.
    `failure` is set while it is stopped, `paused_at` while it is paused.
    """

    name: str
    point: Point
    epoch: int
    holder: Worker | None
    alive: bool
    failure: Failure | None
    paused_at: datetime | None
    paused_reason: str
    parked_streams: int
    parked_events: int


class Limits(Struct, frozen=True):
    """How many streams, and how many events of all of them, may be parked on one cursor."""

    streams: int
    events: int


class Parking(Enum):
    """What came of parking something, or of working it off.

    NOT_PARKED: the stream is not set aside, or not any more. FULL: the limits are reached. LOST:
    another has taken over. Nothing was changed then.
    """

    PARKED = "parked"
    NOT_PARKED = "not parked"
    FULL = "full"
    LOST = "lost"


class Cursors(Protocol):
    """The cursors of one log, reached as its `cursors`.

    All raise StoreError, or OutcomeUnknown, where the database cannot be reached.
    """

    async def register(self, name: str, start: Point) -> None:
        """Let there be a cursor at `start`, unless there is one of this name."""
        ...

    async def look(self) -> Sequence[Cursor]:
        """All cursors, by name."""
        ...

    async def take(self, name: str, worker: Worker, *, ttl: float, gone: str = "") -> Held | None:
        """Hold it for `ttl` seconds, and clear why it was stopped.

        None, if it is paused, or has another holder whose lease lasts; the id `gone` counts as no
        holder.
        """
        ...

    async def renew(self, worker: Worker, *, ttl: float) -> Collection[str]:
        """Hold everything for `ttl` seconds from now on that this worker holds; their names."""
        ...

    async def release(self, worker: Worker, name: str | None = None) -> None:
        """Give it back, or everything that this worker holds: others need not wait."""
        ...

    async def advance(self, held: Held, point: Point) -> bool:
        """All up to `point` is done. False: another has taken over."""
        ...

    async def stop(self, held: Held, failure: Failure) -> bool:
        """Record why it does not go on, unless that event was discarded meanwhile. False: another
        has taken over."""
        ...

    async def park(self, held: Held, failure: Failure, *, limits: Limits) -> Parking:
        """Set the stream of `failure` aside, from the event on that failed: PARKED, FULL, LOST;
        NOT_PARKED, if an operator has discarded that event."""
        ...

    async def join(
        self, held: Held, *, tenant: str, stream: str, place: tuple[int, int], limits: Limits
    ) -> Parking:
        """Add the event at `place`, a version and a position, to its parked stream."""
        ...

    async def parked(self, name: str) -> Sequence[Parked]:
        """The streams set aside, in the order of the events that failed."""
        ...

    async def reopen(self, name: str, *, tenant: str, stream: str) -> Parked | None:
        """Begin to work off a parked stream: whoever began before cannot go on. None: it is not
        parked."""
        ...

    async def worked_off(self, name: str, parked: Parked) -> Parked | Parking:
        """The first event of it was handled. What is left; NOT_PARKED if nothing is; or LOST."""
        ...

    async def failed_again(self, name: str, parked: Parked, failure: Failure) -> bool:
        """Record that its first event failed again. False: another works on it, or did."""
        ...

    async def discard(
        self, name: str, *, tenant: str, stream: str, reason: str, at: datetime
    ) -> Discard | None:
        """Never handle what is parked of this stream, and remember it. None: it is not parked."""
        ...

    async def skip(self, name: str, *, reason: str, at: datetime) -> Discard | None:
        """Never handle the event at which the cursor is stopped, and let it go on. None: it is not
        stopped at an event."""
        ...

    async def discarded(self, name: str) -> Sequence[Discard]:
        """All that was ever discarded, in the order in which it was."""
        ...

    async def again(self, name: str) -> bool:
        """Let its holder go on where it was stopped. False: it is not stopped."""
        ...

    async def pause(self, name: str, *, reason: str, at: datetime) -> None:
        """Let nobody take it; its holder is to give it back. A second pause changes nothing."""
        ...

    async def resume(self, name: str) -> bool:
        """End a pause. False: it is not paused."""
        ...


@runtime_checkable
class KeepsCursors(Protocol):
    """A store that has a place for cursors beside its events: every one in this package."""

    @property
    def cursors(self) -> Cursors: ...


def cursors_of(store: EventStore) -> Cursors:
    """Of a log that is open.

    Raises: ConfigurationError: it keeps none. StoreClosed.
    """
    if isinstance(store, KeepsCursors):
        return store.cursors
    raise ConfigurationError(
        f"{type(store).__name__} keeps no cursors: reactions need a log that does"
    )
