"""Which revisions there are, who uses them, and dropping those that nobody needs."""

import asyncio
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from diptych.errors import RevisionInUse, UnknownRevision
from diptych.failpoints import failpoint
from diptych.read.database import ReadDatabase, Snapshot, Transaction, Wanted
from diptych.read.revision import registry
from diptych.read.schema import (
    CHECKPOINTS,
    DROPPED,
    PARKED_EVENTS,
    PARKED_KEYS,
    READERS,
    RETIRED,
    RETRIES,
    REVISIONS,
    WORKERS,
    database_now,
)
from diptych.worker import is_gone

_LONGEST_QUERY: Final = 30.0
_LONGEST_NOTICE: Final = 3.0
_NOTICED: Final = 0.1
"""Seconds. A worker looks every half second which revisions serve."""


@dataclass(frozen=True, slots=True)
class TableSize:
    """`bytes` is with indexes on PostgreSQL; on SQLite it is about what the rows hold, estimated
    from some of them, and indexes come on top."""

    name: str
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class RevisionStatus:
    """One revision of a view.

    `status` is `building`, `serving`, `retired`, or `dropped` if dropping it was cut off. `current`
    tells that this code reads it, `kind` if it was made by a `rebuild` or `first`. `users` are the
    processes (host/pid) that are alive and project it, or may, or answer from it.
    """

    view: str
    revision: int
    fingerprint: str
    status: str
    kind: str
    current: bool
    position: int
    parked: int
    tables: tuple[TableSize, ...]
    users: tuple[str, ...]
    created_at: datetime
    served_at: datetime | None
    verified_at: datetime | None
    retired_at: datetime | None

    @property
    def rows(self) -> int:
        """Of its first table, which is the view's."""
        return self.tables[0].rows if self.tables else 0

    @property
    def bytes(self) -> int:
        return sum(each.bytes for each in self.tables)


async def revisions(
    ours: Collection[Wanted], *, database: ReadDatabase
) -> tuple[RevisionStatus, ...]:
    """All that there are, of this code (`ours`) and of any other, by view and age.

    Raises: StoreError.
    """
    async with database.snapshot(projecting=True) as snapshot:
        known, users = await registry(snapshot), await _users(snapshot)
        current = {known[each].revision for each in ours if each in known}
        rows = await snapshot.execute(_select())
        return tuple([await _status(snapshot, row, users, current) for row in rows])


def _select() -> sa.Select[Any]:
    columns = CHECKPOINTS.c
    of_it = columns.revision == REVISIONS.c.id
    return (
        sa.select(
            REVISIONS,
            sa.func.coalesce(sa.func.min(columns.position), 0).label("position"),
            sa.func.coalesce(sa.func.sum(columns.parked_keys), 0).label("parked"),
        )
        .outerjoin_from(REVISIONS, CHECKPOINTS, of_it)
        .group_by(*REVISIONS.c)
        .order_by(REVISIONS.c.view, REVISIONS.c.id)
    )


async def _status(
    snapshot: Snapshot, row: sa.Row[Any], users: Mapping[int, Sequence[str]], current: set[int]
) -> RevisionStatus:
    names: list[str] = json.loads(row.tables)
    return RevisionStatus(
        view=row.view,
        revision=row.id,
        fingerprint=row.fingerprint,
        status=row.status,
        kind=row.kind,
        current=row.id in current,
        position=row.position,
        parked=int(row.parked),
        tables=tuple([await _size(snapshot, name) for name in names]),
        users=tuple(users.get(row.id, ())),
        created_at=datetime.fromisoformat(row.created_at),
        served_at=_time(row.served_at),
        verified_at=_time(row.verified_at),
        retired_at=_time(row.retired_at),
    )


async def _size(snapshot: Snapshot, name: str) -> TableSize:
    counting = sa.select(sa.func.count().label("rows")).select_from(sa.table(name))
    (counted,) = await snapshot.execute(counting)
    return TableSize(name, counted.rows, await snapshot.bytes_of(name, rows=counted.rows))


async def _users(reading: Snapshot | Transaction) -> Mapping[int, Sequence[str]]:
    """By revision, the processes that are alive and hold it, or could; or answer from it."""
    held = await reading.execute(sa.select(CHECKPOINTS.c.revision, CHECKPOINTS.c.holder))
    found: dict[int, list[str]] = {}
    for table in (WORKERS, READERS):
        alive = sa.select(table).where(table.c.alive_until > database_now()).order_by(table.c.name)
        for worker in await reading.execute(alive):
            if not is_gone(worker.process):
                holds = {row.revision for row in held if row.holder == worker.id}
                for revision in {*json.loads(worker.revisions), *holds}:
                    found.setdefault(revision, []).append(worker.name)
    return found


async def drop_revision(revision: int, ours: Collection[Wanted], *, database: ReadDatabase) -> None:
    """Delete the tables of a revision that nobody needs, and what is known of it.

    First it is hidden from queries; then, where tables could go away under a query that has begun,
    those are waited for. If that is cut off, it can be dropped again.

    Raises:
        UnknownRevision: there is none with this number.
        RevisionInUse: this code reads it, or a process that is alive projects, builds or reads it,
            or a query that has begun half a minute ago may still read it.
        StoreError.
    """
    view = await _hide(revision, ours, database=database)
    failpoint("drop.hidden")
    if not await database.queries_ended(seconds=_LONGEST_QUERY):
        reason = "a query that has begun before may still read it"
        raise RevisionInUse(revision, view=view, reason=reason)
    async with database.transaction(exclusive=True) as tx:
        await _drop(tx, revision)
        failpoint("drop.before_commit")


async def _hide(revision: int, ours: Collection[Wanted], *, database: ReadDatabase) -> str:
    """The name of its view. Who still projects what was retired just now is about to notice."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _LONGEST_NOTICE
    while True:
        async with database.transaction(exclusive=True) as tx:
            mine = REVISIONS.c.id == revision
            rows = await tx.execute(sa.select(REVISIONS.c.view, REVISIONS.c.status).where(mine))
            if not rows:
                raise UnknownRevision(revision)
            try:
                await _refuse_needed(tx, rows[0].view, revision, ours)
            except RevisionInUse:
                if rows[0].status != RETIRED or loop.time() > deadline:
                    raise
            else:
                await tx.execute(sa.update(REVISIONS).where(mine).values(status=DROPPED))
                view: str = rows[0].view
                return view
        await asyncio.sleep(_NOTICED)


async def _refuse_needed(
    tx: Transaction, view: str, revision: int, ours: Collection[Wanted]
) -> None:
    for wanted, known in (await registry(tx)).items():
        if wanted in ours and known.revision == revision:
            reason = "it serves" if known.serving else "this code is to build it"
            raise RevisionInUse(revision, view=view, reason=reason)
    users = (await _users(tx)).get(revision)
    if users:
        raise RevisionInUse(revision, view=view, reason=f"{', '.join(users)} uses it")


async def _drop(tx: Transaction, revision: int) -> None:
    rows = await tx.execute(sa.select(REVISIONS.c.tables).where(REVISIONS.c.id == revision))
    if not rows:
        return  # another was faster
    for name in json.loads(rows[0].tables):
        await tx.drop(name)
    for table in (RETRIES, PARKED_EVENTS, PARKED_KEYS, CHECKPOINTS):
        await tx.execute(sa.delete(table).where(table.c.revision == revision))
    await tx.execute(sa.delete(REVISIONS).where(REVISIONS.c.id == revision))


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
