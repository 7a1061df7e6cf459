"""How reactions are, as the log's database tells it: the same in every process."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from diptych.clock import Clock
from diptych.flow.reaction import Reaction
from diptych.store.contract import EventStore, Point
from diptych.store.cursors import Cursor


class ReactionState(Enum):
    """How a reaction is.

    REACTING: a process that is alive runs it. RETRYING: so it does, here, and something fails.
    STOPPED: an event failed; it waits for you. PAUSED: as you said. WAITING: nobody runs it.
    """

    REACTING = "reacting"
    RETRYING = "retrying"
    STOPPED = "stopped"
    PAUSED = "paused"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class ReactionStatus:
    """One reaction against the head of the log.

    All up to `position` is done, or set aside. `lag` is the age of the first event behind it that
    is to be handled, nothing if there is none. `holder` is the process that runs it (`host/pid`),
    `mine` tells that it is this one. `error` is why it stopped, at `error_position`, or why it is
    trying again here; `error_kind` is a word for it, `error_type` the stored name of the event.
    """

    name: str
    state: ReactionState
    position: int
    head: int
    lag: timedelta
    holder: str
    mine: bool
    error: str
    error_kind: str
    error_type: str
    error_position: int
    attempts: int
    parked_streams: int
    parked_events: int
    paused_at: datetime | None
    paused_reason: str


@dataclass(frozen=True, slots=True)
class ParkedStream:
    """Events of a stream that a reaction has set aside, from version `first` to `through`, and why
    the first of them failed."""

    reaction: str
    tenant: str
    stream: str
    first: int
    through: int
    events: int
    position: int
    kind: str
    event_type: str
    error: str
    attempts: int
    failed_at: datetime


@dataclass(frozen=True, slots=True)
class Looking:
    """What reactions are compared with. `errors` are those of the ones that try again here."""

    store: EventStore
    clock: Clock
    worker: str
    errors: dict[str, str]

    async def statuses(
        self, reactions: Collection[Reaction[Any]], cursors: Sequence[Cursor]
    ) -> tuple[ReactionStatus, ...]:
        head = (await self.store.head()).position
        known = {reaction.name: reaction for reaction in reactions}
        here = [cursor for cursor in cursors if cursor.name in known]
        return tuple([await self._status(known[each.name], each, head) for each in here])

    async def _status(self, reaction: Reaction[Any], cursor: Cursor, head: int) -> ReactionStatus:
        failure = cursor.failure
        return ReactionStatus(
            name=cursor.name,
            state=self._state(cursor),
            position=cursor.point.position,
            head=head,
            lag=await self._lag(reaction, cursor.point.position, head),
            holder=cursor.holder.name if cursor.holder and cursor.alive else "",
            mine=cursor.holder is not None and cursor.holder.id == self.worker,
            error=failure.error if failure else self.errors.get(cursor.name, ""),
            error_kind=failure.kind if failure else "",
            error_type=failure.event_type if failure else "",
            error_position=failure.position if failure else 0,
            attempts=failure.attempts if failure else 0,
            parked_streams=cursor.parked_streams,
            parked_events=cursor.parked_events,
            paused_at=cursor.paused_at,
            paused_reason=cursor.paused_reason,
        )

    def _state(self, cursor: Cursor) -> ReactionState:
        if cursor.paused_at is not None:
            return ReactionState.PAUSED
        if cursor.failure is not None:
            return ReactionState.STOPPED
        if not cursor.alive:
            return ReactionState.WAITING
        return ReactionState.RETRYING if cursor.name in self.errors else ReactionState.REACTING

    async def _lag(self, reaction: Reaction[Any], position: int, head: int) -> timedelta:
        while position < head:
            page = await self.store.read(
                after=Point(position), limit=1, categories=reaction.categories
            )
            if page.events:
                return max(self.clock.now() - page.events[0].recorded_at, timedelta(0))
            position = page.scanned.position
        return timedelta(0)
