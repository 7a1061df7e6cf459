"""Checkpoints: who may move one, how it goes there, and whether it still fits its log."""

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from diptych.errors import CheckpointDiverged, DiptychError, HistoryDiverged
from diptych.read.database import Checkpoint, ReadDatabase, Slot, Snapshot, Transaction
from diptych.read.model import Unapplied
from diptych.read.schema import CHECKPOINTS, DIVERGED, WORKERS, database_now
from diptych.read.standings import checkpoint_of
from diptych.store.contract import EventStore, Point

_SLOT: Final = (CHECKPOINTS.c.view, CHECKPOINTS.c.revision, CHECKPOINTS.c.partition)


@dataclass(frozen=True, slots=True)
class Word:
    """What is recorded with a checkpoint about how it goes: a status, and why."""

    status: str
    error: str = ""
    position: int | None = None


async def take_over(
    tx: Transaction, slot: Slot, *, holder: str, log_id: UUID, at: datetime
) -> tuple[Checkpoint, Word] | None:
    """Begin a new epoch: whoever wrote this checkpoint before can no longer do so.

    None if another holds the slot.

    Raises: HistoryDiverged: it was made from another log.
    """
    columns = CHECKPOINTS.c
    rows = await tx.execute(
        sa.update(CHECKPOINTS)
        .where(checkpoint_of(slot), columns.holder == holder)
        .values(epoch=columns.epoch + 1, started_at=at.isoformat())
        .returning(
            columns.epoch,
            columns.position,
            columns.event_id,
            columns.log_id,
            columns.status,
            columns.error,
            columns.error_position,
        )
    )
    if not rows:
        return None
    row = rows[0]
    if row.log_id != log_id:
        followed = f"view {slot.view}, which follows log {row.log_id},"
        raise HistoryDiverged(followed, position=row.position)
    word = Word(row.status, row.error or "", row.error_position)
    return Checkpoint(slot, row.epoch, Point(row.position, row.event_id)), word


async def leave_word(tx: Transaction, slot: Slot, *, holder: str, epoch: int, word: Word) -> bool:
    """Record how it goes; False, and nothing recorded, if another has taken over since."""
    mine = sa.and_(CHECKPOINTS.c.holder == holder, CHECKPOINTS.c.epoch == epoch)
    found = await tx.execute(
        sa.update(CHECKPOINTS)
        .where(checkpoint_of(slot), mine)
        .values(status=word.status, error=word.error or None, error_position=word.position)
        .returning(CHECKPOINTS.c.epoch)
    )
    return bool(found)


async def refuse_lost_history(
    slots: Sequence[Slot], *, store: EventStore, database: ReadDatabase
) -> None:
    """Mark the checkpoints that are not in the log, before anybody is answered from their rows.

    A projector finds out by itself, but later, and only where there is one.
    """
    async with database.snapshot(projecting=True) as snapshot:
        columns = (*_SLOT, CHECKPOINTS.c.position, CHECKPOINTS.c.event_id)
        rows = await snapshot.execute(sa.select(*columns))
    for row in rows:
        slot, point = _slot_of(row), Point(row.position, row.event_id)
        if slot in slots and not await _is_in(store, point):
            lost = CheckpointDiverged(slot.view, position=point.position)
            async with database.transaction() as tx:
                await tx.execute(
                    sa.update(CHECKPOINTS)
                    .where(checkpoint_of(slot), CHECKPOINTS.c.position == point.position)
                    .values(status=DIVERGED, error=reason(lost), error_position=point.position)
                )


async def _is_in(store: EventStore, point: Point) -> bool:
    try:
        await store.read(after=point, limit=1)
    except HistoryDiverged:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Seen:
    """A checkpoint as everybody sees it. `holder` is a worker that is alive, or nothing."""

    position: int
    moved_at: str
    holder: str
    holder_name: str
    error: str


async def seen_checkpoints(snapshot: Snapshot) -> Mapping[Slot, Seen]:
    alive = sa.and_(WORKERS.c.id == CHECKPOINTS.c.holder, WORKERS.c.alive_until > database_now())
    statement = sa.select(
        *_SLOT,
        CHECKPOINTS.c.position,
        CHECKPOINTS.c.moved_at,
        WORKERS.c.id,
        WORKERS.c.name,
        CHECKPOINTS.c.error,
    ).outerjoin_from(CHECKPOINTS, WORKERS, alive)
    found: dict[Slot, Seen] = {}
    for row in await snapshot.execute(statement):
        found[_slot_of(row)] = Seen(
            row.position, row.moved_at or "", row.id or "", row.name or "", row.error or ""
        )
    return found


async def position_of(snapshot: Snapshot, slot: Slot) -> int:
    rows = await snapshot.execute(sa.select(CHECKPOINTS.c.position).where(checkpoint_of(slot)))
    position: int = rows[0].position
    return position


def reason(error: BaseException) -> str:
    """What happened, without what was in the event: that may be a secret."""
    if isinstance(error, Unapplied) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, DiptychError):
        return f"{type(error).__name__}: {error}"
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = [f" in {each.name}, {Path(each.filename).name}:{each.lineno}" for each in last]
    return f"{type(error).__name__}{''.join(where)}"


def _slot_of(row: sa.Row[Any]) -> Slot:
    return Slot(row.view, row.revision, row.partition)
