"""Revisions: the tables that one fingerprint of a view built, and the registry of them.

A revision is found by view and fingerprint, so that old and new code work side by side: each
process projects into, and reads, the revision of its own code. New code finds none, creates its
tables beside the old ones and is not ready until they have caught up; going back to the old code
finds the old revision, which catches up and serves. Nothing is altered or renamed, ever.

A rebuild makes a second revision of one fingerprint beside the one that serves, and then lets it
serve in its place (`diptych.read.rebuild`).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple, Self
from uuid import UUID

import sqlalchemy as sa

from diptych.errors import RebuildRequired
from diptych.failpoints import failpoint
from diptych.read.database import ReadDatabase, Slot, Snapshot, Transaction, Wanted
from diptych.read.model import ReadModel
from diptych.read.schema import (
    BUILDING,
    CHECKPOINTS,
    FIRST,
    REBUILD,
    REVISIONS,
    RUNNING,
    SERVING,
)
from diptych.store.contract import Point


class Registered(NamedTuple):
    """A revision, and whether it serves."""

    revision: int
    serving: bool


@dataclass(frozen=True, slots=True)
class Target:
    """A model, the revision that it is projected into, and from where on that one serves."""

    model: ReadModel
    revision: int
    serves_from: int

    @property
    def slots(self) -> tuple[Slot, ...]:
        return slots_of(self.model, self.revision)

    def at(self, revision: int) -> Self:
        """The same where another revision serves: that one was complete when it began to."""
        return (
            self if revision == self.revision else replace(self, revision=revision, serves_from=0)
        )


def slots_of(model: ReadModel, revision: int) -> tuple[Slot, ...]:
    return tuple(Slot(model.name, revision, part) for part in range(model.partitions))


async def register(
    models: Sequence[ReadModel],
    *,
    database: ReadDatabase,
    log_id: UUID,
    head: Point,
    at: datetime,
    operating: bool = False,
) -> dict[str, int]:
    """The revision of each view for this code, made with its tables where there is none.

    On an empty log a new revision serves at once. Who is `operating` is let in though a view must
    be rebuilt first.

    Raises: RebuildRequired: a view is not complete for this code, and has `rebuild="never"`.
    """
    found: dict[str, int] = {}
    status = SERVING if head == Point(0) else BUILDING
    for model in models:
        async with database.transaction(exclusive=True) as tx:
            known = (await registry(tx)).get(model.wanted)
            serving = known.serving if known else status == SERVING
            if model.rebuild == "never" and not (serving or operating):
                raise RebuildRequired(model.name)
            if known is None:
                made = New(model, status=status, kind=FIRST, log_id=log_id, at=at)
                known = Registered(await made.insert(tx, database.dialect), serving)
                failpoint("register.before_commit")
            found[model.name] = known.revision
    return found


async def registry(reading: Snapshot | Transaction) -> Mapping[Wanted, Registered]:
    """What each fingerprint is projected into: the revision that serves, else the newest that is
    being built. One that is built to replace another is nobody's business until it does."""
    columns = REVISIONS.c
    rows = await reading.execute(
        sa.select(columns.view, columns.fingerprint, columns.id, columns.status)
        .where(
            sa.or_(
                columns.status == SERVING,
                sa.and_(columns.status == BUILDING, columns.kind == FIRST),
            )
        )
        .order_by(columns.status == SERVING, columns.id)
    )
    return _by_wanted(rows)


def _by_wanted(rows: Iterable[sa.Row[Any]]) -> Mapping[Wanted, Registered]:
    """The last one of each counts."""
    return {
        Wanted(row.view, row.fingerprint): Registered(row.id, row.status == SERVING) for row in rows
    }


@dataclass(frozen=True, slots=True)
class New:
    """A revision that is to be made."""

    model: ReadModel
    status: str
    kind: str
    log_id: UUID
    at: datetime

    async def insert(self, tx: Transaction, dialect: sa.Dialect) -> int:
        """Make it with its tables and checkpoints, in an exclusive transaction; its number."""
        revision = await self._insert(tx)
        bound = self.model.bind(revision, dialect)
        await bound.create(tx)
        await tx.execute(
            sa.update(REVISIONS)
            .where(REVISIONS.c.id == revision)
            .values(tables=json.dumps(list(bound.tables)))
        )
        for slot in slots_of(self.model, revision):
            checkpoint = {"position": 0, "log_id": self.log_id, "epoch": 0, "status": RUNNING}
            await tx.execute(sa.insert(CHECKPOINTS).values(**slot._asdict(), **checkpoint))
        return revision

    async def _insert(self, tx: Transaction) -> int:
        at = self.at.isoformat()
        rows = await tx.execute(
            sa.insert(REVISIONS)
            .values(
                view=self.model.name,
                fingerprint=self.model.fingerprint,
                status=self.status,
                tables="[]",
                created_at=at,
                kind=self.kind,
                served_at=at if self.status == SERVING else None,
            )
            .returning(REVISIONS.c.id)
        )
        revision: int = rows[0].id
        return revision


async def let_serve(tx: Transaction, revision: int, *, serves_from: int, at: datetime) -> bool:
    """A revision serves once all its partitions have caught up; whether this one does.

    The last two partitions may get there at one time, and do not see each other's checkpoints:
    so they do this one after the other. What is built to replace another does not begin by itself.
    """
    mine = REVISIONS.c.id == revision
    columns = (REVISIONS.c.status, REVISIONS.c.kind)
    found = await tx.execute(sa.select(*columns).where(mine).with_for_update())
    if found[0].status != BUILDING or found[0].kind == REBUILD:
        return True
    least = sa.select(sa.func.min(CHECKPOINTS.c.position).label("position"))
    rows = await tx.execute(least.where(CHECKPOINTS.c.revision == revision))
    if rows[0].position < serves_from:
        return False
    served = {"status": SERVING, "served_at": at.isoformat()}
    await tx.execute(sa.update(REVISIONS).where(mine).values(**served))
    return True
