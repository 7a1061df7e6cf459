"""Revisions: the tables that one fingerprint of a view built, and the registry of them.

A revision is found by view and fingerprint, so that old and new code work side by side: each
process projects into, and reads, the revision of its own code. New code finds none, creates its
tables beside the old ones and is not ready until they have caught up; going back to the old code
finds the old revision, which catches up and serves. Nothing is altered or renamed, ever.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from diptych.errors import HistoryDiverged
from diptych.failpoints import failpoint
from diptych.read.database import Checkpoint, ReadDatabase, Slot, Snapshot, Transaction
from diptych.read.model import ReadModel
from diptych.read.schema import BUILDING, CHECKPOINTS, REVISIONS, RUNNING, SERVING, STOPPED
from diptych.store.contract import Point


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
        async with database.transaction() as tx:
            revision = await _find(tx, model)
            if revision is None:
                revision = await _insert(tx, model, status=status, at=at)
                await _create(tx, model, revision, database.dialect)
                await tx.execute(
                    sa.insert(CHECKPOINTS).values(
                        **Slot(model.name, revision)._asdict(),
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


async def take_over(
    tx: Transaction, slot: Slot, *, log_id: UUID, at: datetime, epoch: int | None
) -> Checkpoint | None:
    """Begin a new epoch: whoever wrote this checkpoint before can no longer do so.

    With `epoch` only if it is still in that one; None if it is not.

    Raises: HistoryDiverged: it was made from another log.
    """
    mine = CHECKPOINTS.c.epoch == epoch if epoch is not None else sa.true()
    rows = await tx.execute(
        sa.update(CHECKPOINTS)
        .where(_at(slot), mine)
        .values(
            epoch=CHECKPOINTS.c.epoch + 1,
            status=RUNNING,
            error=None,
            error_position=None,
            started_at=at.isoformat(),
        )
        .returning(
            CHECKPOINTS.c.epoch,
            CHECKPOINTS.c.position,
            CHECKPOINTS.c.event_id,
            CHECKPOINTS.c.log_id,
        )
    )
    if not rows:
        return None
    row = rows[0]
    if row.log_id != log_id:
        followed = f"view {slot.view}, which follows log {row.log_id},"
        raise HistoryDiverged(followed, position=row.position)
    return Checkpoint(slot, row.epoch, Point(row.position, row.event_id))


async def record_stop(
    tx: Transaction, checkpoint: Checkpoint, *, reason: str, position: int
) -> None:
    """Leave word of why a projection stopped, unless somebody else has taken over."""
    await tx.execute(
        sa.update(CHECKPOINTS)
        .where(_at(checkpoint.slot), CHECKPOINTS.c.epoch == checkpoint.epoch)
        .values(status=STOPPED, error=reason, error_position=position)
    )


async def let_serve(tx: Transaction, revision: int) -> None:
    """A revision that has once caught up serves from then on."""
    await tx.execute(
        sa.update(REVISIONS)
        .where(REVISIONS.c.id == revision, REVISIONS.c.status == BUILDING)
        .values(status=SERVING)
    )


async def whereabouts(snapshot: Snapshot, slot: Slot) -> tuple[int, int]:
    """Epoch and position of a checkpoint as they are now."""
    columns = (CHECKPOINTS.c.epoch, CHECKPOINTS.c.position)
    rows = await snapshot.execute(sa.select(*columns).where(_at(slot)))
    return rows[0].epoch, rows[0].position


def _at(slot: Slot) -> sa.ColumnElement[bool]:
    columns: Any = CHECKPOINTS.c
    return sa.and_(
        columns.view == slot.view,
        columns.revision == slot.revision,
        columns.partition == slot.partition,
    )
