"""Two projectors of one view: only the last that took over has any effect."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from diptych.clock import SystemClock
from diptych.failpoints import armed
from diptych.read.projector import Projector, Status, Target
from diptych.read.revision import register
from diptych.read.signal import CheckpointSignal
from diptych.read.sqlite.database import SqliteReadDatabase
from diptych.sqlite_library import sqlite
from diptych.store.contract import START, EventStore
from diptych.store.memory import MemoryEventStore
from diptych.testing.waiting import wait_until
from tests.integration.accounts import (
    Deposited,
    GetAccount,
    Opened,
    accounts,
    all_accounts,
    append,
    expected_accounts,
    head_token,
    reading,
)


@asynccontextmanager
async def another_process(
    store: EventStore, path: Path, *, patience: float = 5.0
) -> AsyncIterator[Projector]:
    """A projector with connections of its own, as in another process; not started yet."""
    database = SqliteReadDatabase(path)
    await database.open(log_id=store.log_id)
    clock = SystemClock()
    found = await register(
        [accounts], database=database, log_id=store.log_id, head=START, at=clock.now()
    )
    signal = CheckpointSignal(database.glance)
    yield Projector(
        Target(accounts, found[accounts.name], 0),
        store=store,
        database=database,
        signal=signal,
        clock=clock,
        patience=patience,
    )
    await signal.close()
    await database.close()


@asynccontextmanager
async def running(projector: Projector) -> AsyncIterator[None]:
    task = asyncio.create_task(projector.run())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_who_was_superseded_changes_nothing_and_stands_by(
    store: MemoryEventStore, tmp_path: Path
) -> None:
    path = tmp_path / "read.db"
    account_id = uuid4()
    await append(store, Opened(account_id, "Ann"))
    async with (
        another_process(store, path) as zombie,
        another_process(store, path) as heir,
        running(zombie),
    ):
        await wait_until(lambda: zombie.point.position == 1)
        async with running(heir):
            await wait_until(lambda: heir.status is Status.RUNNING)
            for _ in range(20):
                await append(store, Deposited(account_id, 1))
            await wait_until(lambda: heir.point.position == 21)
            await wait_until(lambda: zombie.status is Status.STANDING_BY)
    async with reading(store, path=path) as side:
        assert await all_accounts(side) == await expected_accounts(store)


async def test_a_projector_that_slept_through_a_takeover_rolls_its_batch_back(
    store: MemoryEventStore, tmp_path: Path
) -> None:
    """It read its page and its rows before the other took over: the checkpoint betrays it."""
    path = tmp_path / "read.db"
    account_id = uuid4()
    await append(store, Opened(account_id, "Ann"))
    async with another_process(store, path) as zombie, another_process(store, path) as heir:
        async with running(zombie):
            await wait_until(lambda: zombie.status is Status.RUNNING)
            epochs = Counter[str]()

            def taken_over() -> None:
                epochs["taken over"] += 1
                take_over_at_once(path)

            with armed("projector.after_read", taken_over):
                await append(store, Deposited(account_id, 1))
                await wait_until(lambda: zombie.status is Status.STANDING_BY)
            assert epochs["taken over"] == 1
        async with running(heir):
            await wait_until(lambda: heir.point.position == 2)
    async with reading(store, path=path) as side:
        row = await side.query(GetAccount(account_id), at_least=await head_token(store))
        assert row is not None
        assert row.deposits == 1


def take_over_at_once(path: Path) -> None:
    """What another process does, while this one is held at a failpoint."""
    db = sqlite.connect(path, isolation_level=None)
    db.execute("UPDATE diptych_checkpoints SET epoch = epoch + 1")
    db.close()


async def test_who_stands_by_takes_over_when_the_other_stands_still(
    store: MemoryEventStore, tmp_path: Path
) -> None:
    path = tmp_path / "read.db"
    account_id = uuid4()
    await append(store, Opened(account_id, "Ann"))
    async with another_process(store, path, patience=0.02) as first, running(first):
        await wait_until(lambda: first.status is Status.RUNNING)
        take_over_at_once(path)
        await append(store, Deposited(account_id, 1))
        await wait_until(lambda: first.point.position == 2)
        assert first.status is Status.RUNNING


async def test_two_read_sides_on_one_file_both_answer_with_tokens(
    store: MemoryEventStore, tmp_path: Path
) -> None:
    """One of them projects; the other sees its commits through the file."""
    path = tmp_path / "read.db"
    account_id = uuid4()
    async with reading(store, path=path) as one, reading(store, path=path) as other:
        for count in range(1, 20):
            event = Deposited(account_id, 1) if count > 1 else Opened(account_id, "Ann")
            token = await append(store, event)
            for side in (one, other):
                row = await side.query(GetAccount(account_id), at_least=token)
                assert row is not None
                assert row.deposits == count - 1


@pytest.mark.parametrize("round_", range(3))
async def test_projectors_that_supersede_each_other_end_in_the_same_rows(
    store: MemoryEventStore, tmp_path: Path, round_: int
) -> None:
    path = tmp_path / "read.db"
    ids = [uuid4() for _ in range(10)]
    await append(store, Opened(ids[0], "0"))
    async with (
        another_process(store, path, patience=0.005) as one,
        another_process(store, path, patience=0.005) as other,
        running(one),
        running(other),
    ):
        for index, account_id in enumerate(ids[1:], 1):
            await append(store, Opened(account_id, str(index)))
            await append(store, Deposited(account_id, index))
            if index % 3 == 0:
                take_over_at_once(path)
        head = (await store.head()).position
        await wait_until(lambda: max(one.point.position, other.point.position) == head)
    async with reading(store, path=path) as side:
        assert await all_accounts(side) == await expected_accounts(store)
