"""What queries answer while keys are parked or a view is paused: never too old, or they say so."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from diptych.errors import KeyParked, ViewPaused
from diptych.operations import Operations
from diptych.read.page import Page
from diptych.read.query import Query, answer
from diptych.read.rows import Rows
from diptych.read.side import ReadSide
from diptych.store.memory import MemoryEventStore
from diptych.tokens import Token
from tests.integration.accounts import Account, Deposited, Opened, append, reading
from tests.integration.conftest import AnyDatabase
from tests.integration.parked import parking_view

LONG = timedelta(seconds=60)
"""A query that waited for this long would fail the test by its own time-out."""

view = parking_view()


@dataclass(frozen=True)
class Get(Query[Account | None]):
    account_id: UUID


@dataclass(frozen=True)
class List(Query[Page[Account]]):
    search: str | None = None


@dataclass(frozen=True)
class Total(Query[int]):
    pass


async def get(query: Get, rows: Rows) -> Account | None:
    return await rows.get(view, query.account_id)


async def page(query: List, rows: Rows) -> Page[Account]:
    return await rows.page(view, search=query.search)


async def total(query: Total, rows: Rows) -> int:
    found = await rows.execute(sa.select(sa.func.sum(rows.table(view).c.balance)))
    return int(found[0][0] or 0)


QUERIES = [
    answer(Get, get, reads=[view]),
    answer(List, page, reads=[view]),
    answer(Total, total, reads=[view]),
]


@dataclass
class Shop:
    side: ReadSide
    ann: UUID
    bob: UUID
    before: Token
    poison: Token
    after: Token


@asynccontextmanager
async def shop(store: MemoryEventStore, any_database: AnyDatabase) -> AsyncIterator[Shop]:
    """Ann's account is parked at `poison`; Bob's got an event `after` that."""
    ann, bob = uuid4(), uuid4()
    async with reading(store, database=any_database(), models=[view], queries=QUERIES) as side:
        await append(store, Opened(ann, "Ann"), Deposited(ann, 1))
        before = await append(store, Opened(bob, "Bob"), Deposited(bob, 1))
        poison = await append(store, Deposited(ann, -1))
        after = await append(store, Deposited(bob, 10))
        await side.reached(after.position, timeout=timedelta(seconds=10))
        yield Shop(side, ann, bob, before, poison, after)


async def test_the_row_of_a_parked_key_is_refused_or_stale_at_once(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async with shop(store, any_database) as s:
        for token in (None, s.before, s.poison, s.after):
            with pytest.raises(KeyParked) as parked:
                await s.side.query(Get(s.ann), at_least=token, timeout=LONG)
            assert (parked.value.view, parked.value.position) == ("accounts", s.poison.position)
            stale = await s.side.ask(Get(s.ann), at_least=token, timeout=LONG, on_timeout="stale")
            assert stale.stale
            assert stale.value is not None
            assert stale.value.balance == 1
            assert stale.as_of.position == s.poison.position - 1
            assert stale.token == s.after  # bob's row was shown as it is there: never older


async def test_the_rows_of_other_keys_are_answered_as_ever(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async with shop(store, any_database) as s:
        found = await s.side.ask(Get(s.bob), at_least=s.after)
        assert found.value is not None
        assert found.value.balance == 11
        assert not found.stale
        assert found.as_of == found.token == s.after


@pytest.mark.parametrize("query", [List(), List(search="ann"), Total()])
async def test_pages_and_statements_say_that_they_lack_something(
    store: MemoryEventStore, any_database: AnyDatabase, query: Query[object]
) -> None:
    async with shop(store, any_database) as s:
        for seen in (None, s.before):
            await s.side.query(query, at_least=seen)
            found = await s.side.ask(query, at_least=seen)
            assert found.stale
            assert found.as_of.position == s.poison.position - 1
            assert found.token == s.after
            again = await s.side.ask(query, at_least=found.token, on_timeout="stale")
            assert (again.value, again.stale) == (found.value, True)
        for token in (s.poison, s.after):
            with pytest.raises(KeyParked):
                await s.side.query(query, at_least=token, timeout=LONG)
            with pytest.raises(KeyParked):
                await s.side.ask(query, at_least=token, timeout=LONG)
            found = await s.side.ask(query, at_least=token, timeout=LONG, on_timeout="stale")
            assert found.stale
            assert found.token == s.after


async def test_what_another_tenant_has_parked_is_none_of_ours(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async with shop(store, any_database) as s:
        ours = await append(store, Opened(s.ann, "Ann"), Deposited(s.ann, 5), tenant="shop")
        for query in (Get(s.ann), List(), Total()):
            found = await s.side.ask(query, at_least=ours, tenant="shop")
            assert not found.stale
            assert found.as_of == ours


async def test_after_a_discard_everything_is_answered_as_ever(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async with shop(store, any_database) as s:
        await Operations(s.side).discard("accounts", s.ann, reason="a test")
        for query in (Get(s.ann), List(), Total()):
            found = await s.side.ask(query, at_least=s.after)
            assert not found.stale
            assert found.as_of == s.after


async def test_a_query_that_needs_more_than_a_paused_view_has_is_told_so_at_once(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async with shop(store, any_database) as s:
        operator = Operations(s.side)
        await operator.pause("accounts", reason="maintenance")
        more = await append(store, Deposited(s.bob, 100))
        with pytest.raises(ViewPaused) as paused:
            await s.side.query(Get(s.bob), at_least=more, timeout=LONG)
        assert (paused.value.view, paused.value.reached) == ("accounts", s.after.position)
        found = await s.side.ask(Get(s.bob), at_least=more, timeout=LONG, on_timeout="stale")
        assert found.stale
        assert not (await s.side.ask(Get(s.bob), at_least=s.after)).stale
        with pytest.raises(ViewPaused):
            await s.side.reached(more.position, timeout=LONG)
        assert (await s.side.readiness()).ready
        await operator.resume("accounts")
        row = await s.side.query(Get(s.bob), at_least=more)
        assert row is not None
        assert row.balance == 111
