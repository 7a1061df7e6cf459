"""What a query leaves behind when it is over: nothing that reads in another's snapshot."""

import asyncio
from uuid import uuid4

import pytest
import sqlalchemy as sa

from diptych.errors import StoreClosed
from diptych.read.query import answer
from diptych.read.rows import Rows
from diptych.store.memory import MemoryEventStore
from tests.integration.accounts import (
    QUERIES,
    Account,
    GetAccount,
    ListAccounts,
    Opened,
    accounts,
    append,
    reading,
)
from tests.integration.conftest import AnyDatabase


async def test_rows_that_outlive_their_query_do_not_read_in_the_snapshot_of_another(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    kept: list[Rows] = []

    async def keep(query: GetAccount, rows: Rows) -> Account | None:
        kept.append(rows)
        return await rows.get(accounts, query.account_id)

    account_id = uuid4()
    async with reading(
        store, database=any_database(), queries=[answer(GetAccount, keep, reads=[accounts])]
    ) as side:
        token = await append(store, Opened(account_id, "Ann"))
        await side.query(GetAccount(account_id), at_least=token)
        with pytest.raises(StoreClosed, match="is answered"):
            await kept[0].get(accounts, account_id)
        with pytest.raises(StoreClosed, match="is answered"):
            await kept[0].page(accounts)


async def test_reads_that_an_error_left_behind_do_not_disturb_other_queries(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async def fail(query: GetAccount, rows: Rows) -> Account | None:
        pages = (rows.page(accounts) for _ in range(5))
        await asyncio.gather(rows.execute(sa.text("SELECT nonsense")), *pages)
        return None

    queries = [answer(GetAccount, fail, reads=[accounts]), QUERIES[2]]
    async with reading(store, database=any_database(), queries=queries) as side:
        token = await append(store, Opened(uuid4(), "Ann"))
        for _ in range(10):
            with pytest.raises(sa.exc.DBAPIError):
                await side.query(GetAccount(uuid4()), at_least=token)
            assert (await side.query(ListAccounts())).total == 1
