"""Rebuilds at full speed, where a page is prepared while the one before is written: whatever the
size of pages and wherever it is broken off, the rows are those of an independent fold."""

import asyncio
import gc
import random
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from diptych.failpoints import FailpointError, armed, fail
from diptych.operations import Operations
from diptych.read import filling, recent, throttle
from diptych.read.sqlite import database as sqlite_database
from diptych.read.sqlite.connection import Connection
from diptych.read.sqlite.database import SqliteReadDatabase
from diptych.store.contract import EventStore, LogPage, Point
from diptych.store.memory import MemoryEventStore
from tests.integration.accounts import (
    Deposited,
    Opened,
    account_view,
    append,
    head_token,
    labels,
    reading,
)
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
from tests.integration.rebuilds import Live, operator
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
    monkeypatch.setattr(filling, "_LONGEST", chance.choice((0.0, 0.005, 100.0)))
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


async def test_the_others_of_a_group_go_on_behind_the_page_that_was_committed_meanwhile(
    store: MemoryEventStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One fails at the third page while the commit of the second is under way."""
    monkeypatch.setattr(throttle, "_FULL_SPEED", 10)
    ids = [UUID(int=n, version=4) for n in range(1, 31)]
    await append(store, *(Opened(account_id, "Ann") for account_id in ids[:20]))
    await append(store, Deposited(ids[0], -1), *(Opened(each, "Ann") for each in ids[20:]))
    committing, commit, read = asyncio.Event(), Connection.commit, store.read

    def slow(connection: Connection) -> None:
        if committing.is_set():
            time.sleep(0.1)
        commit(connection)

    async def read_while_committing(*, after: Point, **scope: Any) -> LogPage:
        if after.position == 20:
            await committing.wait()
        return await read(after=after, **scope)

    monkeypatch.setattr(sqlite_database, "_CHANGES_TO_COMMIT", 0)  # so each is in a thread
    monkeypatch.setattr(Connection, "commit", slow)
    monkeypatch.setattr(store, "read", read_while_committing)
    models = [labels, account_view(on_error="park")]
    database = SqliteReadDatabase(tmp_path / "read.db")
    async with operator(store, database, models=models, queries=[]) as operations:
        with armed("rebuild.before_commit", committing.set, on=2):
            rebuilt = await operations.rebuild(["labels", "accounts"], full_speed=True)
    assert [(each.view, each.serving, each.parked) for each in rebuilt] == [
        ("labels", True, 0),
        ("accounts", True, 1),
    ]


async def test_a_throttled_rebuild_lets_garbage_be_collected_while_it_waits(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting: list[bool] = []

    async def pause(_: throttle.Throttle, **__: object) -> None:
        waiting.append(gc.isenabled())

    monkeypatch.setattr(throttle.Throttle, "pause", pause)
    monkeypatch.setattr(throttle.Throttle, "limit", 10)
    with armed("rebuild.before_write", lambda: waiting.append(gc.isenabled()), times=10**9):
        await live.operations.rebuild(["accounts"])
    assert len(waiting) > 20
    assert all(waiting)


@pytest.mark.parametrize(("longest", "least", "most"), [(0.0, 13, 100), (100.0, 1, 4)])
async def test_a_rebuild_at_full_speed_lets_it_be_collected_now_and_then(
    longest: float, least: int, most: int, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After ten pages, and after a second, if they take long."""
    monkeypatch.setattr(filling, "_LONGEST", longest)
    monkeypatch.setattr(throttle, "_FULL_SPEED", 10)
    let_go: list[None] = []
    enable = gc.enable
    monkeypatch.setattr(gc, "enable", lambda: (let_go.append(None), enable()))
    await live.operations.rebuild(["accounts"], full_speed=True)
    assert least <= len(let_go) <= most
