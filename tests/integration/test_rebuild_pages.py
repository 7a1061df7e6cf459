"""Rebuilds at full speed, where a page is prepared while the one before is written: whatever the
size of pages and wherever it is broken off, the rows are those of an independent fold."""

import random
from contextlib import suppress
from uuid import UUID

import pytest

from diptych.failpoints import FailpointError, armed, fail
from diptych.operations import Operations
from diptych.read import filling, recent, throttle
from diptych.store.contract import EventStore
from diptych.store.memory import MemoryEventStore
from tests.integration.accounts import Opened, append, head_token, reading
from tests.integration.conftest import AnyDatabase
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
from tests.integration.test_projector_random import some_events
from tests.soak import SOAK

POINTS = ("rebuild.after_read", "rebuild.before_write", "rebuild.before_commit")
PARTS = {"models": [*GROUP, turnovers], "queries": [*QUERIES, *STICKY]}


async def some_log(store: EventStore, chance: random.Random) -> None:
    ids = [UUID(int=chance.getrandbits(128), version=4) for _ in range(6)]
    for account_id in ids:
        await append(store, Opened(account_id, chance.choice(("Ann", "Bea", "Cid"))))
    for _ in range(30):
        await append(store, *some_events(chance, ids))


@pytest.mark.parametrize("seed", range(8 * SOAK))
async def test_rows_equal_an_independent_fold(
    seed: int,
    store: MemoryEventStore,
    any_database: AnyDatabase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr(throttle, "_FULL_SPEED", chance.choice((1, 2, 3, 7, 20)))
    monkeypatch.setattr(filling, "_STRETCH", chance.choice((1, 2, 3, 100)))
    monkeypatch.setattr(recent, "_MANY", chance.choice((0, 1, 3, 1_000)))
    await some_log(store, chance)
    async with reading(store, database=any_database(), **PARTS) as side:  # type: ignore[arg-type]
        operations = Operations(side)
        token = await head_token(store)
        for query in (GetTables(), GetTurnovers()):  # until then its projector builds it
            await side.query(query, at_least=token)
        with (
            suppress(FailpointError),
            armed(chance.choice(POINTS), fail, on=chance.randrange(1, 20)),
        ):
            await operations.rebuild(["accounts", "turnovers"], full_speed=True)
        rebuilt = await operations.rebuild(["accounts", "turnovers"], full_speed=True)
        assert [each.serving for each in rebuilt] == [True, True]
        assert await side.query(GetTables(), at_least=token) == await expected_tables(store)
        assert await side.query(GetTurnovers(), at_least=token) == await expected_turnovers(store)
