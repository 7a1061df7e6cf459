"""Queries: one snapshot, one tenant, and nothing that was not declared."""

import asyncio
import time
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from diptych.errors import ConfigurationError, InvalidInput, NoHandler, Overloaded, StoreClosed
from diptych.read.database import ReadDatabase
from diptych.read.postgres.database import PostgresReadDatabase
from diptych.read.query import Query, answer
from diptych.read.rows import Rows
from diptych.read.sqlite.database import SqliteReadDatabase
from diptych.store.memory import MemoryEventStore
from diptych.testing.waiting import wait_until
from tests.integration.accounts import (
    Account,
    Deposited,
    GetAccount,
    GetLabel,
    LabelCount,
    Labelled,
    ListAccounts,
    Opened,
    accounts,
    append,
    get_account,
    labels,
    reading,
)
from tests.integration.conftest import AnyDatabase


@dataclass(frozen=True)
class Free(Query[list[tuple[str, int]]]):
    """Answered by a statement of one's own."""

    slow: bool = False


async def total_by_owner(query: Free, rows: Rows) -> list[tuple[str, int]]:
    table = rows.table(accounts)
    statement = (
        sa.select(table.c.owner, sa.func.sum(table.c.balance))
        .group_by(table.c.owner)
        .order_by(table.c.owner)
    )
    return [(owner, total) for owner, total in await rows.execute(statement)]


FREE = answer(Free, total_by_owner, reads=[accounts])


