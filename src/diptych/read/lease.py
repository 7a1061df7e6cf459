"""`Leases`: which slots this process projects, while others project theirs.

Theory of operation
-------------------
A slot is a view in one revision and partition, and has one checkpoint. Its holder is written with
the checkpoint; a worker says in a row of its own until when it is alive, by the clock of the
database, never by that of a machine. One small statement at each third of that time renews all
leases of a process. A slot is free if it has no holder, or one that is not alive any more. A
holder on the same machine whose process is gone is not waited for.

A lease decides only who tries. What protects the rows is the epoch in the checkpoint: whoever
begins to project raises it, and a page is written only under the epoch that it was read in. So
nothing here must be exact. A holder that was paused, cut off or slow loses its slots and notices
when its next page is refused; two that believe to hold one slot cost work, and no row.

Nobody is in charge. Each worker looks at who is alive and who holds what, works out what all of
them should hold (`share_of`), takes its part of what is free, and gives back what is too much
when its projector has ended. What a worker cannot project, because its code has no such revision,
is not its business: old and new code share one database during a deploy.
"""

import asyncio
import json
import logging
from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from diptych.failpoints import failpoint
from diptych.read.database import ReadDatabase, Slot, Snapshot, Transaction, Wanted
from diptych.read.pausing import paused_views
from diptych.read.revision import Registered, registry
from diptych.read.schema import (
    BUILDING,
    CHECKPOINTS,
    DIVERGED,
    REVISIONS,
    SERVING,
    STOPPED,
    WELL,
    WORKERS,
    database_now,
)
from diptych.read.spread import Share, share_of
from diptych.read.standings import checkpoint_of
from diptych.worker import Worker, is_gone

TTL: Final = 5.0
"""For how many seconds a worker that says nothing is still taken to be alive."""

_FORGOTTEN_AFTER: Final = 3600.0

_log = logging.getLogger(__name__)


_ALIVE: Final = sa.select(WORKERS.c.id, WORKERS.c.process, WORKERS.c.revisions).where(
    WORKERS.c.alive_until > database_now()
)
_HELD: Final = (
    sa.select(
        CHECKPOINTS.c.view,
        CHECKPOINTS.c.revision,
        CHECKPOINTS.c.partition,
        CHECKPOINTS.c.holder,
        CHECKPOINTS.c.position,
        CHECKPOINTS.c.status,
    )
    .join(REVISIONS, REVISIONS.c.id == CHECKPOINTS.c.revision)
    .where(REVISIONS.c.status.in_((BUILDING, SERVING)))
)


@dataclass(frozen=True, slots=True)
class Sight:
    """Who holds what and how far it is, as one snapshot shows it; what this worker should do.

    `registry` says what each view of any code is projected into, `stopped` are the slots that an
    event has stopped, `paused` the views that an operator has.
    """

    holders: Mapping[Slot, str | None]
    positions: Mapping[Slot, int]
    share: Share
    registry: Mapping[Wanted, Registered]
    stopped: AbstractSet[Slot]
    paused: AbstractSet[str]


