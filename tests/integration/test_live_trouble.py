"""Watched queries that hang, fail or are slow: their own answers are late, and no others."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import pytest

from diptych.errors import StorageUnavailable
from diptych.read import asking
from diptych.read.query import Query, answer
from diptych.read.rows import Rows
from diptych.read.side import ReadSide
from diptych.read.watching import Watching
from diptych.store.memory import MemoryEventStore
from tests.integration.accounts import Opened, account_view, append, reading
from tests.integration.conftest import AnyDatabase
from tests.integration.live import until, upcoming

view = account_view(max_lag=timedelta(seconds=1))


@dataclass(frozen=True)
class Count(Query[int]):
    pass


@dataclass(frozen=True)
class Fragile(Query[int]):
    number: int = 0


class Trouble:
    """What befalls the handler of `Fragile`."""

    def __init__(self) -> None:
        self.hangs = self.fails = False
        self.over = asyncio.Event()
        self.asked = 0

    async def meet(self) -> None:
        self.asked += 1
        if self.hangs:
            await self.over.wait()
        if self.fails:
            raise StorageUnavailable("a statement was cancelled")


@pytest.fixture
def trouble() -> Trouble:
    return Trouble()


@pytest.fixture
async def side(
    store: MemoryEventStore, any_database: AnyDatabase, trouble: Trouble
) -> AsyncIterator[ReadSide]:
    async def count(query: Count, rows: Rows) -> int:
        return (await rows.page(view)).total

    async def fragile(query: Fragile, rows: Rows) -> int:
        total = (await rows.page(view)).total
        await trouble.meet()
        return total

    queries = [answer(Count, count, reads=[view]), answer(Fragile, fragile, reads=[view])]
    async with reading(
        store, database=any_database(), models=(view,), queries=queries, lease_ttl=0.5
    ) as opened:
        yield opened


@asynccontextmanager
async def both(side: ReadSide) -> AsyncGenerator[tuple[Watching[int], Watching[int]]]:
    async with side.watch(Count()) as counting, side.watch(Fragile()) as fragile:
        assert [(await upcoming(each)).value for each in (counting, fragile)] == [0, 0]
        yield counting, fragile


async def seen(store: MemoryEventStore, counting: Watching[int], number: int) -> None:
    """That this many accounts are opened, one after the other."""
    before = (await append(store, Opened(uuid4(), "Ann"))).position
    for position in range(before, before + number):
        found = await until(counting, lambda each, wanted=position: each.value == wanted)  # type: ignore[misc]
        assert not found.stale
        await append(store, Opened(uuid4(), "Ann"))
    await until(counting, lambda each: each.value == before + number)


async def test_a_query_that_hangs_is_late_and_keeps_no_other_waiting(
    store: MemoryEventStore, side: ReadSide, trouble: Trouble
) -> None:
    async with both(side) as (counting, fragile):
        trouble.hangs = True
        await seen(store, counting, 2)
        late = await upcoming(fragile)
        assert (late.value, late.stale) == (0, True)
        trouble.hangs = False
        trouble.over.set()
        fresh = await until(fragile, lambda each: not each.stale)
        assert fresh.value == 3


async def test_a_query_that_hangs_is_given_up_and_asked_again(
    store: MemoryEventStore,
    side: ReadSide,
    trouble: Trouble,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(asking, "_LONGEST_ASK", 0.1)
    async with both(side) as (_, fragile):
        trouble.hangs = True
        await append(store, Opened(uuid4(), "Ann"))
        assert (await upcoming(fragile)).stale
        trouble.hangs = False  # but nothing ends the wait that has begun
        assert (await until(fragile, lambda each: not each.stale)).value == 1
    lines = [each.message for each in caplog.records if each.name == asking.__name__]
    assert lines == ["live query Fragile lags, trying again: no answer in 0.1 seconds"]


async def test_more_queries_than_have_a_place_hang_and_others_go_on(
    store: MemoryEventStore, side: ReadSide, trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_LONGEST_ASK", 0.5)
    async with both(side) as (counting, _):
        others = [side.watch(Fragile(number)) for number in range(1, 2 * asking.AT_ONCE)]
        for each in others:
            await upcoming(each)
        trouble.hangs = True
        await append(store, Opened(uuid4(), "Ann"))
        await until(counting, lambda each: each.value == 1)
        for each in others:
            assert (await until(each, lambda found: found.stale)).value == 0
        await append(store, Opened(uuid4(), "Ann"))
        assert (await until(counting, lambda each: not each.stale and each.value == 2)).value == 2


async def test_a_query_that_fails_for_the_database_is_late_until_it_does_not(
    store: MemoryEventStore, side: ReadSide, trouble: Trouble, caplog: pytest.LogCaptureFixture
) -> None:
    async with both(side) as (counting, fragile):
        trouble.fails = True
        await seen(store, counting, 5)
        late = await upcoming(fragile)
        assert (late.value, late.stale) == (0, True)
        assert trouble.asked <= 5  # once by who watches, then with longer and longer rests
        trouble.fails = False
        assert (await until(fragile, lambda each: not each.stale)).value == 6
    assert [each.name for each in caplog.records].count(asking.__name__) == 1


async def test_answers_are_late_while_a_look_does_not_end(
    store: MemoryEventStore, side: ReadSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with both(side) as (counting, _):
        live, over = side._running.live, asyncio.Event()  # type: ignore[union-attr]
        look = live._look

        async def hang() -> None:
            await over.wait()
            await look()

        monkeypatch.setattr(live, "_look", hang)
        assert (await upcoming(counting)).stale
        over.set()
        assert not (await upcoming(counting)).stale


async def test_closing_waits_for_no_query_that_hangs(
    store: MemoryEventStore, side: ReadSide, trouble: Trouble
) -> None:
    async with both(side) as (_, fragile):
        trouble.hangs = True
        await append(store, Opened(uuid4(), "Ann"))
        assert (await upcoming(fragile)).stale
        async with asyncio.timeout(5):
            await side.close()
