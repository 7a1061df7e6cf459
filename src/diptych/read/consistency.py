"""Consistency: whether a snapshot is new enough for a token, and waiting until one is.

A query's snapshot begins by reading how far its views are. If that is not far enough, the
snapshot is closed, the checkpoint is waited for, and a new one is opened: what decides is always
the checkpoint inside the snapshot that answers, so the rule holds on replicas too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from diptych.errors import (
    ConsistencyTimeout,
    DiptychError,
    HistoryDiverged,
    TokenFromAnotherHistory,
    ViewNotReady,
)
from diptych.read.database import Standing, Stop, Wanted
from diptych.read.model import ReadModel
from diptych.read.signal import CheckpointSignal
from diptych.read.targets import Targets
from diptych.store.contract import START, EventStore, Point
from diptych.tokens import Token

_REMEMBERED: Final = 4_096


@dataclass(frozen=True, slots=True)
class Lack:
    """What keeps a snapshot from answering: `view` is at `reached`, not at `wanted`.

    `ready` is False if the view is behind where it was to serve from; `servable` if its table was
    once complete, so that a stale answer can be given. With a `stop` waiting is of no use.
    """

    view: str
    revision: int
    wanted: int
    reached: int
    ready: bool
    servable: bool
    stop: Stop | None = None

    def error(self, timeout: timedelta) -> DiptychError:
        if self.stop is not None:
            return self.stop.error(self.view)
        if not self.ready:
            return ViewNotReady(self.view, position=self.reached, head=self.wanted)
        return ConsistencyTimeout(
            self.view, wanted=self.wanted, reached=self.reached, timeout=timeout
        )


class Consistency:
    """Knows from where on each view serves, and which tokens belong to this log."""

    def __init__(self, targets: Targets, *, store: EventStore, signal: CheckpointSignal) -> None:
        self._targets, self._store, self._signal = targets, store, signal
        self._verified: dict[Point, None] = {}

    async def verify(self, token: Token) -> None:
        """Raises: TokenFromAnotherHistory: this log has another event there, or ends before."""
        if token.log_id != self._store.log_id:
            raise TokenFromAnotherHistory
        point = Point(token.position, token.event_id)
        if point == START or point in self._verified:
            return
        try:
            await self._store.read(after=point, limit=1)
        except HistoryDiverged as error:
            self._verified.clear()  # the log was restored: others are lost with this one
            raise TokenFromAnotherHistory from error
        if point.event_id is None and point.position > (await self._store.head()).position:
            raise TokenFromAnotherHistory
        self._verified[point] = None
        if len(self._verified) > _REMEMBERED:
            del self._verified[next(iter(self._verified))]

    def lack(
        self,
        standings: Mapping[Wanted, Standing],
        reads: Sequence[ReadModel],
        at_least: Token | None,
    ) -> Lack | None:
        """A view that is not far enough, or None: then the snapshot may answer.

        One that was never complete comes first: it forbids a stale answer too.

        Raises: CheckpointDiverged: the rows of a view show what the log does not have: they are
            not old, but wrong.
        """
        token = at_least.position if at_least else 0
        found = (self._lack(model, standings.get(model.wanted), token) for model in reads)
        lacks = [lack for lack in found if lack is not None]
        return min(lacks, key=lambda lack: lack.servable, default=None)

    def _lack(self, model: ReadModel, standing: Standing | None, token: int) -> Lack | None:
        target = self._targets.by_name[model.name]
        if standing is not None and standing.stop is not None and standing.stop.diverged:
            raise standing.stop.error(model.name)
        if standing is None:
            return Lack(model.name, target.revision, target.serves_from, 0, False, False)
        reached = standing.point.position
        serves_from = target.at(standing.revision).serves_from
        ready = standing.serving and reached >= serves_from
        wanted = max(token, serves_from)
        if ready and reached >= wanted:
            return None
        return Lack(
            model.name,
            standing.revision,
            wanted,
            reached,
            ready,
            standing.serving,
            standing.stop if standing.stop and standing.stop.bars(wanted) else None,
        )

    async def look_at_log(self, at_least: Token | None) -> None:
        """When something does not get there: the log may have been restored from a backup, or have
        lost its end in a failover, since this process began. Then no view has to get further.

        Raises: TokenFromAnotherHistory: nor will any.
        """
        head = (await self._store.head()).position
        self._targets.not_beyond(head)
        if at_least is not None and at_least.position > head:
            self._verified.clear()
            raise TokenFromAnotherHistory

    async def wait(self, lack: Lack, *, seconds: float) -> bool:
        """Wait until the view may be far enough; False when the time is up."""
        return await self._signal.reached(lack.revision, lack.wanted, timeout=max(seconds, 0))

    def as_of(self, standings: Mapping[Wanted, Standing]) -> Token:
        """What a snapshot shows: the place of the view that is least far."""
        points = [standing.point for standing in standings.values()]
        point = min(points, key=lambda each: each.position, default=START)
        return Token(self._store.log_id, point.position, point.event_id)


def newer(one: Token, other: Token | None) -> Token:
    return other if other is not None and other.position > one.position else one
