"""What is parked: which keys, because of what, and which events."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from diptych.errors import NotParked, ViewChanging
from diptych.messages import RecordedEvent
from diptych.read.acting import act
from diptych.read.database import Checkpoint, Slot, Snapshot, Transaction
from diptych.read.group import root_of
from diptych.read.keytext import KeyText
from diptych.read.means import Means
from diptych.read.model import Bound, ReadModel
from diptych.read.parking import count, key_id
from diptych.read.recalling import recalled
from diptych.read.schema import BUILDING, PARKED_EVENTS, PARKED_KEYS, REVISIONS, SERVING


@dataclass(frozen=True, slots=True)
class ParkedKey:
    """A key whose events are set aside, from `first_position` on.

    `position`, `event_type`, `kind` (a `FailureKind`) and `error` are those of the last attempt to
    apply them, of `attempts`, at `tried_at`.
    """

    view: str
    revision: int
    partition: int
    tenant: str
    key: str
    first_position: int
    last_position: int
    events: int
    kind: str
    event_type: str
    position: int
    error: str
    attempts: int
    parked_at: datetime
    tried_at: datetime


@dataclass(frozen=True, slots=True)
class ParkedEvent:
    """One event that is set aside; what it says is in the log."""

    position: int
    stream: str
    version: int
    type: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class ParkedDetails:
    """A parked key and its events, in order."""

    parked: ParkedKey
    events: tuple[ParkedEvent, ...]


class Lot:
    """What is parked of one view, or group of views, in the revision that this code reads."""

    def __init__(self, model: ReadModel, revision: int, means: Means) -> None:
        self.model, self.revision, self.means = model, revision, means
        self.bound: Bound = model.bind(revision, means.database.dialect)
        self.root = root_of(self.bound)
        self.text = None if self.root is None else KeyText(self.root.layout, self.root.table)

    def stored_key(self, key: object) -> str:
        """Raises: InvalidInput; NotParked: there are no keys."""
        if self.text is None:
            raise NotParked(self.model.name)
        return self.text.stored(self.text.given(key))

    async def rows(self, reading: Snapshot | Transaction) -> Sequence[Any]:
        """All of them, in the order in which they were parked."""
        columns = PARKED_KEYS.c
        statement = sa.select(PARKED_KEYS).where(columns.revision == self.revision)
        return await reading.execute(statement.order_by(columns.first_position, columns.key_id))

    async def row(self, reading: Snapshot | Transaction, *, tenant: str, stored: str) -> Any:
        """Raises: NotParked."""
        columns = PARKED_KEYS.c
        mine = (columns.revision == self.revision, columns.key_id == key_id(tenant, stored))
        rows = await reading.execute(sa.select(PARKED_KEYS).where(*mine))
        if not rows:
            raise NotParked(self.model.name)
        return rows[0]

    async def positions(self, reading: Snapshot | Transaction, row: Any) -> list[int]:
        columns = PARKED_EVENTS.c
        rows = await reading.execute(
            sa.select(columns.position)
            .where(columns.revision == self.revision, columns.key_id == row.key_id)
            .order_by(columns.position)
        )
        return [each.position for each in rows]

    async def events(self, positions: Sequence[int], *, tenant: str) -> list[RecordedEvent]:
        """From the log. Raises: HistoryDiverged: it does not have them."""
        store = self.means.store
        return await recalled(positions, tenant=tenant, model=self.model, store=store)

    def slot(self, row: Any) -> Slot:
        return Slot(self.model.name, self.revision, row.partition)

    async def hold(self, row: Any, tx: Transaction) -> Checkpoint:
        """The checkpoint of a key, until the transaction ends.

        Raises: ViewChanging: a rebuild was flipped, and this is not what is read any more.
        """
        checkpoint = await act(tx, self.slot(row))
        columns = REVISIONS.c
        found = await tx.execute(sa.select(columns.status).where(columns.id == self.revision))
        if checkpoint is None or not found or found[0].status not in {BUILDING, SERVING}:
            raise ViewChanging(self.model.name)
        return checkpoint

    async def let_go(self, row: Any, tx: Transaction) -> None:
        """Of a key, whose checkpoint is held: it is not parked any more."""
        keys, events = PARKED_KEYS.c, PARKED_EVENTS.c
        mine = (keys.revision == self.revision, keys.key_id == row.key_id)
        found = await tx.execute(sa.delete(PARKED_KEYS).where(*mine).returning(keys.events))
        theirs = (events.revision == self.revision, events.key_id == row.key_id)
        await tx.execute(sa.delete(PARKED_EVENTS).where(*theirs))
        await count(tx, self.slot(row), keys=-1, events=-found[0].events)

    def shown(self, row: Any) -> ParkedKey:
        return ParkedKey(
            view=self.model.name,
            revision=self.revision,
            partition=row.partition,
            tenant=row.tenant,
            key=row.key if self.text is None else self.text.shown(row.key),
            first_position=row.first_position,
            last_position=row.last_position,
            events=row.events,
            kind=row.error_class,
            event_type=row.error_type,
            position=row.error_position,
            error=row.error,
            attempts=row.attempts,
            parked_at=datetime.fromisoformat(row.parked_at),
            tried_at=datetime.fromisoformat(row.tried_at),
        )


async def lot_of(model: ReadModel, means: Means) -> Lot | None:
    """None if this code has no revision yet."""
    async with means.database.snapshot([model.wanted], projecting=True) as snapshot:
        standing = snapshot.standings.get(model.wanted)
    return None if standing is None else Lot(model, standing.revision, means)


async def existing_lot(model: ReadModel, means: Means) -> Lot:
    """Raises: NotParked: this code has no revision yet, so nothing is."""
    lot = await lot_of(model, means)
    if lot is None:
        raise NotParked(model.name)
    return lot


async def parked(model: ReadModel, means: Means) -> tuple[ParkedKey, ...]:
    lot = await lot_of(model, means)
    if lot is None:
        return ()
    async with means.database.snapshot(projecting=True) as snapshot:
        return tuple(map(lot.shown, await lot.rows(snapshot)))


async def parked_key(model: ReadModel, key: object, *, tenant: str, means: Means) -> ParkedDetails:
    """Raises: NotParked, InvalidInput; HistoryDiverged: the log does not have its events."""
    lot = await existing_lot(model, means)
    stored = lot.stored_key(key)
    async with means.database.snapshot(projecting=True) as snapshot:
        row = await lot.row(snapshot, tenant=tenant, stored=stored)
        positions = await lot.positions(snapshot, row)
    events = await lot.events(positions, tenant=tenant)
    return ParkedDetails(lot.shown(row), tuple(map(_event, events)))


def _event(event: RecordedEvent) -> ParkedEvent:
    return ParkedEvent(event.position, event.stream, event.version, event.type, event.recorded_at)