class Leases:
    """The slots of one worker. `revisions` are those that its code can project; `know` others."""

    def __init__(
        self,
        worker: Worker,
        revisions: Collection[int],
        *,
        database: ReadDatabase,
        ttl: float = TTL,
    ) -> None:
        self.worker, self.ttl = worker, ttl
        self._revisions = frozenset(revisions)
        self._database = database
        self._renew_at = 0.0

    def know(self, revisions: Collection[int]) -> None:
        """Project these from now on; the next `renew` tells the others."""
        if self._revisions != frozenset(revisions):
            self._revisions, self._renew_at = frozenset(revisions), 0.0

    async def look(self) -> Sight:
        """Raises: StoreError."""
        async with self._database.snapshot(leasing=True) as snapshot:
            return await self._see(snapshot)

    @property
    def must_renew(self) -> bool:
        return _time() >= self._renew_at

    async def renew(self, give: Collection[Slot]) -> AbstractSet[Slot]:
        """Stay alive, give back, and take what is free for this worker; what it holds then.

        Raises: StoreError: it is not known whether that was done; the next look tells.
        """
        due = _time() + self.ttl / 3
        async with self._database.transaction(leasing=True) as tx:
            await self.stay_alive(tx)
            for slot in give:
                await self._give_back(tx, slot)
            seen = await self._see(tx)
            held = {slot for slot, holder in seen.holders.items() if holder == self.worker.id}
            for slot in seen.share.take:
                if slot not in give and await self.take(tx, slot, before=seen.holders[slot]):
                    held.add(slot)
            failpoint("leases.before_commit")
        self._renew_at = due
        return held

    async def end(self) -> None:
        """Give back everything: others need not wait. Raises: StoreError."""
        mine = CHECKPOINTS.c.holder == self.worker.id
        async with self._database.transaction(leasing=True) as tx:
            await tx.execute(sa.update(CHECKPOINTS).where(mine).values(holder=None))
            await tx.execute(sa.delete(WORKERS).where(WORKERS.c.id == self.worker.id))

    async def stay_alive(self, tx: Transaction) -> None:
        """Be alive for the others, for as long as `ttl` says."""
        until, revisions = database_now() + self.ttl, json.dumps(sorted(self._revisions))
        found = await tx.execute(
            sa.update(WORKERS)
            .where(WORKERS.c.id == self.worker.id)
            .values(alive_until=until, revisions=revisions)
            .returning(WORKERS.c.id)
        )
        if found:
            return
        long_dead = WORKERS.c.alive_until < database_now() - _FORGOTTEN_AFTER
        await tx.execute(sa.delete(WORKERS).where(long_dead))
        await tx.execute(
            sa.insert(WORKERS).values(
                id=self.worker.id,
                name=self.worker.name,
                process=self.worker.process,
                revisions=revisions,
                alive_until=until,
            )
        )

    async def _see(self, reading: Snapshot | Transaction) -> Sight:
        """Holders first: each of them is a worker by then, or has ended meanwhile. The other way
        round, one that came in between would be taken for dead."""
        holders: dict[Slot, str | None] = {}
        positions: dict[Slot, int] = {}
        stopped: set[Slot] = set()
        for row in await reading.execute(_HELD):
            slot = Slot(row.view, row.revision, row.partition)
            holders[slot], positions[slot] = row.holder, row.position
            if row.status in {STOPPED, DIVERGED}:
                stopped.add(slot)
        knows: dict[str, AbstractSet[int]] = {}
        for row in await reading.execute(_ALIVE):
            if not is_gone(row.process):
                knows[row.id] = frozenset(json.loads(row.revisions))
        knows[self.worker.id] = self._revisions
        share = share_of(self.worker.id, holders, knows)
        paused = await paused_views(reading)
        return Sight(holders, positions, share, await registry(reading), stopped, paused)

    async def take(self, tx: Transaction, slot: Slot, *, before: str | None) -> bool:
        """Unless somebody else was faster. What had been stopped is tried again."""
        columns = CHECKPOINTS.c
        free = sa.and_(checkpoint_of(slot), columns.holder.is_not_distinct_from(before))
        await tx.execute(sa.update(CHECKPOINTS).where(free, columns.status == STOPPED).values(WELL))
        taken = await tx.execute(
            sa.update(CHECKPOINTS)
            .where(free)
            .values(holder=self.worker.id)
            .returning(columns.position)
        )
        if taken:
            _log.info(
                "%s projects %s from %d on", self.worker.name, _named(slot), taken[0].position
            )
        return bool(taken)

    async def _give_back(self, tx: Transaction, slot: Slot) -> None:
        await tx.execute(
            sa.update(CHECKPOINTS)
            .where(checkpoint_of(slot), CHECKPOINTS.c.holder == self.worker.id)
            .values(holder=None)
        )
        _log.info("%s gives %s back", self.worker.name, _named(slot))


def _named(slot: Slot) -> str:
    return f"{slot.view}, revision {slot.revision}, partition {slot.partition},"


def _time() -> float:
    return asyncio.get_running_loop().time()
