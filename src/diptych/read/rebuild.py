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
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from diptych.errors import CheckpointDiverged
from diptych.failpoints import failpoint
from diptych.read.builder import Builder, Candidate
from diptych.read.building import Building
from diptych.read.flip import Flip
from diptych.read.means import Means
from diptych.read.model import ReadModel
from diptych.read.progress import Meter, OnProgress
from diptych.read.schema import BUILDING, CHECKPOINTS, REBUILD, RETIRED, REVISIONS
from diptych.read.throttle import Throttle
from diptych.read.verify import Verification, verify


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
        StoreError: a database cannot do it; what was built so far stays.
    """
    started = asyncio.get_running_loop().time()
    builder = Builder(means)
    async with builder.claimed(models) as candidates:
        throttle = Throttle(full_speed=how.full_speed)
        meter = Meter("building", how.on_progress)
        building = Building(means, builder.worker.id, throttle, meter)
        try:
            await building.catch_up(candidates)
        except CheckpointDiverged:
            await _abandon(candidates, means)
            raise
        done = [await _complete(each, building, how) for each in candidates]
    seconds = asyncio.get_running_loop().time() - started
    return tuple(each.after(seconds) for each in done)


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


async def _complete(candidate: Candidate, building: Building, how: HowToRebuild) -> _Done:
    means = building.means
    found = await verify(candidate, database=means.database)
    failpoint("rebuild.after_verify")
    verified_at = means.clock.now().isoformat() if found else None
    keep = found is not None and found.finding and how.only_if_equal
    if keep:
        position = candidate.point.position
    else:
        position = (await Flip(candidate, building, verified_at).run()).position
        means.signal.look()
    parked = await _parked(candidate, means)
    return _Done(candidate, not keep, position, parked, found)


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
