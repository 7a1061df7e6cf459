"""`rebuild`: builds views again beside those that serve, compares, and lets the new ones serve.

Theory of operation
-------------------
A rebuild makes another revision of the same fingerprint, with tables and checkpoints of its own,
and fills it from the beginning of the log while the old one goes on: live workers keep that one
current, and queries read it. Where the code has no complete revision yet, that one is built.

Nothing hangs on the process that builds. What it has claimed (`Builder`) it writes under an epoch,
page by page with the checkpoints (`Building`), so a builder that was killed leaves a prefix of the
log, correctly folded. The next rebuild finds it and goes on there, at once. A builder that was only
slow finds its next page refused.

When the candidate has caught up it is compared with the revision that serves (`verify`). Then one
transaction lets it serve in its place (`Flip`). The old revision is kept, retired, until it is
dropped: readers that had begun before still read it.

A database that is away or busy does not end the work: it is taken up where it was, with growing
pauses, until it has not got on for a minute. What a flip whose commit was cut off has become, the
registry tells.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from diptych.errors import CheckpointDiverged, StorageBusy, StorageUnavailable
from diptych.failpoints import failpoint
from diptych.read.builder import Builder, Candidate, retake
from diptych.read.building import Building
from diptych.read.failure import failure_of_other
from diptych.read.flip import Flip
from diptych.read.means import Means
from diptych.read.model import ReadModel
from diptych.read.progress import Meter, OnProgress
from diptych.read.schema import BUILDING, CHECKPOINTS, REBUILD, RETIRED, REVISIONS, SERVING
from diptych.read.throttle import Throttle
from diptych.read.trying import Tries
from diptych.read.verify import Verification, verify

_PATIENCE: Final = 60.0
"""Seconds without getting on after which an error of a database ends a rebuild."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What came of rebuilding one view.

    `revision` is the new one, at `position`; `replaced` the one that it serves instead of, None if
    there was none. `serving` is False if it was to serve only if equal, and is not: it is complete
    then, and the next rebuild goes on with it. `parked` counts the keys whose events it has set
    aside. `seconds` is for all views that were rebuilt together.
    """

    view: str
    revision: int
    replaced: int | None
    serving: bool
    position: int
    parked: int
    seconds: float
    verification: Verification | None


@dataclass(frozen=True, slots=True)
class HowToRebuild:
    """`full_speed` leaves nothing to live work; `only_if_equal` lets no revision serve that differs
    from the one before though the rule is the same."""

    full_speed: bool = False
    only_if_equal: bool = False
    on_progress: OnProgress | None = None


async def rebuild(
    models: Sequence[ReadModel], *, means: Means, how: HowToRebuild
) -> tuple[Rebuilt, ...]:
    """Build all of them by one reading of the log, then let one after the other serve.

    Raises:
        RebuildRunning: one of them is being built by a process that is alive, or was taken over.
        ProjectionStopped: an event cannot be applied. What was built so far stays.
        CheckpointDiverged: what an earlier rebuild had built does not fit the log; the next
            rebuild begins anew.
        StoreError: a database cannot do it, or was away for a minute; what was built stays.
    """
    started = _time()
    builder = Builder(means)
    async with builder.claimed(models) as candidates:
        throttle = Throttle(full_speed=how.full_speed)
        meter = Meter("building", how.on_progress)
        building = Building(means, builder.worker.id, throttle, meter)
        work = _Work(candidates, building, how)
        await work.run()
    seconds = _time() - started
    return tuple(work.done[each].after(seconds) for each in candidates)


@dataclass(frozen=True, slots=True)
class _Done:
    candidate: Candidate
    serving: bool
    position: int
    parked: int
    verification: Verification | None

    def after(self, seconds: float) -> Rebuilt:
        candidate = self.candidate
        return Rebuilt(
            view=candidate.model.name,
            revision=candidate.revision,
            replaced=candidate.replaces if self.serving else None,
            serving=self.serving,
            position=self.position,
            parked=self.parked,
            seconds=seconds,
            verification=self.verification,
        )


class _Work:
    """Brings candidates to the head and lets them serve; `done` are those that it is done with."""

    def __init__(
        self, candidates: Sequence[Candidate], building: Building, how: HowToRebuild
    ) -> None:
        self._candidates, self._building, self._how = candidates, building, how
        self._means = building.means
        self._tries = Tries(self._means.clock.jitter)
        self._found: dict[Candidate, Verification | None] = {}
        self._built, self._reached, self._got_on_at = False, (0, -1), 0.0
        self.done: dict[Candidate, _Done] = {}

    async def run(self) -> None:
        """Raises: as `rebuild`."""
        again = False
        while True:
            try:
                await self._go_on(again=again)
            except (StorageBusy, StorageUnavailable) as error:
                again = True
                await self._pause(error)
            else:
                return

    async def _go_on(self, *, again: bool) -> None:
        for candidate in self._left() if again else ():
            await self._take_up(candidate)
        left = self._left()
        try:
            await self._building.catch_up(left)
        except CheckpointDiverged:
            await _abandon(left, self._means)
            raise
        self._built = True
        for candidate in left:
            await self._complete(candidate)

    def _left(self) -> Sequence[Candidate]:
        return [each for each in self._candidates if each not in self.done]

    async def _take_up(self, candidate: Candidate) -> None:
        """What became of it is not known: the commit of a page, or of its flip, was cut off."""
        status = REVISIONS.c.status
        mine = sa.select(status).where(REVISIONS.c.id == candidate.revision)
        async with self._means.database.snapshot(projecting=True) as snapshot:
            serves = [row.status for row in await snapshot.execute(mine)] == [SERVING]
        if serves:
            await self._is_done(candidate, position=candidate.point.position, serving=True)
        else:
            await retake(candidate, self._means, holder=self._building.holder)

    async def _complete(self, candidate: Candidate) -> None:
        found = await verify(candidate, database=self._means.database)
        self._found[candidate] = found
        failpoint("rebuild.after_verify")
        if found is not None and found.finding and self._how.only_if_equal:
            await self._is_done(candidate, position=candidate.point.position, serving=False)
            return
        verified_at = self._means.clock.now().isoformat() if found else None
        flipped = await Flip(candidate, self._building, verified_at).run()
        await self._is_done(candidate, position=flipped.position, serving=True)

    async def _is_done(self, candidate: Candidate, *, position: int, serving: bool) -> None:
        if serving:
            self._means.signal.look()
        parked, found = await _parked(candidate, self._means), self._found.get(candidate)
        self.done[candidate] = _Done(candidate, serving, position, parked, found)

    async def _pause(self, error: StorageBusy | StorageUnavailable) -> None:
        """Raises: `error`, if it has not got on since the one a minute before."""
        if (reached := self._progress()) > self._reached:
            self._reached, self._got_on_at = reached, _time()
            self._tries.went_on(0)
        elif _time() - self._got_on_at > _PATIENCE:
            raise error
        _, seconds = self._tries.count(failure_of_other(error))
        _log.warning("a rebuild is taken up again in %.2f s: %s", seconds, error)
        await asyncio.sleep(seconds)

    def _progress(self) -> tuple[int, int]:
        """Steps done, and events on the way to the first. What is built only follows the head of
        the log from then on: a log that grows is no progress."""
        steps = self._built + len(self._found) + len(self.done)
        return steps, 0 if self._built else sum(each.point.position for each in self._candidates)


async def _parked(candidate: Candidate, means: Means) -> int:
    column = CHECKPOINTS.c.parked_keys
    async with means.database.snapshot(projecting=True) as snapshot:
        rows = await snapshot.execute(
            sa.select(sa.func.sum(column).label("keys")).where(
                CHECKPOINTS.c.revision == candidate.revision
            )
        )
    return int(rows[0].keys or 0)


async def _abandon(candidates: Sequence[Candidate], means: Means) -> None:
    """What was built to replace another: nobody goes on with it."""
    async with means.database.transaction(exclusive=True) as tx:
        for candidate in candidates:
            mine = sa.and_(
                REVISIONS.c.id == candidate.revision,
                REVISIONS.c.kind == REBUILD,
                REVISIONS.c.status == BUILDING,  # another builder may have let it serve meanwhile
            )
            at = means.clock.now().isoformat()
            await tx.execute(sa.update(REVISIONS).where(mine).values(status=RETIRED, retired_at=at))


def _time() -> float:
    return asyncio.get_running_loop().time()
