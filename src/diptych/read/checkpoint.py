"""Checkpoints: who may move one, how it goes there, and whether it still fits its log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from diptych.errors import CheckpointDiverged, HistoryDiverged, ViewPaused
from diptych.read.database import Checkpoint, ReadDatabase, Slot, Snapshot, Transaction
from diptych.read.failure import Failure, failure_of
from diptych.read.pausing import paused_since
from diptych.read.schema import CHECKPOINTS, DIVERGED, VIEWS, WELL, WORKERS, database_now
from diptych.read.standings import checkpoint_of
from diptych.store.contract import EventStore, Point

_SLOT: Final = (CHECKPOINTS.c.view, CHECKPOINTS.c.revision, CHECKPOINTS.c.partition)
_KEPT: Final = (
    *(CHECKPOINTS.c.epoch, CHECKPOINTS.c.position, CHECKPOINTS.c.event_id),
    *(CHECKPOINTS.c.acts, CHECKPOINTS.c.parked_keys),
)


@dataclass(frozen=True, slots=True)
class Word:
    """What is recorded with a checkpoint about how it goes: a status, and why.

    `failure` was met `attempts` times.
    """

    status: str
    failure: Failure | None = None
    attempts: int = 0

    @property
    def values(self) -> Mapping[str, object]:
        """Of the columns, but for the time."""
        failure = self.failure
        if failure is None:
            return {**WELL, "status": self.status}
        return {
            "status": self.status,
            "error": failure.error,
            "error_position": failure.position,
            "error_class": failure.kind.value,
            "error_type": failure.event_type or None,
            "attempts": self.attempts,
        }


@dataclass(frozen=True, slots=True)
class Taken:
    """A checkpoint that was taken over: what it says, and since when its view is paused."""

    checkpoint: Checkpoint
    status: str
    paused_since: str | None

    def require_unpaused(self) -> None:
        """Raises: ViewPaused."""
        if self.paused_since is not None:
            slot, reached = self.checkpoint.slot, self.checkpoint.point.position
            raise ViewPaused(slot.view, since=self.paused_since, reached=reached)


async def take_over(
    tx: Transaction, slot: Slot, *, holder: str, log_id: UUID, at: datetime
) -> Taken | None:
    """Begin a new epoch: whoever wrote this checkpoint before can no longer do so.

    None if another holds the slot.

    Raises: HistoryDiverged: it was made from another log.
    """
    columns = CHECKPOINTS.c
    rows = await tx.execute(
        sa.update(CHECKPOINTS)
        .where(checkpoint_of(slot), columns.holder == holder)
        .values(epoch=columns.epoch + 1, started_at=at.isoformat())
        .returning(*_KEPT, columns.log_id, columns.status)
    )
    if not rows:
        return None
    row = rows[0]
    if row.log_id != log_id:
        followed = f"view {slot.view}, which follows log {row.log_id},"
        raise HistoryDiverged(followed, position=row.position)
    return Taken(_checkpoint(slot, row), row.status, await paused_since(tx, slot.view))


async def read_again(snapshot: Snapshot, slot: Slot, *, epoch: int) -> Checkpoint | None:
    """The checkpoint as it is now; None if another has taken over."""
    statement = sa.select(*_KEPT).where(checkpoint_of(slot), CHECKPOINTS.c.epoch == epoch)
    rows = await snapshot.execute(statement)
    return _checkpoint(slot, rows[0]) if rows else None


def _checkpoint(slot: Slot, row: sa.Row[Any]) -> Checkpoint:
    point = Point(row.position, row.event_id)
    return Checkpoint(slot, row.epoch, point, row.acts, row.parked_keys)


async def leave_word(
    tx: Transaction, slot: Slot, *, holder: str, epoch: int, word: Word, at: datetime
) -> bool:
    """Record how it goes; False, and nothing recorded, if another has taken over since."""
    mine = sa.and_(CHECKPOINTS.c.holder == holder, CHECKPOINTS.c.epoch == epoch)
    since = sa.func.coalesce(CHECKPOINTS.c.failed_at, at.isoformat())
    failed = {} if word.failure is None else {"failed_at": since}
    found = await tx.execute(
        sa.update(CHECKPOINTS)
        .where(checkpoint_of(slot), mine)
        .values({**word.values, **failed})
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
            lost = failure_of(CheckpointDiverged(slot.view, position=point.position))
            async with database.transaction() as tx:
                await tx.execute(
                    sa.update(CHECKPOINTS)
                    .where(checkpoint_of(slot), CHECKPOINTS.c.position == point.position)
                    .values(Word(DIVERGED, lost).values)
                )


async def _is_in(store: EventStore, point: Point) -> bool:
    try:
        await store.read(after=point, limit=1)
    except HistoryDiverged:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Seen:
    """A checkpoint as everybody sees it. `holder` is a worker that is alive, or nothing;
    `paused_at` since when its view is paused, or nothing."""

    position: int
    moved_at: str
    holder: str
    holder_name: str
    error: str
    parked_keys: int = 0
    parked_events: int = 0
    paused_at: str = ""
    paused_reason: str = ""


async def seen_checkpoints(snapshot: Snapshot) -> Mapping[Slot, Seen]:
    alive = sa.and_(WORKERS.c.id == CHECKPOINTS.c.holder, WORKERS.c.alive_until > database_now())
    columns = CHECKPOINTS.c
    statement = sa.select(
        *(*_SLOT, columns.position, columns.moved_at, WORKERS.c.id, WORKERS.c.name, columns.error),
        *(columns.parked_keys, columns.parked_events, VIEWS.c.paused_at, VIEWS.c.paused_reason),
    ).select_from(
        CHECKPOINTS.outerjoin(WORKERS, alive).outerjoin(VIEWS, VIEWS.c.view == columns.view)
    )
    return {_slot_of(row): _seen(row) for row in await snapshot.execute(statement)}


def _seen(row: sa.Row[Any]) -> Seen:
    return Seen(
        row.position,
        row.moved_at or "",
        row.id or "",
        row.name or "",
        row.error or "",
        row.parked_keys,
        row.parked_events,
        row.paused_at or "",
        row.paused_reason or "",
    )


async def position_of(snapshot: Snapshot, slot: Slot) -> int:
    rows = await snapshot.execute(sa.select(CHECKPOINTS.c.position).where(checkpoint_of(slot)))
    position: int = rows[0].position
    return position


def _slot_of(row: sa.Row[Any]) -> Slot:
    return Slot(row.view, row.revision, row.partition)
