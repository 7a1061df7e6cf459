"""Watched queries whose views lag, are stopped, paused, parked or replaced: said, and mended."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from diptych.errors import CheckpointDiverged
from diptych.failpoints import armed, fail
from diptych.operations import Operations
from diptych.read.page import Page
from diptych.read.query import Query, answer
from diptych.read.rows import Rows
from diptych.read.side import ReadSide
from diptych.read.view import View
from diptych.store.memory import MemoryEventStore
from tests.integration.accounts import SOON, Account, Deposited, Opened, append, reading
from tests.integration.conftest import AnyDatabase
from tests.integration.live import balance, until, upcoming
from tests.integration.parked import parking_view
from tests.integration.test_checkpoint_diverged import restore

pytestmark = pytest.mark.usefixtures("often")
view = parking_view(max_lag=timedelta(milliseconds=200))
stopping = parking_view(on_error="stop", max_lag=timedelta(seconds=60))


@dataclass(frozen=True)
class Get(Query[Account | None]):
    account_id: UUID


@dataclass(frozen=True)
class List(Query[Page[Account]]):
    pass


@asynccontextmanager
async def watched_by(
    store: MemoryEventStore, database: AnyDatabase, view: View[Account] = view
) -> AsyncGenerator[tuple[ReadSide, UUID]]:
    """A read side with one account whose balance is 0."""

    async def get(query: Get, rows: Rows) -> Account | None:
        return await rows.get(view, query.account_id)

    async def page(query: List, rows: Rows) -> Page[Account]:
        return await rows.page(view)

    queries = [answer(Get, get, reads=[view]), answer(List, page, reads=[view])]
    account_id = uuid4()
    options = {"database": database(), "models": (view,), "queries": queries, "lease_ttl": 0.5}
    async with reading(store, **options) as side:  # type: ignore[arg-type]
        token = await append(store, Opened(account_id, "Ann"))
        await side.query(Get(account_id), at_least=token)
        yield side, account_id


async def test_a_view_that_lags_makes_answers_stale_until_it_is_there(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async with watched_by(store, any_database) as (side, account_id):
        watching = side.watch(Get(account_id))
        before = await upcoming(watching)
        with armed("projector.after_read", fail, times=10**9):
            token = await append(store, Deposited(account_id, 5))
            stale = await upcoming(watching)
            assert (stale.value, stale.stale) == (before.value, True)
            assert stale.as_of.position < token.position
        fresh = await upcoming(watching)
        assert (fresh.stale, fresh.token) == (False, token)
        assert fresh.value is not None
        assert fresh.value.balance == 5


async def test_a_token_that_is_not_met_in_time_gives_a_stale_answer_and_then_a_fresh_one(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async with watched_by(store, any_database) as (side, account_id):
        with armed("projector.after_read", fail, times=10**9):
            token = await append(store, Deposited(account_id, 5))
            watching = side.watch(Get(account_id), at_least=token, timeout=SOON)
            stale = await upcoming(watching)
            assert stale.stale
            assert stale.token == token  # who returns it must not get less later
        fresh = await upcoming(watching)
        assert (fresh.stale, fresh.token) == (False, token)


async def test_a_token_that_is_met_by_other_rows_makes_the_same_value_fresh(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async with watched_by(store, any_database) as (side, account_id):
        with armed("projector.after_read", fail, times=10**9):
            token = await append(store, Opened(uuid4(), "Bob"))
            watching = side.watch(Get(account_id), at_least=token, timeout=SOON)
            stale = await upcoming(watching)
            assert stale.stale
        fresh = await upcoming(watching)
        assert (fresh.stale, fresh.value) == (False, stale.value)


async def test_a_paused_view_is_stale_once_the_log_goes_on(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async with watched_by(store, any_database, stopping) as (side, account_id):
        watching, operator = side.watch(Get(account_id)), Operations(side)
        await upcoming(watching)
        await operator.pause("accounts")
        await append(store, Deposited(account_id, 5))
        stale = await upcoming(watching)
        assert (stale.stale, stale.value and stale.value.balance) == (True, 0)
        await operator.resume("accounts")
        fresh = await until(watching, lambda answer: not answer.stale)
        assert fresh.value is not None
        assert fresh.value.balance == 5


async def test_a_stopped_view_is_stale_long_before_its_max_lag(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async with watched_by(store, any_database, stopping) as (side, account_id):
        watching = side.watch(Get(account_id))
        await upcoming(watching)
        await append(store, Deposited(account_id, -1))
        assert (await upcoming(watching)).stale


async def test_what_is_parked_makes_its_own_watchers_stale_until_it_is_discarded(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async with watched_by(store, any_database) as (side, account_id):
        other = uuid4()
        await append(store, Opened(other, "Bob"))
        mine, page = side.watch(Get(account_id)), side.watch(List())
        others = side.watch(Get(other), at_least=await append(store, Deposited(other, 1)))
        assert [await balance(each) for each in (mine, others)] == [0, 1]
        await until(page, lambda answer: answer.value.total == 2)
        await append(store, Deposited(account_id, -1))
        assert (await until(mine, lambda answer: answer.stale)).value is not None
        await until(page, lambda answer: answer.stale)
        token = await append(store, Deposited(other, 1))
        seen = await until(others, lambda answer: answer.token == token)
        assert not seen.stale
        await Operations(side).discard("accounts", account_id, reason="a mistake")
        assert not (await until(mine, lambda answer: not answer.stale)).stale
        await until(page, lambda answer: not answer.stale)


async def test_a_rebuilt_view_is_shown_to_who_watches(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async with watched_by(store, any_database) as (side, account_id):
        table = view.bind(1, side._database.dialect).table.table
        async with side._database.transaction() as tx:
            await tx.execute(sa.update(table).values(balance=77))
        watching = side.watch(Get(account_id))
        assert await balance(watching) == 77
        await Operations(side).rebuild(["accounts"])
        assert await balance(watching) == 0
        await append(store, Deposited(account_id, 5))
        found = await until(watching, lambda answer: not answer.stale)
        assert found.value is not None
        assert found.value.balance == 5


async def test_rows_that_show_what_the_log_does_not_have_end_the_watching(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async with watched_by(store, any_database) as (side, account_id):
        token = await append(store, Deposited(account_id, 1))
        await append(store, Deposited(account_id, 2))
        watching = side.watch(Get(account_id), at_least=await append(store, Opened(uuid4(), "B")))
        await upcoming(watching)
        assert token.position == 2
        restore(store)
        await append(store, Deposited(account_id, 3))
        with pytest.raises(CheckpointDiverged):
            await until(watching, lambda answer: False)
