"""Pages: complete and in order by number and by cursor, searchable, and refused out of range."""

import random
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from diptych.errors import ConfigurationError, InvalidCursor, InvalidInput, LimitExceeded
from diptych.read.database import ReadDatabase
from diptych.read.page import Page
from diptych.read.postgres.database import PostgresReadDatabase
from diptych.read.side import ReadSide
from diptych.read.sqlite.database import SqliteReadDatabase
from diptych.store.memory import MemoryEventStore
from tests.integration.accounts import (
    Account,
    Deposited,
    ListAccounts,
    Opened,
    all_accounts,
    append,
    head_token,
    reading,
)

OWNERS = ["Ann", "bea", "Zoë O'Brien", "Ånn-Marie Müller", "张伟", "Ann", "🦊 fox"]


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def sixty_accounts(store: MemoryEventStore) -> None:
    """Some balances are equal, and some have no last amount."""
    chance = random.Random(7)
    for index in range(60):
        account_id = UUID(int=chance.getrandbits(128), version=4)
        amounts = [chance.choice([1, 2, 5]) for _ in range(chance.choice([0, 0, 1, 3]))]
        opened = Opened(account_id, OWNERS[index % len(OWNERS)])
        await append(store, opened, *[Deposited(account_id, amount) for amount in amounts])


@pytest_asyncio.fixture(params=["sqlite", "postgresql"], loop_scope="module", scope="module")
async def side(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ReadSide]:
    """Sixty accounts, which tests share: none of them appends."""
    database: ReadDatabase
    if request.param == "sqlite":
        database = SqliteReadDatabase(tmp_path_factory.mktemp("pages") / "read.db")
    else:
        url: str = request.getfixturevalue("shared_database")
        database = PostgresReadDatabase(f"{url}?schema=read_{uuid4().hex[:12]}")
    async with MemoryEventStore() as store, reading(store, database=database) as opened_side:
        await sixty_accounts(store)
        await all_accounts(opened_side, await head_token(store))
        yield opened_side


async def every_page(side: ReadSide, **options: Any) -> list[Page[Account]]:
    pages = [await side.query(ListAccounts(**options))]
    while pages[-1].next_cursor is not None:
        pages.append(await side.query(ListAccounts(**options, cursor=pages[-1].next_cursor)))
        assert len(pages) < 100
    return pages


def rows_of(pages: list[Page[Account]]) -> list[Account]:
    return [row for page in pages for row in page.items]


