"""Views over views and sticky keys: after random logs, errors and restarts always the rows of an
independent fold, of all views at one place."""

import asyncio
import random
from pathlib import Path
from uuid import UUID

import pytest

from diptych.read.database import ReadDatabase
from diptych.read.postgres.database import PostgresReadDatabase
from diptych.read.sqlite.database import SqliteReadDatabase
from diptych.read.trying import _FIRST_PAUSE
from diptych.store.contract import EventStore
from diptych.testing.clock import FixedClock
from diptych.testing.redelivery import PagedLog
from tests.integration.accounts import Opened, append, head_token, reading
from tests.integration.owners import (
    GROUP,
    QUERIES,
    STICKY,
    GetTables,
    GetTurnovers,
    expected_tables,
    expected_turnovers,
    turnovers,
)
from tests.integration.test_projector_random import some_events, trouble
from tests.soak import SOAK

OWNERS = ("Ann", "Bea", "Cid")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diptych.read.trying._FIRST_PAUSE", _FIRST_PAUSE / 500)


async def write(log: PagedLog, chance: random.Random, ids: list[UUID]) -> None:
    for _ in range(chance.randrange(1, 12)):
        await append(log, *some_events(chance, ids))
        if chance.random() < 0.4:
            log.page_size = chance.choice([1, 2, 3, 5, 8, 40])
            await asyncio.sleep(0)


async def run(seed: int, database: ReadDatabase, log: PagedLog) -> None:
    chance = random.Random(seed)
    ids = [UUID(int=chance.getrandbits(128), version=4) for _ in range(4)]
    for account_id in ids:
        await append(log, Opened(account_id, chance.choice(OWNERS)))
    models, queries = [*GROUP, turnovers], [*QUERIES, *STICKY]
    for _ in range(2):
        async with reading(log, models=models, queries=queries, database=database):
            with trouble(chance):
                await write(log, chance, ids)
    await check(log, database)


async def check(log: EventStore, database: ReadDatabase) -> None:
    models, queries = [*GROUP, turnovers], [*QUERIES, *STICKY]
    async with reading(log, models=models, queries=queries, database=database) as side:
        token = await head_token(log)
        assert await side.query(GetTables(), at_least=token) == await expected_tables(log)
        found = await side.query(GetTurnovers(), at_least=token)
        assert found == await expected_turnovers(log)


@pytest.mark.soak
@pytest.mark.parametrize("first", range(0, 160 * SOAK, 20))
async def test_rows_equal_an_independent_fold(first: int, tmp_path: Path) -> None:
    for seed in range(first, first + 20):
        async with PagedLog(clock=FixedClock()) as log:
            await run(seed, SqliteReadDatabase(tmp_path / f"{seed}.db"), log)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10 * SOAK))
async def test_rows_equal_an_independent_fold_on_postgresql(seed: int, schema_url: str) -> None:
    async with PagedLog(clock=FixedClock()) as log:
        await run(seed, PostgresReadDatabase(schema_url), log)
