"""Watched queries: the answer, and again whenever it is another one, and not otherwise."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextvars import ContextVar
from copy import copy
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from diptych.errors import NoHandler, StoreClosed, TokenFromAnotherHistory
from diptych.read.live import Live
from diptych.read.page import Page
from diptych.read.query import Query, answer
from diptych.read.rows import Rows
from diptych.read.side import ReadSide
from diptych.store.contract import Point
from diptych.store.memory import MemoryEventStore
from diptych.testing.waiting import wait_until
from tests.integration.accounts import (
    Account,
    Closed,
    Deposited,
    GetAccount,
    ListAccounts,
    Noted,
    Opened,
    accounts,
    append,
    reading,
)
from tests.integration.conftest import AnyDatabase
from tests.integration.live import balance, upcoming


@pytest.fixture
async def side(store: MemoryEventStore, any_database: AnyDatabase) -> AsyncIterator[ReadSide]:
    async with reading(store, database=any_database()) as opened:
        yield opened


async def test_the_answer_comes_at_once_and_again_when_its_row_changes(
    store: MemoryEventStore, side: ReadSide
) -> None:
    account_id = uuid4()
    token = await append(store, Opened(account_id, "Ann"))
    async with side.watch(GetAccount(account_id), at_least=token) as watching:
        assert await balance(watching) == 0
        token = await append(store, Deposited(account_id, 5))
        found = await upcoming(watching)
        assert found.value is not None
        assert (found.value.balance, found.stale) == (5, False)
        assert found.token == found.as_of == token
        await append(store, Closed(account_id))
        assert await balance(watching) is None
        await append(store, Opened(account_id, "Ann again"))
        assert await balance(watching) == 0


async def test_a_page_is_answered_again_when_it_has_another_row(
    store: MemoryEventStore, side: ReadSide
) -> None:
    async with side.watch(ListAccounts(owner="Ann")) as watching:
        assert (await upcoming(watching)).value.total == 0
        await append(store, Opened(uuid4(), "Ann"))
        assert (await upcoming(watching)).value.total == 1
        await append(store, Opened(uuid4(), "Bob"))  # on no page of Ann's
        await append(store, Opened(uuid4(), "Ann"))
        assert (await upcoming(watching)).value.total == 2


def counted(seen: list[UUID]) -> Any:
    async def get(query: GetAccount, rows: Rows) -> Account | None:
        seen.append(query.account_id)
        return await rows.get(accounts, query.account_id)

    return answer(GetAccount, get, reads=[accounts])


async def test_a_query_is_not_asked_again_for_rows_that_it_did_not_read(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    asked: list[UUID] = []
    mine, other = uuid4(), uuid4()
    async with reading(store, database=any_database(), queries=[counted(asked)]) as side:
        await append(store, Opened(mine, "Ann"), stream="account-a")
        token = await append(store, Opened(other, "Bob"), stream="account-b")
        async with (
            side.watch(GetAccount(mine), at_least=token) as watching,
            side.watch(GetAccount(other), at_least=token) as others,
        ):
            await upcoming(watching)
            assert await balance(others) == 0
            for amount in range(1, 6):
                await append(store, Deposited(other, amount), stream="account-b")
            await append(store, Noted("of another category"))
            while await balance(others) != 15:
                pass
            assert asked.count(mine) == 1
            await append(store, Deposited(mine, 7), stream="account-a")
            assert await balance(watching) == 7


async def test_watchers_of_one_query_share_its_answers(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    asked: list[UUID] = []
    account_id = uuid4()
    async with reading(store, database=any_database(), queries=[counted(asked)]) as side:
        token = await append(store, Opened(account_id, "Ann"))
        those = [side.watch(GetAccount(account_id), at_least=token) for _ in range(20)]
        for each in those:
            assert await balance(each) == 0
        before = len(asked)
        await append(store, Deposited(account_id, 1))
        assert [await balance(each) for each in those] == [1] * 20
        assert len(asked) == before + 1


async def test_the_last_value_is_shown_to_who_was_slow(
    store: MemoryEventStore, side: ReadSide
) -> None:
    account_id = uuid4()
    token = await append(store, Opened(account_id, "Ann"))
    async with side.watch(GetAccount(account_id), at_least=token) as watching:
        await upcoming(watching)
        for _ in range(50):
            token = await append(store, Deposited(account_id, 1))
        await side.query(GetAccount(account_id), at_least=token)
        seen = [0]
        while seen[-1] != 50:
            seen.append(await balance(watching) or 0)
        assert seen == sorted(set(seen))


async def test_a_wait_for_the_next_answer_may_be_cancelled(
    store: MemoryEventStore, side: ReadSide
) -> None:
    account_id = uuid4()
    token = await append(store, Opened(account_id, "Ann"))
    async with side.watch(GetAccount(account_id), at_least=token) as watching:
        await upcoming(watching)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(watching), 0.01)
        await append(store, Deposited(account_id, 3))
        assert await balance(watching) == 3


def live_of(side: ReadSide) -> Live:
    assert side._running is not None
    return side._running.live


async def test_nothing_is_left_of_watchers_that_ended_or_are_forgotten(
    store: MemoryEventStore, side: ReadSide
) -> None:
    async with side.watch(ListAccounts()) as closed:
        await upcoming(closed)
        forgotten = side.watch(ListAccounts(owner="Ann"))
        await upcoming(forgotten)
        assert len(live_of(side)._watched()) == 2
    with pytest.raises(StopAsyncIteration):
        await anext(closed)
    del forgotten
    gc.collect()
    assert live_of(side)._watched() == []
    await wait_until(lambda: live_of(side)._task is None)


async def test_watching_ends_with_the_application(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async with reading(store, database=any_database()) as side:
        watching = side.watch(ListAccounts())
        await upcoming(watching)
        waiting = asyncio.ensure_future(anext(watching))
        await asyncio.sleep(0)
    with pytest.raises(StoreClosed):
        await waiting


async def test_another_s_token_and_an_unknown_query_are_refused(
    store: MemoryEventStore, side: ReadSide
) -> None:
    other = MemoryEventStore()
    await other.open()
    foreign = await append(other, Noted("elsewhere"))
    with pytest.raises(TokenFromAnotherHistory):
        await anext(side.watch(ListAccounts(), at_least=foreign))

    class Unheard(Query[int]):
        pass

    with pytest.raises(NoHandler):
        side.watch(Unheard())


async def test_what_a_query_raises_is_raised_to_its_watchers(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async def fail(query: ListAccounts, rows: Rows) -> Page[Account]:
        page = await rows.page(accounts)
        if page.total:
            raise ZeroDivisionError
        return page

    queries = [answer(ListAccounts, fail, reads=[accounts])]
    async with reading(store, database=any_database(), queries=queries) as side:
        watching = side.watch(ListAccounts())
        await upcoming(watching)
        await append(store, Opened(uuid4(), "Ann"))
        with pytest.raises(ZeroDivisionError):
            await upcoming(watching)
        with pytest.raises(StopAsyncIteration):
            await upcoming(watching)


async def test_no_error_whatever_leaves_watchers_without_a_word(
    store: MemoryEventStore, side: ReadSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    live, failures = live_of(side), iter([True, True])
    look = live._look

    async def fail_at_first() -> None:
        if next(failures, False):
            raise ZeroDivisionError
        await look()

    monkeypatch.setattr(live, "_look", fail_at_first)
    account_id = uuid4()
    token = await append(store, Opened(account_id, "Ann"))
    async with side.watch(GetAccount(account_id), at_least=token) as watching:
        assert await balance(watching) == 0
        await append(store, Deposited(account_id, 5))
        assert await balance(watching) == 5
    assert next(failures, None) is None


VIEWER: ContextVar[str] = ContextVar("viewer", default="nobody")


@dataclass(frozen=True)
class Who(Query[str]):
    number: int


async def test_an_answer_depends_on_nobody_s_context(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async def who(query: Who, rows: Rows) -> str:
        return f"{VIEWER.get()}: {(await rows.page(accounts)).total}"

    queries = [answer(Who, who, reads=[accounts])]
    async with reading(store, database=any_database(), queries=queries) as side:
        VIEWER.set("Ann")
        watching = side.watch(Who(1))
        assert (await upcoming(watching)).value == "nobody: 0"
        await append(store, Opened(uuid4(), "Bob"))
        assert (await upcoming(watching)).value == "nobody: 1"


async def test_the_view_that_is_least_far_of_all_that_are_watched_is_waited_for(
    side: ReadSide,
) -> None:
    async with side.watch(ListAccounts()) as one, side.watch(ListAccounts()) as other:
        await upcoming(one), await upcoming(other)
        live = live_of(side)
        (group,) = live._groups.values()
        (standing,) = group.standings.values()
        ahead = replace(standing, point=Point(standing.point.position + 9))
        further = copy(group)
        further.standings = dict.fromkeys(group.standings, ahead)
        live._groups = {**live._groups, (): further}
        assert live._goals() == {standing.revision: standing.point.position + 1}