async def test_a_statement_of_ones_own_sees_the_rows_of_its_tenant(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async with reading(store, database=any_database(), queries=[FREE]) as side:
        for owner, amount in [("Ann", 1), ("Ann", 2), ("Bea", 3)]:
            account_id = uuid4()
            await append(store, Opened(account_id, owner), Deposited(account_id, amount))
        other = uuid4()
        token = await append(store, Opened(other, "Eve"), Deposited(other, 9), tenant="e")
        assert await side.query(Free(), at_least=token) == [("Ann", 3), ("Bea", 3)]
        assert await side.query(Free(), tenant="e") == [("Eve", 9)]


async def test_a_handler_may_be_an_object_with_handle(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    class Handler:
        async def handle(self, query: GetAccount, rows: Rows) -> Account | None:
            return await rows.get(accounts, query.account_id)

    account_id = uuid4()
    async with reading(
        store, database=any_database(), queries=[answer(GetAccount, Handler(), reads=[accounts])]
    ) as side:
        token = await append(store, Opened(account_id, "Ann"))
        assert await side.query(GetAccount(account_id), at_least=token) is not None


async def test_reading_a_view_that_is_not_declared_is_refused(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async def sneaky(query: GetLabel, rows: Rows) -> LabelCount | None:
        return await rows.get(labels, query.label)

    queries = [answer(GetLabel, sneaky, reads=[accounts])]
    async with reading(
        store, database=any_database(), models=[accounts, labels], queries=queries
    ) as side:
        with pytest.raises(ConfigurationError, match="reads="):
            await side.query(GetLabel("vip"))


async def test_a_query_that_nothing_answers_is_named(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async with reading(store, database=any_database()) as side:
        with pytest.raises(NoHandler, match="GetLabel"):
            await side.query(GetLabel("vip"))


async def test_wrong_wiring_of_queries_is_refused(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    one = answer(GetAccount, get_account, reads=[accounts])
    with pytest.raises(ConfigurationError, match="twice"):
        async with reading(store, database=any_database(), queries=[one, one]):
            pass
    with pytest.raises(ConfigurationError, match="views="):
        async with reading(store, database=any_database(), models=[labels], queries=[one]):
            pass
    with pytest.raises(ConfigurationError, match="two views"):
        async with reading(store, database=any_database(), models=[accounts, accounts], queries=[]):
            pass


async def test_a_key_of_the_wrong_type_is_invalid_input(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async with reading(store, database=any_database()) as side:
        with pytest.raises(InvalidInput, match="account_id"):
            await side.query(GetAccount("no uuid"))  # type: ignore[arg-type]


async def test_all_reads_of_a_query_see_one_snapshot(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    """What is committed while the handler waits does not show in it."""
    account_id = uuid4()
    go_on, waiting = asyncio.Event(), asyncio.Event()

    async def slowly(query: GetAccount, rows: Rows) -> Account | None:
        first = await rows.get(accounts, query.account_id)
        waiting.set()
        await go_on.wait()
        table = rows.table(accounts)
        (total,) = (await rows.execute(sa.select(sa.func.sum(table.c.balance))))[0]
        page = await rows.page(accounts)
        second = await rows.get(accounts, query.account_id)
        assert first is not None
        assert first == second == page.items[0]
        assert total == first.balance
        return second

    queries = [answer(GetAccount, slowly, reads=[accounts]), FREE]
    async with reading(store, database=any_database(), queries=queries) as side:
        token = await append(store, Opened(account_id, "Ann"), Deposited(account_id, 1))
        slow = asyncio.create_task(side.query(GetAccount(account_id), at_least=token))
        await waiting.wait()
        token = await append(store, Deposited(account_id, 5))
        assert await side.query(Free(), at_least=token) == [("Ann", 6)]
        go_on.set()
        row = await slow
        assert row is not None
        assert row.balance == 1


async def test_pages_and_totals_agree_while_rows_come_and_go(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async def write() -> None:
        for index in range(490):
            await append(store, Opened(uuid4(), f"Owner {index}"))
            await asyncio.sleep(0.001)

    async with reading(store, database=any_database()) as side, asyncio.timeout(30):
        writer = asyncio.create_task(write())
        totals = set[int]()
        while not writer.done() and len(totals) < 20:
            page = await side.query(ListAccounts(page_size=500))
            assert len(page.items) == page.total
            totals.add(page.total)
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)
        assert len(totals) > 1


RECURSION = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {limit})
SELECT max(i) FROM n
"""


@dataclass(frozen=True)
class Count(Query[int]):
    """A statement that takes as long as one likes."""

    limit: int


async def count_to(query: Count, rows: Rows) -> int:
    found = await rows.execute(sa.text(RECURSION.format(limit=query.limit)))
    return int(found[0][0])


COUNT = answer(Count, count_to, reads=[accounts])


async def test_a_long_statement_does_not_hold_the_event_loop(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    loop = asyncio.get_running_loop()
    async with reading(store, database=any_database(), queries=[COUNT]) as side:
        counting = asyncio.create_task(side.query(Count(2_000_000)))
        longest, last = 0.0, loop.time()
        while not counting.done():
            await asyncio.sleep(0.001)
            longest, last = max(longest, loop.time() - last), loop.time()
        assert await counting == 2_000_000
        assert longest < 0.15


async def test_who_asks_in_a_loop_lets_everyone_else_run(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with reading(store, database=any_database(), queries=[FREE]) as side:
        counting = asyncio.create_task(count_turns())
        deadline = time.monotonic() + 10
        while turns < 20:
            assert time.monotonic() < deadline
            await side.query(Free())
        counting.cancel()


async def test_a_cancelled_query_is_interrupted_and_its_connection_is_used_again(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    database = any_database(readers=1)
    async with reading(store, queries=[COUNT, FREE], database=database) as side:
        endless = asyncio.create_task(side.query(Count(10**12)))
        await wait_until(lambda: is_reading(database))
        endless.cancel()
        async with asyncio.timeout(5):
            await asyncio.gather(endless, return_exceptions=True)
        assert endless.cancelled()
        assert await side.query(Count(10)) == 10
        assert await side.query(Free()) == []


def is_reading(database: ReadDatabase) -> bool:
    if isinstance(database, SqliteReadDatabase):
        assert database._open is not None
        return bool(database._open._threads._threads)
    assert isinstance(database, PostgresReadDatabase)
    assert database._open is not None
    return database._open.queries._places._taken == 1


async def test_reads_of_one_query_may_run_at_the_same_time(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async def both(query: Count, rows: Rows) -> int:
        statement = sa.text(RECURSION.format(limit=query.limit))
        found = await asyncio.gather(*[rows.execute(statement) for _ in range(3)])
        await rows.get(accounts, uuid4())
        return sum(int(each[0][0]) for each in found)

    async with reading(
        store, database=any_database(), queries=[answer(Count, both, reads=[accounts])]
    ) as side:
        assert await side.query(Count(200_000)) == 600_000


async def test_a_query_cannot_write(store: MemoryEventStore, any_database: AnyDatabase) -> None:
    async def write(query: Free, rows: Rows) -> list[tuple[str, int]]:
        await rows.execute(sa.text("DELETE FROM diptych_checkpoints"))
        return []

    async with reading(
        store, database=any_database(), queries=[answer(Free, write, reads=[accounts])]
    ) as side:
        with pytest.raises(Exception, match=r"cannot be written|readonly|read-only"):
            await side.query(Free())
        assert (await side.readiness()).ready


async def test_wrong_sql_is_the_handlers_own_error(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async def wrong(query: Free, rows: Rows) -> list[tuple[str, int]]:
        await rows.execute(sa.text("SELECT nonsense"))
        return []

    queries = [answer(Free, wrong, reads=[accounts]), COUNT]
    async with reading(store, database=any_database(), queries=queries) as side:
        with pytest.raises(DBAPIError):
            await side.query(Free())
        assert await side.query(Count(5)) == 5


async def test_queries_wait_for_their_turn_and_too_many_are_refused(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    database = any_database(readers=2)
    go_on = asyncio.Event()

    async def wait(query: Count, rows: Rows) -> int:
        await go_on.wait()
        return query.limit

    queries = [answer(Count, wait, reads=[accounts])]
    async with reading(store, queries=queries, database=database) as side:
        tasks = [asyncio.create_task(side.query(Count(index))) for index in range(1_002)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await side.query(Count(0))
        tasks[5].cancel()
        go_on.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [each for each in found if isinstance(each, int)] == [
            index for index in range(1_002) if index != 5
        ]


async def test_queries_that_hold_every_connection_do_not_hold_projections_up(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    go_on = asyncio.Event()

    async def wait(query: Count, rows: Rows) -> int:
        await go_on.wait()
        return query.limit

    queries = [answer(Count, wait, reads=[accounts])]
    async with reading(store, queries=queries, database=any_database(readers=2)) as side:
        tasks = [asyncio.create_task(side.query(Count(index))) for index in range(5)]
        await asyncio.sleep(0)
        token = await append(store, Opened(uuid4(), "Ann"))
        await side.reached(token.position, timeout=timedelta(seconds=5))
        assert not any(task.done() for task in tasks)
        go_on.set()
        await asyncio.gather(*tasks)


async def test_what_is_closed_says_so(store: MemoryEventStore, any_database: AnyDatabase) -> None:
    async with reading(store, database=any_database()) as side:
        pass
    with pytest.raises(StoreClosed):
        await side.query(GetAccount(uuid4()))
    with pytest.raises(StoreClosed):
        await side.readiness()


async def test_labels_are_found_by_text(store: MemoryEventStore, any_database: AnyDatabase) -> None:
    @dataclass(frozen=True)
    class Labels(Query[list[str]]):
        pass

    async def names(query: Labels, rows: Rows) -> list[str]:
        page = await rows.page(labels, order_by="accounts", descending=True)
        return [row.label for row in page.items]

    queries = [answer(Labels, names, reads=[labels])]
    async with reading(store, database=any_database(), models=[labels], queries=queries) as side:
        await append(store, Labelled(uuid4(), ("a", "b")))
        token = await append(store, Labelled(uuid4(), ("b",)))
        assert await side.query(Labels(), at_least=token) == ["b", "a"]
