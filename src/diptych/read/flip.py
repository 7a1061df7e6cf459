"""The flip: a candidate begins to serve, in one transaction, at the place of the one before.

Theory of operation
-------------------
Queries find the revision that serves in the registry, in the first statement of their snapshot. So
a change of two rows there lets all of them, in all processes, go over at one commit, and those
that had begun before read on in the old tables, which stay as they are.

Nobody may go back in time by it. The checkpoints of both revisions are locked, so neither moves,
and what the candidate lacks by then is finished inside the same transaction: it has just caught
up, so that is a page at most. The lock order is that of projectors: checkpoints, then revisions.

The epochs of both are raised. A projector of the old revision, which waits for our lock with its
next page, finds that refused, looks into the registry and goes on with the new one. The candidate
is nobody's then: whoever is first takes it.

A candidate that its projectors had to finish cannot be finished here. For it the old revision is
held first: the builder takes it over, so that it stands still while the candidate catches up. If
the builder is killed meanwhile, live workers take it back.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import sqlalchemy as sa

from diptych.errors import ConsistencyTimeout, StorageBusy
from diptych.failpoints import failpoint
from diptych.read.builder import Candidate, advance, refuse_overtaken
from diptych.read.building import Building
from diptych.read.database import Transaction
from diptych.read.failure import FAULTS
from diptych.read.filling import decoded_for
from diptych.read.revision import slots_of
from diptych.read.schema import BUILDING, CHECKPOINTS, DIVERGED, RETIRED, REVISIONS, SERVING
from diptych.read.standings import checkpoint_of
from diptych.store.contract import LogPage, Point

_log = logging.getLogger(__name__)

_ATTEMPTS: Final = 100
_INSIDE: Final = 1_000
"""Events that may be finished while the locks are held: a few milliseconds."""


@dataclass(frozen=True, slots=True)
class Flip:
    """Lets one candidate serve. `verified_at` is when it was compared with the one before."""

    candidate: Candidate
    building: Building
    verified_at: str | None

    async def run(self) -> Point:
        """The place of both revisions at the flip.

        Raises: as `Building.catch_up`; ConsistencyTimeout: the candidate did not catch up with the
            revision that serves, a hundred times.
        """
        began = asyncio.get_running_loop().time()
        for _ in range(_ATTEMPTS):
            if self.candidate.by_projectors:
                await self.building.catch_up([self.candidate])  # so that the rest is little
                await self._hold()
            await self.building.catch_up([self.candidate])
            failpoint("flip.before_begin")
            try:
                at = await self._try()
            except FAULTS:
                at, self.candidate.by_projectors = None, True
            except StorageBusy as error:
                at = None  # a worker that takes or gives several slots may meet us head-on
                _log.warning("a flip is tried again: %s", error)
            if at is not None:
                failpoint("flip.after_commit")
                return at
        name, reached = self.candidate.model.name, self.candidate.point.position
        timeout = timedelta(seconds=asyncio.get_running_loop().time() - began)
        raise ConsistencyTimeout(name, wanted=reached + 1, reached=reached, timeout=timeout)

    async def _try(self) -> Point | None:
        """None if the candidate is too far behind; then nothing was changed."""
        means, candidate = self.building.means, self.candidate
        async with means.database.transaction(exclusive=True) as tx:
            places = await self._lock(tx)
            goal = max([candidate.point, *places], key=lambda point: point.position)
            if not await self._finish(tx, goal):
                return None
            await self._swap(tx)
            failpoint("flip.before_commit")
        return goal

    async def _lock(self, tx: Transaction) -> Sequence[Point]:
        """Where the partitions of the serving revision are; none that shows another history.

        Raises: RebuildRunning: the candidate is not ours any more. ViewPaused.
        """
        columns = CHECKPOINTS.c
        ours = (self.candidate.revision, self.candidate.replaces)
        rows = await tx.execute(
            sa.select(
                columns.revision,
                columns.position,
                columns.event_id,
                columns.epoch,
                columns.holder,
                columns.status,
            )
            .where(columns.view == self.candidate.model.name, columns.revision.in_(ours))
            .order_by(columns.revision, columns.partition)
            .with_for_update()
        )
        mine = [row for row in rows if row.revision == self.candidate.revision]
        await self._require_ours(tx, mine)
        return [
            Point(row.position, row.event_id)
            for row in rows
            if row.revision == self.candidate.replaces and row.status != DIVERGED
        ]

    async def _require_ours(self, tx: Transaction, rows: Sequence[sa.Row[Any]]) -> None:
        known = [(each.epoch, each.point.position) for each in self.candidate.checkpoints]
        holders = {row.holder for row in rows}
        ours = holders == {self.building.holder}
        if not ours or [(row.epoch, row.position) for row in rows] != known:
            await refuse_overtaken(tx, self.candidate)

    async def _finish(self, tx: Transaction, goal: Point) -> bool:
        """Bring the candidate to `goal`, if that is near, with what this transaction sees."""
        candidate, means = self.candidate, self.building.means
        if goal.position == candidate.point.position:
            # Each stays where it is: some partitions may be further.
            await advance(tx, candidate, to=None, at=means.clock.now())
            return True
        if candidate.by_projectors:
            return False
        page = await means.store.read(
            after=candidate.point, limit=_INSIDE, categories=candidate.model.categories
        )
        if page.scanned.position < goal.position:
            return False
        events = [event for event in page.events if event.position <= goal.position]
        page = LogPage(events, goal, page.head)
        decoded = await decoded_for(candidate, page, of=candidate.model.categories)
        write = await candidate.bound.prepare(tx, decoded)
        await advance(tx, candidate, to=goal, at=means.clock.now())
        await write(tx)
        return True

    async def _swap(self, tx: Transaction) -> None:
        """The old one is nobody's any more; nor is the new one, until somebody takes it."""
        at, revisions = self.building.means.clock.now().isoformat(), REVISIONS.c
        columns = CHECKPOINTS.c
        both = columns.revision.in_((self.candidate.revision, self.candidate.replaces))
        await tx.execute(
            sa.update(CHECKPOINTS)
            .where(columns.view == self.candidate.model.name, both)
            .values(holder=None, epoch=columns.epoch + 1)
        )
        await tx.execute(
            sa.update(REVISIONS)
            .where(revisions.id == self.candidate.replaces, revisions.status == SERVING)
            .values(status=RETIRED, retired_at=at)
        )
        await tx.execute(
            sa.update(REVISIONS)
            .where(revisions.id == self.candidate.revision, revisions.status == BUILDING)
            .values(status=SERVING, served_at=at, verified_at=self.verified_at)
        )

    async def _hold(self) -> None:
        """Nobody moves the serving revision from now on, until the flip or our end."""
        if self.candidate.replaces is None:
            return
        holder = self.building.holder
        async with self.building.means.database.transaction() as tx:
            for slot in slots_of(self.candidate.model, self.candidate.replaces):
                await tx.execute(
                    sa.update(CHECKPOINTS)
                    .where(checkpoint_of(slot))
                    .values(holder=holder, epoch=CHECKPOINTS.c.epoch + 1)
                )
