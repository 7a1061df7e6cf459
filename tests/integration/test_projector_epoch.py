"""Two projectors of one view: only the last that took over has any effect."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
import sqlalchemy as sa

from diptych.clock import SystemClock
from diptych.read.bound_view import BoundView
from diptych.read.checkpoint import Word
from diptych.read.database import Checkpoint, ReadDatabase
from diptych.read.failure import Failure, FailureKind
from diptych.read.hold import Superseded
from diptych.read.model import Unapplied
from diptych.read.projector import Projector, Status
from diptych.read.revision import Target, register
from diptych.read.schema import CHECKPOINTS
from diptych.read.signal import CheckpointSignal
from diptych.store.contract import START, EventStore, LogPage
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
from tests.integration.conftest import AnyDatabase


@asynccontextmanager
async def another_process(store: EventStore, database: ReadDatabase) -> AsyncIterator[Projector]:
    """A projector with connections of its own, as in another process; not started yet."""
    await database.open(log_id=store.log_id)
    clock = SystemClock()
    found = await register(
        [accounts], database=database, log_id=store.log_id, head=START, at=clock.now()
    )
    signal = CheckpointSignal(database.glance)
    target = Target(accounts, found[accounts.name], 0)
    yield Projector(
        target,
        target.slots[0],
        holder=clock.new_id().hex,
        store=store,
        database=database,
        signal=signal,
        clock=clock,
    )
    await signal.close()
    await database.close()


@asynccontextmanager
async def running(projector: Projector) -> AsyncIterator[None]:
    """It holds the slot, whoever held it before: nothing here waits for a lease to expire."""
    await hand_to(projector)
    task = asyncio.create_task(projector.run())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def hand_to(projector: Projector) -> None:
    async with projector._database.transaction() as tx:
        await tx.execute(sa.update(CHECKPOINTS).values(holder=projector._hold._holder))


async def test_who_was_superseded_changes_nothing_and_ends(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    account_id = uuid4()
    await append(store, Opened(account_id, "Ann"))
    async with (
        another_process(store, any_database()) as zombie,
        another_process(store, any_database()) as heir,
        running(zombie),
    ):
        await wait_until(lambda: zombie.point.position == 1)
        async with running(heir):
            await wait_until(lambda: heir.status is Status.RUNNING)
            for _ in range(20):
                await append(store, Deposited(account_id, 1))
            await wait_until(lambda: heir.point.position == 21)
            await wait_until(lambda: zombie.status is Status.STANDING_BY)
    async with reading(store, database=any_database()) as side:
        assert await all_accounts(side) == await expected_accounts(store)


@pytest.mark.parametrize("heir_is_done", [False, True])
async def test_a_projector_that_slept_through_a_takeover_rolls_its_page_back(
    store: MemoryEventStore, any_database: AnyDatabase, heir_is_done: bool
) -> None:
    """It has read its page before the other takes over: the checkpoint betrays it."""
    account_id = uuid4()
    await append(store, Opened(account_id, "Ann"), Deposited(account_id, 1))
    async with (
        another_process(store, any_database()) as zombie,
        another_process(store, any_database()) as heir,
    ):
        await hand_to(zombie)
        checkpoint = await zombie._take_over()
        page = await zombie._read(checkpoint)
        await hand_to(heir)
        taken = await heir._take_over()
        if heir_is_done:
            await heir._finish(page, taken)
        with pytest.raises(Superseded):
            await zombie._finish(page, checkpoint)
        with pytest.raises(Superseded):
            await zombie._take_over()
        async with running(heir):
            await wait_until(lambda: heir.point.position == 2)
    async with reading(store, database=any_database()) as side:
        row = await side.query(GetAccount(account_id), at_least=await head_token(store))
        assert row is not None
        assert row.deposits == 1


@pytest.mark.parametrize("rule_fails", [False, True])
async def test_what_the_rows_of_the_heir_make_of_a_page_is_not_told(
    store: MemoryEventStore,
    any_database: AnyDatabase,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    rule_fails: bool,
) -> None:
    """To a zombie a page seems to come again, or its rule cannot apply it: both are untrue."""
    account_id = uuid4()
    await append(store, Opened(account_id, "Ann"), Deposited(account_id, 1))
    async with (
        another_process(store, any_database()) as zombie,
        another_process(store, any_database()) as heir,
    ):
        read = zombie._read

        async def sleep_through_takeover(checkpoint: Checkpoint) -> LogPage:
            page = await read(checkpoint)
            await hand_to(heir)
            await heir._finish(page, await heir._take_over())
            if rule_fails:
                monkeypatch.setattr(BoundView, "_load", fail)
            return page

        async def fail(*_: object) -> None:
            raise Unapplied(1)

        monkeypatch.setattr(zombie, "_read", sleep_through_takeover)
        await hand_to(zombie)
        await zombie.run()
        assert (zombie.status, zombie.error) == (Status.STANDING_BY, "")
        assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


async def test_who_was_superseded_leaves_no_word_on_how_it_goes(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async with (
        another_process(store, any_database()) as zombie,
        another_process(store, any_database()) as heir,
    ):
        await hand_to(zombie)
        await zombie._take_over()
        await hand_to(heir)
        with pytest.raises(Superseded):
            await zombie._hold.say(Word("stopped", Failure(FailureKind.APPLY, "of old", 1)))
        async with heir._database.snapshot([accounts.wanted]) as snapshot:
            assert snapshot.standings[accounts.wanted].stop is None


async def test_an_error_after_a_takeover_is_not_taken_for_one_of_the_rule(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    """A zombie may fail because of the rows that the heir wrote: it says nothing about it."""
    await append(store, Opened(uuid4(), "Ann"))
    async with (
        another_process(store, any_database()) as zombie,
        another_process(store, any_database()) as heir,
    ):
        await hand_to(zombie)
        await zombie._take_over()
        async with running(heir):
            await wait_until(lambda: heir.point.position == 1)
        failure = Failure(FailureKind.APPLY, "of old", 1)
        with pytest.raises(Superseded):
            await zombie._stop(failure, Unapplied(1))
        assert zombie.stopped is None
        async with heir._database.snapshot([accounts.wanted]) as snapshot:
            assert snapshot.standings[accounts.wanted].stop is None


async def test_two_read_sides_on_one_database_both_answer_with_tokens(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    """One of them projects; the other sees its commits through the database."""
    account_id = uuid4()
    async with (
        reading(store, database=any_database()) as one,
        reading(store, database=any_database()) as other,
    ):
        for count in range(1, 20):
            event = Deposited(account_id, 1) if count > 1 else Opened(account_id, "Ann")
            token = await append(store, event)
            for side in (one, other):
                row = await side.query(GetAccount(account_id), at_least=token)
                assert row is not None
                assert row.deposits == count - 1