def sorted_by(rows: list[Account], field: str, *, descending: bool) -> list[Account]:
    """By the field, then the key; None last, whatever the direction."""
    key: Callable[[Account], Any] = lambda row: (getattr(row, field), row.account_id.hex)  # noqa: E731
    some = [row for row in rows if getattr(row, field) is not None]
    none = [row for row in rows if getattr(row, field) is None]
    by_id = sorted(none, key=lambda row: row.account_id.hex, reverse=descending)
    return sorted(some, key=key, reverse=descending) + by_id


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("field", ["account_id", "owner", "balance", "last_amount", "opened_at"])
async def test_cursors_go_through_all_rows_in_order(
    side: ReadSide, field: str, descending: bool
) -> None:
    everything = list((await all_accounts(side)).values())
    expected = sorted_by(everything, field, descending=descending)
    for size in (1, 7, 60, 500):
        pages = await every_page(side, order_by=field, descending=descending, page_size=size)
        assert rows_of(pages) == expected
        assert [page.page for page in pages] == list(range(1, len(pages) + 1))
        assert {(page.total, page.total_pages) for page in pages} == {(60, -(-60 // size))}


@pytest.mark.parametrize("descending", [False, True])
async def test_pages_by_number_are_the_pages_by_cursor(side: ReadSide, descending: bool) -> None:
    options: dict[str, Any] = {"order_by": "balance", "descending": descending, "page_size": 7}
    for page in await every_page(side, **options):
        by_number = await side.query(ListAccounts(**options, page=page.page))
        assert by_number == page
    beyond = await side.query(ListAccounts(**options, page=10))
    assert (beyond.items, beyond.total, beyond.next_cursor) == ((), 60, None)


async def test_filters_that_are_none_do_not_filter(side: ReadSide) -> None:
    anns = await side.query(ListAccounts(owner="Ann", page_size=500))
    everyone = await side.query(ListAccounts(owner=None, page_size=500))
    assert {row.owner for row in anns.items} == {"Ann"}
    assert anns.total == len(anns.items) == sum(row.owner == "Ann" for row in everyone.items)
    assert everyone.total == 60


@pytest.mark.parametrize(
    ("search", "owners"),
    [
        ("ann", {"Ann", "Ånn-Marie Müller"}),
        ("ANN muller", {"Ånn-Marie Müller"}),
        ("mül", {"Ånn-Marie Müller"}),
        ("marie ann", {"Ånn-Marie Müller"}),
        ("zoe", {"Zoë O'Brien"}),
        ("o'brien", {"Zoë O'Brien"}),
        ("张", {"张伟"}),
        ("fox", {"🦊 fox"}),
        ("nobody", set()),
        ("ann nobody", set()),
        ("   ", set(OWNERS)),
        ("***", set()),
        ('"', set()),
        ('ann" OR "bea', set()),
        ("ann OR bea", set()),
        ("NEAR(ann marie)", set()),
        ("NOT ann", set()),
        ("_search: ann", set()),
        ("a*", {"Ann", "Ånn-Marie Müller"}),
        ("ann-marie^2", set()),
        ("'; DROP TABLE accounts__1; --", set()),
        ("\0ann", {"Ann", "Ånn-Marie Müller"}),
        ("\ud800", set()),
    ],
)
async def test_search_finds_words_by_their_beginnings_and_nothing_is_syntax(
    side: ReadSide, search: str, owners: set[str]
) -> None:
    page = await side.query(ListAccounts(search=search, page_size=500))
    assert {row.owner for row in page.items} == owners
    assert page.total == len(page.items)


async def test_search_is_filtered_ordered_and_paged_like_everything_else(side: ReadSide) -> None:
    options: dict[str, Any] = {"search": "ann", "order_by": "balance", "page_size": 3}
    found = rows_of(await every_page(side, **options))
    assert found == sorted_by(found, "balance", descending=False)
    assert {row.owner for row in found} == {"Ann", "Ånn-Marie Müller"}
    only = rows_of(await every_page(side, owner="Ann", **options))
    assert only == [row for row in found if row.owner == "Ann"]


@pytest.mark.parametrize(
    ("options", "error", "field"),
    [
        ({"page_size": 0}, InvalidInput, "page_size"),
        ({"page_size": -1}, InvalidInput, "page_size"),
        ({"page_size": True}, InvalidInput, "page_size"),
        ({"page_size": 501}, LimitExceeded, "page_size"),
        ({"page_size": 10**9}, LimitExceeded, "page_size"),
        ({"page": 0}, InvalidInput, "page"),
        ({"page": -3}, InvalidInput, "page"),
        ({"page": 10**12}, LimitExceeded, "page"),
        ({"order_by": "password"}, InvalidInput, "order_by"),
        ({"order_by": "balance; DROP TABLE x"}, InvalidInput, "order_by"),
        ({"order_by": "_tenant"}, InvalidInput, "order_by"),
        ({"search": "x" * 1_001}, LimitExceeded, "search"),
        ({"search": " ".join(map(str, range(21)))}, LimitExceeded, "search"),
        ({"owner": 5}, InvalidInput, "owner"),
        ({"owner": "nul \0"}, InvalidInput, "owner"),
    ],
)
async def test_what_is_out_of_range_is_refused_by_field(
    side: ReadSide, options: dict[str, Any], error: type[InvalidInput], field: str
) -> None:
    with pytest.raises(error) as refused:
        await side.query(ListAccounts(**options))
    assert type(refused.value).__name__.startswith(error.__name__) or error is InvalidInput
    assert refused.value.field == field


async def test_a_cursor_of_another_query_is_refused(side: ReadSide) -> None:
    first = await side.query(ListAccounts(owner="Ann", page_size=2))
    cursor = first.next_cursor
    assert cursor is not None
    await side.query(ListAccounts(owner="Ann", page_size=3, cursor=cursor))
    others = [
        {"owner": "bea"},
        {},
        {"owner": "Ann", "descending": True},
        {"owner": "Ann", "order_by": "owner"},
        {"owner": "Ann", "search": "ann"},
    ]
    for other in others:
        with pytest.raises(InvalidCursor):
            await side.query(ListAccounts(**other, cursor=cursor))  # type: ignore[arg-type]
    with pytest.raises(InvalidCursor):
        await side.query(ListAccounts(owner="Ann", cursor=cursor), tenant="other")
    with pytest.raises(InvalidInput, match="page"):
        await side.query(ListAccounts(owner="Ann", cursor=cursor, page=2))


async def test_a_tampered_cursor_is_refused(side: ReadSide) -> None:
    cursor = (await side.query(ListAccounts(page_size=2))).next_cursor
    assert cursor is not None
    chance = random.Random(1)
    alphabet = "ABCDEFabcdef0189-_"
    tampered = ["", "x", "=" * 8, "é" * 20, "A" * 5_000, cursor[:-1], cursor + "A", cursor + "\0"]
    for _ in range(200):
        at = chance.randrange(len(cursor))
        changed = cursor[:at] + chance.choice(alphabet) + cursor[at + 1 :]
        if changed != cursor:
            tampered.append(changed)
    for text in tampered:
        with pytest.raises(InvalidCursor):
            await side.query(ListAccounts(page_size=2, cursor=text))


async def test_filtering_by_what_is_no_column_is_the_programmers_error(side: ReadSide) -> None:
    from dataclasses import dataclass

    from diptych.read.query import Query, answer
    from diptych.read.rows import Rows
    from tests.integration.accounts import accounts

    @dataclass(frozen=True)
    class Wrong(Query[Page[Account]]):
        pass

    async def wrong(query: Wrong, rows: Rows) -> Page[Account]:
        return await rows.page(accounts, where={"surname": "x"})

    assert side._running is not None
    side._bus._register(answer(Wrong, wrong, reads=[accounts]))
    with pytest.raises(ConfigurationError, match="surname"):
        await side.query(Wrong())
