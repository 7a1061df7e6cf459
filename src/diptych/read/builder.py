"""`Builder`: claims what is to be built for this process, and keeps it while it builds."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NoReturn

import sqlalchemy as sa

from diptych.errors import RebuildRunning, StoreError, ViewPaused
from diptych.failpoints import failpoint
from diptych.read.checkpoint import take_over
from diptych.read.database import Checkpoint, Slot, Transaction
from diptych.read.lease import Leases
from diptych.read.means import Means
from diptych.read.model import Bound, ReadModel
from diptych.read.pausing import paused_since
from diptych.read.revision import New, Target, registry, slots_of
from diptych.read.schema import (
    BUILDING,
    CHECKPOINTS,
    OWN_TABLES,
    REBUILD,
    REVISIONS,
    WORKERS,
    database_now,
)
from diptych.read.standings import checkpoint_of
from diptych.store.contract import Point
from diptych.worker import Worker, is_gone

_NEVER: Final = 2**63
"""A position that no log reaches."""

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Candidate:
    """A revision that is being built here, to serve instead of `replaces` if that is one.

    A view in several partitions is built as a whole, so its checkpoints are at one place; unless
    its projectors had begun it. `by_projectors` tells that they have to finish it, too: they know
    what to do with keys that are parked.
    """

    model: ReadModel
    revision: int
    replaces: int | None
    bound: Bound
    checkpoints: tuple[Checkpoint, ...]
    by_projectors: bool = False

    @property
    def point(self) -> Point:
        """Where it is; the partition that is least far."""
        return min((each.point for each in self.checkpoints), key=lambda point: point.position)

    @property
    def target(self) -> Target:
        """That no projector lets serve, however far it is: the flip does."""
        return Target(self.model, self.revision, _NEVER)


class Builder:
    """A worker that projects nothing but what it has claimed.

    Like any worker it is known to be alive by its row, or by its process on the same machine, and
    writes under an epoch of its own: so nobody builds one thing twice at a time, and what a builder
    that was killed has left is taken up at once.
    """

    def __init__(self, means: Means) -> None:
        self.means, self.worker = means, Worker.here()
        self._leases = Leases(self.worker, (), database=means.database, ttl=means.lease_ttl)

    @asynccontextmanager
    async def claimed(self, models: Sequence[ReadModel]) -> AsyncGenerator[list[Candidate]]:
        """All of them or none, for as long as the block lasts.

        Raises:
            RebuildRunning: another process that is alive builds one of them.
            ViewPaused: an operator has paused it.
            HistoryDiverged: what was built so far was made from another log.
            StorageDenied: this user may not read all that the flip will need.
        """
        renewing: asyncio.Task[None] | None = None
        try:
            candidates = await self._claim_all(models)
            renewing = asyncio.create_task(self._renew(), name="diptych-builder")
            yield candidates
        finally:
            if renewing is not None:
                renewing.cancel()
                await asyncio.gather(renewing, return_exceptions=True)
            await self._give_back()

    async def _claim_all(self, models: Sequence[ReadModel]) -> list[Candidate]:
        async with self.means.database.transaction(exclusive=True) as tx:
            await _require_rights(tx)
            await self._leases.stay_alive(tx)
            candidates = [await self._claim(tx, model) for model in models]
            failpoint("rebuild.before_claim")
        failpoint("rebuild.after_claim")
        return candidates

    async def _claim(self, tx: Transaction, model: ReadModel) -> Candidate:
        known = (await registry(tx)).get(model.wanted)
        replaces = known.revision if known and known.serving else None
        revision = known.revision if known and not known.serving else await _left(tx, model)
        if revision is None:
            revision = await self._new(tx, model)
        slots = slots_of(model, revision)
        checkpoints = [await self._take(tx, slot) for slot in slots]
        bound = model.bind(revision, self.means.database.dialect)
        apart = len({each.point for each in checkpoints}) > 1
        parked = any(each.parked_keys for each in checkpoints)
        return Candidate(model, revision, replaces, bound, tuple(checkpoints), apart or parked)

    async def _new(self, tx: Transaction, model: ReadModel) -> int:
        log_id, at = self.means.store.log_id, self.means.clock.now()
        made = New(model, status=BUILDING, kind=REBUILD, log_id=log_id, at=at)
        return await made.insert(tx, self.means.database.dialect)

    async def _take(self, tx: Transaction, slot: Slot) -> Checkpoint:
        before = await _holder(tx, slot)
        at, log_id = self.means.clock.now(), self.means.store.log_id
        if await self._leases.take(tx, slot, before=before):
            holder = self.worker.id
            taken = await take_over(tx, slot, holder=holder, log_id=log_id, at=at)
            if taken is not None:
                taken.require_unpaused()
                return taken.checkpoint
        raise RebuildRunning(slot.view, holder="another process")

    async def _renew(self) -> None:
        """Nothing here must be exact: what protects the rows is the epoch."""
        while True:
            await asyncio.sleep(self.means.lease_ttl / 3)
            try:
                await self._leases.renew(())
            except StoreError as error:
                _log.warning("a builder's lease cannot be renewed; trying again: %s", error)

    async def _give_back(self) -> None:
        try:
            await self._leases.end()
        except StoreError as error:
            _log.warning("a builder's leases are left to expire: %s", error)


async def _require_rights(tx: Transaction) -> None:
    """Now, and not when all is built: rights that were given for all tables lack newer ones."""
    for table in OWN_TABLES:
        await tx.execute(sa.select(table).limit(0))


async def retake(candidate: Candidate, means: Means, *, holder: str) -> None:
    """Its projectors, in this process, have moved it: go on from where they left it.

    Raises: RebuildRunning: another process has taken over. ViewPaused.
    """
    found: list[Checkpoint] = []
    async with means.database.transaction() as tx:
        for slot in candidate.target.slots:
            at, log_id = means.clock.now(), means.store.log_id
            taken = await take_over(tx, slot, holder=holder, log_id=log_id, at=at)
            if taken is None:
                raise RebuildRunning(slot.view, holder="another process")
            taken.require_unpaused()
            found.append(taken.checkpoint)
    candidate.checkpoints = tuple(found)


async def _left(tx: Transaction, model: ReadModel) -> int | None:
    """What a rebuild before this one began and did not finish."""
    rows = await tx.execute(
        sa.select(sa.func.max(REVISIONS.c.id).label("id")).where(
            REVISIONS.c.view == model.name,
            REVISIONS.c.fingerprint == model.fingerprint,
            REVISIONS.c.status == BUILDING,
            REVISIONS.c.kind == REBUILD,
        )
    )
    left: int | None = rows[0].id
    return left


async def _holder(tx: Transaction, slot: Slot) -> str | None:
    """Who held it last. Raises RebuildRunning: and is alive."""
    alive = sa.and_(WORKERS.c.id == CHECKPOINTS.c.holder, WORKERS.c.alive_until > database_now())
    rows = await tx.execute(
        sa.select(CHECKPOINTS.c.holder, WORKERS.c.name, WORKERS.c.process)
        .outerjoin_from(CHECKPOINTS, WORKERS, alive)
        .where(checkpoint_of(slot))
    )
    row = rows[0]
    if row.process is not None and not is_gone(row.process):
        raise RebuildRunning(slot.view, holder=row.name)
    holder: str | None = row.holder
    return holder


async def advance(tx: Transaction, candidate: Candidate, *, to: Point | None, at: datetime) -> None:
    """Move its checkpoints, in a transaction that is still to be committed; or let each stay where
    it is, so that others hear that something changed.

    Raises: RebuildRunning: another process has taken over. ViewPaused.
    """
    for checkpoint in candidate.checkpoints:
        if not await tx.advance(checkpoint, to or checkpoint.point, at=at.isoformat()):
            await refuse_overtaken(tx, candidate)


async def refuse_overtaken(tx: Transaction, candidate: Candidate) -> NoReturn:
    """Its checkpoint is not as we left it. Raises: ViewPaused, RebuildRunning."""
    name, reached = candidate.model.name, candidate.point.position
    if (since := await paused_since(tx, name)) is not None:
        raise ViewPaused(name, since=since, reached=reached)
    raise RebuildRunning(name, holder="another process")
