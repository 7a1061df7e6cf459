"""Readiness and lag: how far each view is behind the head of the log, and if that is in order.

All of it is read from the database, so that every process says the same of a view, whichever
projects it. Only what a projector here is trying again, and its pace, are known to itself first.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from diptych.clock import Clock
from diptych.read.checkpoint import Seen, seen_checkpoints
from diptych.read.database import ReadDatabase, Slot, Standing
from diptych.read.projector import Projector
from diptych.read.revision import Target
from diptych.store.contract import START, EventStore, Point

_STUCK_AFTER: Final = timedelta(seconds=10)


class State(Enum):
    """How a view is.

    BUILDING: not complete yet, or not caught up since the start; its queries wait.
    LIVE: at the head, or not far enough behind to matter. BEHIND: its lag is over `max_lag`.
    STUCK: the log has moved on and the view has not, for ten seconds or `max_lag`.
    STOPPED: an event could not be applied; it waits for you.
    UNBUILT: it is not complete, and nobody builds it: run `diptych rebuild`.
    PAUSED: an operator said so. It answers as of then, and that is no reason to send requests
    elsewhere, where it is paused as well.
    """

    BUILDING = "building"
    LIVE = "live"
    BEHIND = "behind"
    STUCK = "stuck"
    STOPPED = "stopped"
    UNBUILT = "unbuilt"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class SlotStatus:
    """One partition of a view; a view that is not split has the one partition 0.

    `holder` is the process that projects it (`host/pid`), nothing while nobody does; `mine` tells
    that it is this one. `error` is why it stopped, or why it is trying again.
    """

    partition: int
    position: int
    holder: str
    mine: bool
    error: str


@dataclass(frozen=True, slots=True)
class ViewStatus:
    """One view or projection against the head of the log.

    `lag` is the age of the oldest event that is not in the view, nothing if there is none. `error`
    is why it stopped, or why it is trying again. `positions_per_second` is the pace of this
    process, 0 if it does not project the view, and `time_left` what that takes for the rest. The
    views in `over` are over this one, and always where it is.
    """

    name: str
    fingerprint: str
    revision: int
    state: State
    position: int
    head: int
    lag: timedelta
    max_lag: timedelta
    positions_per_second: float
    time_left: timedelta | None
    error: str
    slots: tuple[SlotStatus, ...] = ()
    over: tuple[str, ...] = ()
    parked_keys: int = 0
    parked_events: int = 0
    paused_at: str = ""
    paused_reason: str = ""

    @property
    def behind(self) -> int:
        """Positions to go; on a dense log that many events, of whatever category."""
        return max(self.head - self.position, 0)

    @property
    def progress(self) -> float:
        """The share of the log that is done, from 0 to 1."""
        return min(self.position / self.head, 1.0) if self.head else 1.0

    @property
    def within_max_lag(self) -> bool:
        """Whether it is as new as was agreed."""
        return self.lag <= self.max_lag


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether this process should get requests: no view is being built, stuck or stopped."""

    head: int
    views: tuple[ViewStatus, ...]

    @property
    def ready(self) -> bool:
        """Whether all views can be read: none is being built, stuck or stopped."""
        bad = (State.BUILDING, State.UNBUILT, State.STUCK, State.STOPPED)
        return not any(view.state in bad for view in self.views)


async def readiness(
    targets: Sequence[Target],
    *,
    projectors: Mapping[Slot, Projector],
    worker: str,
    store: EventStore,
    database: ReadDatabase,
    clock: Clock,
) -> Readiness:
    """The checkpoints as they are in the database, against the head of the log itself.

    `projectors` are those of this process, which is the one called `worker`.

    Raises: StoreError: one of them cannot be read.
    """
    async with database.snapshot([each.model.wanted for each in targets]) as snapshot:
        standings = snapshot.standings
        seen = await seen_checkpoints(snapshot)
    head = (await store.head()).position
    looking = _Looking(head, worker, projectors, store, clock)
    views = [
        await looking.view(target, standings.get(target.model.wanted), seen) for target in targets
    ]
    return Readiness(head, tuple(views))


@dataclass(frozen=True, slots=True)
class _Looking:
    """What the views are compared with, and by whom."""

    head: int
    worker: str
    projectors: Mapping[Slot, Projector]
    store: EventStore
    clock: Clock

    async def view(
        self, target: Target, standing: Standing | None, seen: Mapping[Slot, Seen]
    ) -> ViewStatus:
        model = target.model
        standing = standing or Standing(target.revision, serving=False, point=START)
        target = target.at(standing.revision)
        found = {slot: seen[slot] for slot in target.slots if slot in seen}
        lag = await self._lag(standing.point.position)
        slots = tuple(self._slot(slot, each) for slot, each in found.items())
        pace = max((self._pace(slot) for slot in found), default=0.0)
        behind = max(self.head - standing.point.position, 0)
        return ViewStatus(
            name=model.name,
            fingerprint=model.fingerprint,
            revision=target.revision,
            state=self._state(target, standing, lag, found.values()),
            position=standing.point.position,
            head=self.head,
            lag=lag,
            max_lag=model.max_lag,
            positions_per_second=pace,
            time_left=timedelta(seconds=behind / pace) if behind and pace else None,
            error=next((each.error for each in slots if each.error), ""),
            slots=slots,
            over=model.over,
            parked_keys=sum(each.parked_keys for each in found.values()),
            parked_events=sum(each.parked_events for each in found.values()),
            paused_at=next((each.paused_at for each in found.values()), ""),
            paused_reason=next((each.paused_reason for each in found.values()), ""),
        )

    def _slot(self, slot: Slot, seen: Seen) -> SlotStatus:
        mine = bool(seen.holder) and seen.holder == self.worker
        projector = self.projectors.get(slot) if mine else None
        error = seen.error or (projector.error if projector else "")
        return SlotStatus(slot.partition, seen.position, seen.holder_name, mine, error)

    def _pace(self, slot: Slot) -> float:
        projector = self.projectors.get(slot)
        return projector.pace.positions_per_second if projector else 0.0

    def _state(
        self, target: Target, standing: Standing, lag: timedelta, seen: Collection[Seen]
    ) -> State:
        if standing.stop is not None and standing.stop.paused_at is None:
            return State.STOPPED
        if not standing.serving and target.model.rebuild != "auto" and not _is_held(seen):
            return State.UNBUILT
        if not standing.serving or standing.point.position < min(target.serves_from, self.head):
            return State.BUILDING
        if any(each.paused_at for each in seen):
            return State.PAUSED
        max_lag = target.model.max_lag
        if min(lag, self._still(seen, standing.point, lag)) > max(_STUCK_AFTER, max_lag):
            return State.STUCK
        return State.BEHIND if lag > max_lag else State.LIVE

    def _still(self, seen: Iterable[Seen], point: Point, lag: timedelta) -> timedelta:
        """For how long the partition that is least far has not moved."""
        moved = [each.moved_at for each in seen if each.position == point.position]
        at = max((datetime.fromisoformat(each) for each in moved if each), default=None)
        return lag if at is None else self.clock.now() - at

    async def _lag(self, position: int) -> timedelta:
        """The age of the first event after the checkpoint."""
        while position < self.head:
            page = await self.store.read(after=Point(position), limit=1)
            if page.events:
                return max(self.clock.now() - page.events[0].recorded_at, timedelta(0))
            position = page.scanned.position
        return timedelta(0)


def _is_held(seen: Iterable[Seen]) -> bool:
    return any(each.holder for each in seen)
