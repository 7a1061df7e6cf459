"""Discarding: what is parked is never applied, because an operator said so.

The row stays as it was before the event that failed, and takes part again from the next event on.
That is written down for ever, with the reason. A row that has the version of its stream gets that
of the last discarded event: the row has seen it by decree.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from diptych.errors import InvalidInput
from diptych.failpoints import failpoint
from diptych.messages import RecordedEvent
from diptych.read.database import Transaction
from diptych.read.means import Means
from diptych.read.model import ReadModel
from diptych.read.parked import Lot, existing_lot, lot_of
from diptych.read.schema import DISCARDS
from diptych.read.table import TENANT, VERSION


@dataclass(frozen=True, slots=True)
class Discarded:
    """Events of a key that are never applied, at `positions`; `error` is why they were parked."""

    view: str
    revision: int
    tenant: str
    key: str
    positions: tuple[int, ...]
    error: str
    reason: str
    discarded_at: datetime


async def discard(
    model: ReadModel, key: object, *, tenant: str, reason: str, means: Means
) -> Discarded:
    """Raises: NotParked, InvalidInput: the key, or no reason is given; ViewChanging: another
    revision took its place meanwhile."""
    if not reason.strip():
        raise InvalidInput("reason", "must say why the events are not to be applied")
    lot = await existing_lot(model, means)
    stored = lot.stored_key(key)
    async with means.database.snapshot(projecting=True) as snapshot:
        row = await lot.row(snapshot, tenant=tenant, stored=stored)
    async with means.database.transaction() as tx:
        await lot.hold(row, tx)
        row = await lot.row(tx, tenant=tenant, stored=stored)
        positions = await lot.positions(tx, row)
        (last,) = await lot.events(positions[-1:], tenant=tenant)
        at = means.clock.now()
        await tx.execute(_record(lot, row, positions, reason=reason, at=at))
        await _pass(lot, row, last, tx)
        await lot.let_go(row, tx)
        failpoint("discard.before_commit")
    shown = lot.shown(row)
    return Discarded(
        *(shown.view, shown.revision, tenant, shown.key),
        *(tuple(positions), shown.error, reason, at),
    )


async def discarded(model: ReadModel, means: Means) -> tuple[Discarded, ...]:
    """All that was ever discarded of a view, in any revision, in order."""
    lot = await lot_of(model, means)
    columns = DISCARDS.c
    statement = sa.select(DISCARDS).where(columns.view == model.name)
    async with means.database.snapshot(projecting=True) as snapshot:
        rows = await snapshot.execute(statement.order_by(columns.discarded_at, columns.key_id))
    return tuple(_discarded(lot, row) for row in rows)


async def _pass(lot: Lot, row: Any, last: RecordedEvent, tx: Transaction) -> None:
    """A row that has its stream's version is past the last event, as it will not see it."""
    root, text = lot.root, lot.text
    if root is None or text is None:
        return
    key = text.key_of(row.key)
    if not root.stream_prefix or last.stream != f"{root.stream_prefix}{key}":
        return
    table = root.table.table
    (name,) = root.table.key
    mine = (table.c[TENANT] == row.tenant, table.c[name] == key)
    await tx.execute(sa.update(table).where(*mine).values({VERSION: last.version}))


def _record(
    lot: Lot, row: Any, positions: Sequence[int], *, reason: str, at: datetime
) -> sa.Insert:
    return sa.insert(DISCARDS).values(
        revision=lot.revision,
        key_id=row.key_id,
        first_position=row.first_position,
        view=lot.model.name,
        tenant=row.tenant,
        key=row.key,
        positions=msgspec.json.encode(positions).decode(),
        error=row.error,
        reason=reason,
        discarded_at=at.isoformat(),
    )


def _discarded(lot: Lot | None, row: Any) -> Discarded:
    return Discarded(
        view=row.view,
        revision=row.revision,
        tenant=row.tenant,
        key=row.key if lot is None or lot.text is None else lot.text.shown(row.key),
        positions=msgspec.json.decode(row.positions, type=tuple[int, ...]),
        error=row.error,
        reason=row.reason,
        discarded_at=datetime.fromisoformat(row.discarded_at),
    )
