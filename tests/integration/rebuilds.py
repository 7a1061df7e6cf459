"""A view that is live in one process, and the operator in another who rebuilds it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import sqlalchemy as sa

from diptych.operations import Operations
from diptych.read.database import ReadDatabase
from diptych.read.schema import REVISIONS
from diptych.read.side import ReadSide
from diptych.store.contract import EventStore
from diptych.store.memory import MemoryEventStore
from tests.integration.accounts import Closed, Deposited, Opened, append, reading

TTL: Final = 1.5
"""A tenth of it is how soon a process follows; a slow machine is not silent for that long."""

LONG = timedelta(seconds=20)


@asynccontextmanager
async def process(
    store: EventStore, database: ReadDatabase, **options: Any
) -> AsyncGenerator[ReadSide]:
    async with reading(store, database=database, lease_ttl=TTL, **options) as side:
        yield side


@asynccontextmanager
async def operator(
    store: EventStore, database: ReadDatabase, **options: Any
) -> AsyncGenerator[Operations]:
    """Another process, that of an operator."""
    async with reading(store, database=database, operating=True, **options) as side:
        yield Operations(side)


async def some_accounts(store: EventStore, number: int = 30) -> list[UUID]:
    ids = [uuid4() for _ in range(number)]
    for account_id in ids:
        await append(store, Opened(account_id, "Ann"), *[Deposited(account_id, 2)] * 3)
    await append(store, Closed(ids[-1]))
    return ids


async def revisions(database: ReadDatabase) -> list[tuple[int, str]]:
    async with database.snapshot() as snapshot:
        rows = await snapshot.execute(
            sa.select(REVISIONS.c.id, REVISIONS.c.status).order_by(REVISIONS.c.id)
        )
    return [(row.id, row.status) for row in rows]


async def caught_up(side: ReadSide, store: EventStore) -> None:
    await side.reached((await store.head()).position, timeout=LONG)


@dataclass(frozen=True)
class Live:
    """Thirty accounts, one of them closed, in a view that has caught up."""

    store: MemoryEventStore
    ids: list[UUID]
    database: ReadDatabase
    side: ReadSide
    operations: Operations
