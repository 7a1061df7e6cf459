"""Readiness and lag: how far each view is behind the head of the log, and if that is in order."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Final

from diptych.clock import Clock
from diptych.read.database import ReadDatabase, Standing
from diptych.read.projector import Projector, Status
from diptych.store.contract import START, EventStore, Point

_STUCK_AFTER: Final = timedelta(seconds=10)
_UNKNOWN: Final = Standing(0, serving=False, point=START)


class State(Enum):
    """How a view is.

    BUILDING: not complete yet, or not caught up since the start; its queries wait.
    LIVE: at the head, or not far enough behind to matter. BEHIND: its lag is over `max_lag`.
    STUCK: the log has moved on and the view has not, for ten seconds or `max_lag`.
    STOPPED: an event could not be applied; it waits for you.
    """

    BUILDING = "building"
    LIVE = "live"
    BEHIND = "behind"
    STUCK = "stuck"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class ViewStatus:
    """One view or projection against the head of the log.

    `lag` is the age of the oldest event that is not in the view, nothing if there is none. `error`
    is why it stopped, or why it is trying again. `time_left` is for what is behind, at the pace so
    far.
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
        return self.lag <= self.max_lag


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether this process should get requests: no view is being built, stuck or stopped."""

    head: int
    views: tuple[ViewStatus, ...]

    @property
    def ready(self) -> bool:
        bad = (State.BUILDING, State.STUCK, State.STOPPED)
        return not any(view.state in bad for view in self.views)


async def readiness(
    projectors: Sequence[Projector], *, store: EventStore, database: ReadDatabase, clock: Clock
) -> Readiness:
    """The checkpoints as they are in the database, against the head of the log itself.

    Raises: StoreError: one of them cannot be read.
    """
    wanted = [each.model.wanted for each in projectors]
    async with database.snapshot(wanted) as snapshot:
        standings = snapshot.standings
    head = (await store.head()).position
    views: list[ViewStatus] = []
    for projector in projectors:
        standing = standings.get(projector.model.wanted) or _UNKNOWN
        lag = await _lag(standing.point.position, head=head, store=store, clock=clock)
        views.append(_view_status(projector, standing, head=head, lag=lag))
    return Readiness(head, tuple(views))


def _view_status(
    projector: Projector, standing: Standing, *, head: int, lag: timedelta
) -> ViewStatus:
    model, pace, position = projector.model, projector.pace, standing.point.position
    left = None
    if position < head and pace.positions_per_second:
        left = timedelta(seconds=(head - position) / pace.positions_per_second)
    return ViewStatus(
        name=model.name,
        fingerprint=model.fingerprint,
        revision=projector.target.revision,
        state=_state(projector, standing, lag),
        position=position,
        head=head,
        lag=lag,
        max_lag=model.max_lag,
        positions_per_second=pace.positions_per_second,
        time_left=left,
        error=projector.error,
    )


async def _lag(position: int, *, head: int, store: EventStore, clock: Clock) -> timedelta:
    """The age of the first event after the checkpoint."""
    while position < head:
        page = await store.read(after=Point(position), limit=1)
        if page.events:
            return max(clock.now() - page.events[0].recorded_at, timedelta(0))
        position = page.scanned.position
    return timedelta(0)


def _state(projector: Projector, standing: Standing, lag: timedelta) -> State:
    if projector.status is Status.STOPPED:
        return State.STOPPED
    caught_up = projector.serves or standing.point.position >= projector.target.serves_from
    if not (standing.serving and caught_up):
        return State.BUILDING
    still = timedelta(seconds=asyncio.get_running_loop().time() - projector.moved_at)
    threshold = max(_STUCK_AFTER, projector.model.max_lag)
    if min(lag, still) > threshold:
        return State.STUCK
    return State.BEHIND if lag > projector.model.max_lag else State.LIVE
