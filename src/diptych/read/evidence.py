"""What is written in a read database about one view: the evidence for `why`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from diptych.read.database import Snapshot
from diptych.read.schema import BUILDING, CHECKPOINTS, REVISIONS, VIEWS, WORKERS, database_now

_LEFT: Final = (WORKERS.c.alive_until - database_now()).label("left")


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a slot. `left` is for how many seconds it is still taken to be alive; less than
    nothing means that it has said nothing for longer than that. `process` is for `state_of`."""

    name: str
    process: str
    left: float


@dataclass(frozen=True, slots=True)
class Part:
    """The checkpoint of one partition."""

    partition: int
    position: int
    status: str
    error: str
    error_position: int | None
    error_class: str
    error_type: str
    attempts: int
    parked_keys: int
    parked_events: int
    holder: Holder | None


@dataclass(frozen=True, slots=True)
class Beside:
    """A rebuild: how far it is, and who builds it; nobody if that one is not alive any more."""

    revision: int
    position: int
    builder: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """One look at a view in one revision.

    `able` are the workers that are alive and have this code, `others` those that have other code.
    `beside` is a revision of the same code that is built to serve instead of this one.
    """

    view: str
    revision: int
    complete: bool
    tables: Sequence[str]
    parts: Sequence[Part]
    paused_at: str
    paused_reason: str
    able: Sequence[Holder]
    others: Sequence[Holder]
    beside: Beside | None

    @property
    def position(self) -> int:
        return min((part.position for part in self.parts), default=0)

    @property
    def last(self) -> Part:
        """The partition that is least far."""
        return min(self.parts, key=lambda part: part.position)


async def evidence(snapshot: Snapshot, *, view: str, revision: int) -> Evidence:
    """Read it all, in one snapshot."""
    (row,) = await snapshot.execute(
        sa.select(REVISIONS.c.status, REVISIONS.c.fingerprint, REVISIONS.c.tables).where(
            REVISIONS.c.id == revision
        )
    )
    able, others = await _workers(snapshot, revision)
    paused_at, paused_reason = await _pause(snapshot, view)
    return Evidence(
        view,
        revision,
        row.status != BUILDING,
        json.loads(row.tables),
        await _parts(snapshot, revision),
        paused_at,
        paused_reason,
        able,
        others,
        await _beside(snapshot, view, row.fingerprint, revision),
    )


async def _parts(snapshot: Snapshot, revision: int) -> Sequence[Part]:
    columns = CHECKPOINTS.c
    statement = (
        sa.select(
            *(columns.partition, columns.position, columns.status, columns.error),
            *(columns.error_position, columns.error_class, columns.error_type, columns.attempts),
            *(columns.parked_keys, columns.parked_events, columns.holder),
            *(WORKERS.c.name, WORKERS.c.process, _LEFT),
        )
        .outerjoin_from(CHECKPOINTS, WORKERS, WORKERS.c.id == columns.holder)
        .where(columns.revision == revision)
        .order_by(columns.partition)
    )
    return [_part(row) for row in await snapshot.execute(statement)]


def _part(row: sa.Row[Any]) -> Part:
    return Part(
        row.partition,
        row.position,
        row.status,
        row.error or "",
        row.error_position,
        row.error_class or "",
        row.error_type or "",
        row.attempts,
        row.parked_keys,
        row.parked_events,
        Holder(row.name, row.process, row.left) if row.name is not None else None,
    )


async def _workers(snapshot: Snapshot, revision: int) -> tuple[Sequence[Holder], Sequence[Holder]]:
    columns = WORKERS.c
    alive = sa.select(columns.name, columns.process, columns.revisions, _LEFT).where(_LEFT > 0)
    able: list[Holder] = []
    others: list[Holder] = []
    for row in await snapshot.execute(alive.order_by(columns.name)):
        knows = revision in json.loads(row.revisions)
        (able if knows else others).append(Holder(row.name, row.process, row.left))
    return able, others


async def _pause(snapshot: Snapshot, view: str) -> tuple[str, str]:
    statement = sa.select(VIEWS.c.paused_at, VIEWS.c.paused_reason).where(VIEWS.c.view == view)
    for row in await snapshot.execute(statement):
        return row.paused_at or "", row.paused_reason or ""
    return "", ""


async def _beside(snapshot: Snapshot, view: str, fingerprint: str, revision: int) -> Beside | None:
    """The newest."""
    columns = REVISIONS.c
    alive = sa.and_(WORKERS.c.id == CHECKPOINTS.c.holder, _LEFT > 0)
    statement = (
        sa.select(columns.id, CHECKPOINTS.c.position, WORKERS.c.name)
        .select_from(
            REVISIONS.join(CHECKPOINTS, CHECKPOINTS.c.revision == columns.id).outerjoin(
                WORKERS, alive
            )
        )
        .where(
            columns.view == view,
            columns.fingerprint == fingerprint,
            columns.status == BUILDING,
            columns.id != revision,
        )
        .order_by(columns.id.desc(), CHECKPOINTS.c.position)
    )
    for row in await snapshot.execute(statement):
        return Beside(row.id, row.position, row.name or "")
    return None
