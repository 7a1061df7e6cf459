"""Trying again: what is parked is applied after all, and a view that was stopped is started.

A retry applies what is set aside of a key, in order, and lets the key go, in one transaction that
holds the checkpoint (`diptych.read.acting`): all of it or nothing, while no page is projected. If
it fails again the key stays as it was, with the new error.

Views over the view get then what the events make of its row, and so later than the log has them.
That is written down, so that who folds the log again for them does as it was done here.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from diptych.errors import CheckpointDiverged, NotParked, StillParked, StorageBusy
from diptych.failpoints import failpoint
from diptych.messages import RecordedEvent
from diptych.read.database import Checkpoint, Transaction
from diptych.read.failure import FAULTS, Failure, failure_of
from diptych.read.means import Means
from diptych.read.model import Decoded, ReadModel
from diptych.read.parked import Lot, ParkedKey, existing_lot, lot_of
from diptych.read.recalling import Only
from diptych.read.schema import CHECKPOINTS, DIVERGED, PARKED_KEYS, RETRIES, STOPPED, WELL

_ATTEMPTS: Final = 100
_PAUSE: Final = 0.01
_INSIDE: Final = 1_000
"""Events that may be read while the checkpoint is locked: some milliseconds."""


@dataclass(frozen=True, slots=True)
class Retried:
    """What came of a retry: whether a stopped view was started, which keys could be applied, and
    which failed again and stay parked."""

    view: str
    started: bool
    applied: tuple[ParkedKey, ...]
    failed: tuple[ParkedKey, ...]


async def retry_all(model: ReadModel, means: Means) -> Retried:
    """Every parked key, in the order in which they were parked; then the view, if it is stopped.

    Raises:
        CheckpointDiverged: the view shows what the log does not have.
        ViewChanging: another revision took its place meanwhile.
    """
    lot = await lot_of(model, means)
    if lot is None:
        return Retried(model.name, started=False, applied=(), failed=())
    await _require_history(lot)
    async with means.database.snapshot(projecting=True) as snapshot:
        rows = await lot.rows(snapshot)
    applied: list[ParkedKey] = []
    failed: list[ParkedKey] = []
    for row in rows:
        try:
            if await _retry(lot, row) is None:
                applied.append(lot.shown(row))
            else:
                failed.append(await _failed(lot, row))
        except NotParked:
            continue  # somebody else was faster, or has discarded it since
    started = await _start(lot)
    return Retried(model.name, started, tuple(applied), tuple(failed))


async def retry_key(model: ReadModel, key: object, *, tenant: str, means: Means) -> Retried:
    """Raises: NotParked, InvalidInput; StillParked: it failed again; CheckpointDiverged;
    ViewChanging: another revision took its place meanwhile."""
    lot = await existing_lot(model, means)
    stored = lot.stored_key(key)
    await _require_history(lot)
    async with means.database.snapshot(projecting=True) as snapshot:
        row = await lot.row(snapshot, tenant=tenant, stored=stored)
    failure = await _retry(lot, row)
    if failure is not None:
        position = failure.position or row.first_position
        raise StillParked(model.name, position=position, reason=failure.error)
    return Retried(model.name, started=False, applied=(lot.shown(row),), failed=())


async def _retry(lot: Lot, row: Any) -> Failure | None:
    """None if it was applied. Raises: NotParked: not any more. ViewChanging."""
    for _ in range(_ATTEMPTS):
        async with lot.means.database.snapshot(projecting=True) as snapshot:
            positions = await lot.positions(snapshot, row)
        events = await lot.events(positions, tenant=row.tenant) if positions else []
        try:
            if await _apply(lot, row, events):
                return None
        except FAULTS as fault:
            failure = failure_of(fault, events)
            await _note(lot, row, failure)
            return failure
        await asyncio.sleep(_PAUSE)
    raise StorageBusy(f"view {lot.model.name}: events join a parked key faster than it is retried")


async def _apply(lot: Lot, row: Any, events: list[RecordedEvent]) -> bool:
    """With those that have joined them meanwhile, which are added to `events`.

    False if these are not its events any more, or are far from all; then nothing was changed.

    Raises: NotParked, ViewChanging; Unapplied and other faults of an event.
    """
    decoded = await lot.model.decode(events)
    async with lot.means.database.transaction() as tx:
        checkpoint = await lot.hold(row, tx)
        await lot.row(tx, tenant=row.tenant, stored=row.key)
        positions, known = await lot.positions(tx, row), [each.position for each in events]
        joined = positions[len(known) :]
        if positions[: len(known)] != known or len(joined) > _INSIDE:
            return False
        if joined:
            more = await lot.events(joined, tenant=row.tenant)
            events.extend(more)
            decoded = [*decoded, *await lot.model.decode(more)]
        await _write(lot, row, decoded, tx)
        if lot.model.over:
            await tx.execute(_record(lot, row, positions, checkpoint))
        await lot.let_go(row, tx)
        failpoint("retry.before_commit")
    failpoint("retry.after_commit")
    return True


async def _write(lot: Lot, row: Any, decoded: Sequence[Decoded], tx: Transaction) -> None:
    if lot.text is None or not decoded:
        return
    only = Only((row.tenant, lot.text.key_of(row.key)), row.key)
    write = await lot.bound.prepare(tx, decoded, only)
    await write(tx)


def _record(lot: Lot, row: Any, positions: Sequence[int], checkpoint: Checkpoint) -> sa.Insert:
    """That views over the view have seen these events later than the log says."""
    return sa.insert(RETRIES).values(
        revision=lot.revision,
        acts=checkpoint.acts,
        after=checkpoint.point.position,
        key_id=row.key_id,
        tenant=row.tenant,
        key=row.key,
        positions=msgspec.json.encode(positions).decode(),
    )


async def _note(lot: Lot, row: Any, failure: Failure) -> None:
    """How the last attempt failed; unless another has let the key go, and it is parked anew."""
    columns = PARKED_KEYS.c
    mine = (columns.revision == lot.revision, columns.key_id == row.key_id)
    async with lot.means.database.transaction() as tx:
        await tx.execute(
            sa.update(PARKED_KEYS)
            .where(*mine, columns.first_position == row.first_position)
            .values(
                error_class=failure.kind.value,
                error_type=failure.event_type or row.error_type,
                error_position=failure.position or row.error_position,
                error=failure.error,
                attempts=columns.attempts + 1,
                tried_at=lot.means.clock.now().isoformat(),
            )
        )


async def _failed(lot: Lot, row: Any) -> ParkedKey:
    async with lot.means.database.snapshot(projecting=True) as snapshot:
        return lot.shown(await lot.row(snapshot, tenant=row.tenant, stored=row.key))


async def _start(lot: Lot) -> bool:
    """Whoever holds what is stopped finds that it is not, at its next look."""
    columns = CHECKPOINTS.c
    async with lot.means.database.transaction() as tx:
        found = await tx.execute(
            sa.update(CHECKPOINTS)
            .where(columns.revision == lot.revision, columns.status == STOPPED)
            .values(WELL)
            .returning(columns.partition)
        )
    return bool(found)


async def _require_history(lot: Lot) -> None:
    """Raises: CheckpointDiverged: what it has was never in this log, whatever is applied to it."""
    columns = CHECKPOINTS.c
    statement = sa.select(columns.error_position).where(
        columns.revision == lot.revision, columns.status == DIVERGED
    )
    async with lot.means.database.snapshot(projecting=True) as snapshot:
        rows = await snapshot.execute(statement)
    if rows:
        raise CheckpointDiverged(lot.model.name, position=rows[0].error_position or 0)
