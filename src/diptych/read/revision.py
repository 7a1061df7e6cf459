"""Revisions: the tables that one fingerprint of a view built, and the registry of them.

A revision is found by view and fingerprint, so that old and new code work side by side: each
process projects into, and reads, the revision of its own code. New code finds none, creates its
tables beside the old ones and is not ready until they have caught up; going back to the old code
finds the old revision, which catches up and serves. Nothing is altered or renamed, ever.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from diptych.failpoints import failpoint
from diptych.read.database import ReadDatabase, Slot, Transaction
from diptych.read.model import ReadModel
from diptych.read.schema import BUILDING, CHECKPOINTS, REVISIONS, RUNNING, SERVING
from diptych.store.contract import Point


@dataclass(frozen=True, slots=True)
class Target:
    """A model, the revision that it is projected into, and from where on that one serves."""

    model: ReadModel
    revision: int
    serves_from: int

    @property
    def slots(self) -> tuple[Slot, ...]:
        name, revision = self.model.name, self.revision
        return tuple(Slot(name, revision, part) for part in range(self.model.partitions))


async def register(
    models: Sequence[ReadModel],
    *,
    database: ReadDatabase,
    log_id: UUID,
    head: Point,
    at: datetime,
) -> dict[str, int]:
    """The revision of each view for this code, made with its tables where there is none.

    On an empty log a new revision serves at once.
    """
    found: dict[str, int] = {}
    status = BUILDING if head.position else SERVING
    for model in models:
        async with database.transaction(exclusive=True) as tx:
            revision = await _find(tx, model)
            if revision is None:
                revision = await _insert(tx, model, status=status, at=at)
                await _create(tx, model, revision, database.dialect)
                for partition in range(model.partitions):
                    await tx.execute(
                        sa.insert(CHECKPOINTS).values(
                            **Slot(model.name, revision, partition)._asdict(),
                            position=0,
                            log_id=log_id,
                            epoch=0,
                            status=RUNNING,
                        )
                    )
                failpoint("register.before_commit")
            found[model.name] = revision
    return found


async def _find(tx: Transaction, model: ReadModel) -> int | None:
    """The one that serves; else the newest that is being built."""
    rows = await tx.execute(
        sa.select(REVISIONS.c.id)
        .where(
            REVISIONS.c.view == model.name,
            REVISIONS.c.fingerprint == model.fingerprint,
            REVISIONS.c.status.in_((BUILDING, SERVING)),
        )
        .order_by(REVISIONS.c.status == BUILDING, REVISIONS.c.id.desc())
    )
    return rows[0].id if rows else None


async def _insert(tx: Transaction, model: ReadModel, *, status: str, at: datetime) -> int:
    rows = await tx.execute(
        sa.insert(REVISIONS)
        .values(
            view=model.name,
            fingerprint=model.fingerprint,
            status=status,
            tables="[]",
            created_at=at.isoformat(),
        )
        .returning(REVISIONS.c.id)
    )
    revision: int = rows[0].id
    return revision


async def _create(tx: Transaction, model: ReadModel, revision: int, dialect: sa.Dialect) -> None:
    bound = model.bind(revision, dialect)
    await bound.create(tx)
    await tx.execute(
        sa.update(REVISIONS)
        .where(REVISIONS.c.id == revision)
        .values(tables=json.dumps(list(bound.tables)))
    )


async def let_serve(tx: Transaction, revision: int, *, serves_from: int) -> bool:
    """A revision serves once all its partitions have caught up; whether this one does.

    The last two partitions may get there at one time, and do not see each other's checkpoints:
    so they do this one after the other.
    """
    mine = REVISIONS.c.id == revision
    found = await tx.execute(sa.select(REVISIONS.c.status).where(mine).with_for_update())
    if found[0].status != BUILDING:
        return True
    least = sa.select(sa.func.min(CHECKPOINTS.c.position).label("position"))
    rows = await tx.execute(least.where(CHECKPOINTS.c.revision == revision))
    if rows[0].position < serves_from:
        return False
    await tx.execute(sa.update(REVISIONS).where(mine).values(status=SERVING))
    return True
