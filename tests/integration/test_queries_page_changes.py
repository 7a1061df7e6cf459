"""Pages of what changes between them."""

from uuid import uuid4

from diptych.store.memory import MemoryEventStore
from tests.integration.accounts import (
    Account,
    Closed,
    Deposited,
    ListAccounts,
    Opened,
    all_accounts,
    append,
    head_token,
    reading,
)
from tests.integration.conftest import AnyDatabase
from tests.integration.test_queries_page import every_page, rows_of, sixty_accounts


async def test_rows_that_come_or_go_do_not_shift_what_follows_a_cursor(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    await sixty_accounts(store)
    async with reading(store, database=any_database()) as side:
        await all_accounts(side, await head_token(store))
        first = await side.query(ListAccounts(order_by="balance", page_size=10))
        before = rows_of(await every_page(side, order_by="balance", page_size=10))
        low, high = uuid4(), uuid4()
        await append(store, Opened(low, "Low"))
        token = await append(store, Opened(high, "High"), Deposited(high, 10_000))
        await all_accounts(side, token)
        rest: list[Account] = []
        cursor = first.next_cursor
        while cursor is not None:
            page = await side.query(ListAccounts(order_by="balance", page_size=10, cursor=cursor))
            rest += page.items
            cursor = page.next_cursor
        seen = [row for row in (*first.items, *rest) if row.account_id not in (low, high)]
        assert seen == before
        assert rest[-1].account_id == high


async def test_search_follows_changes_and_deletions(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    one, other = uuid4(), uuid4()
    async with reading(store, database=any_database()) as side:
        await append(store, Opened(one, "Ann"), Deposited(one, 5))
        token = await append(store, Opened(other, "Ann"))
        assert (await side.query(ListAccounts(search="ann"), at_least=token)).total == 2
        await append(store, Opened(one, "Renamed"))
        token = await append(store, Closed(other))
        assert (await side.query(ListAccounts(search="ann"), at_least=token)).total == 0
        assert (await side.query(ListAccounts(search="renamed"))).total == 1


async def test_a_cursor_that_was_given_out_is_accepted_however_long_its_text(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async with reading(store, database=any_database()) as side:
        for number in range(3):
            token = await append(store, Opened(uuid4(), f"{'x' * 9_000}{number}"))
        first = await side.query(ListAccounts(order_by="owner", page_size=2), at_least=token)
        cursor = first.next_cursor
        second = await side.query(ListAccounts(order_by="owner", page_size=2, cursor=cursor))
        assert [row.owner[-1] for row in (*first.items, *second.items)] == ["0", "1", "2"]
