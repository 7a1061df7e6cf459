"""Rows in PostgreSQL: exactly what they were, in the same order, found by the same words."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
import sqlalchemy as sa

from diptych.errors import ConfigurationError
from diptych.messages import RecordedEvent
from diptych.read.columns import RowLayout, ordered
from diptych.read.page import Page
from diptych.read.postgres.database import PostgresReadDatabase
from diptych.read.projection import Projection
from diptych.read.query import QueryHandler, answer
from diptych.read.readiness import State
from diptych.read.rows import Rows
from diptych.read.search import LONGEST_WORD
from diptych.read.table import Shape, ViewTable, view_table
from diptych.read.view import View
from diptych.store.memory import MemoryEventStore
from diptych.testing.waiting import wait_until
from tests.integration.accounts import (
    Account,
    AccountEvent,
    Labelled,
    ListAccounts,
    Opened,
    account_events,
    account_view,
    append,
    labels_of,
    reading,
)
from tests.integration.conftest import AnyDatabase
from tests.integration.parked import parked_keys
from tests.servers.postgres import PostgresServer, PostgresTrouble
from tests.unit.read.rows import EXAMPLE, Everything
from tests.unit.read.test_columns_sql import SORTED

LOG = uuid4()


@pytest.fixture
async def database(schema_url: str) -> AsyncIterator[PostgresReadDatabase]:
    opened = PostgresReadDatabase(schema_url)
    await opened.open(log_id=LOG)
    yield opened
    await opened.close()


async def created(
    database: PostgresReadDatabase, row_type: type[Any], *, key: str, name: str = "kept__1"
) -> tuple[RowLayout[Any], ViewTable]:
    layout = RowLayout(row_type)
    table = view_table(name, layout, Shape((key,), (), ()), database.dialect)
    async with database.transaction() as tx:
        await tx.create(table)
    return layout, table


def saved(layout: RowLayout[Any], database: PostgresReadDatabase, row: Any) -> tuple[object, ...]:
    return ("", *layout.values(row, database.dialect), 1, None)


async def test_a_row_of_every_kind_of_column_comes_back_equal(
    database: PostgresReadDatabase,
) -> None:
    layout, table = await created(database, Everything, key="id")
    rows = [
        EXAMPLE,
        replace(EXAMPLE, id=UUID(int=1), labels=["ü", "\U0001f98a"], note=None, weight=-0.0),
        replace(EXAMPLE, id=UUID(int=2), items=(), weight=float("inf"), count=-(2**63)),
    ]
    async with database.transaction() as tx:
        await tx.insert(table, [saved(layout, database, row) for row in rows])
        await tx.update(table, [saved(layout, database, replace(rows[0], name="new"))])  # type: ignore[arg-type]
        await tx.remove(table, [("", rows[1].id)])
    expected = [replace(EXAMPLE, name="new"), rows[2]]  # type: ignore[arg-type]
    async with database.snapshot() as snapshot:
        for row in expected:
            *fields, position, version = await snapshot.get(table, ("", row.id)) or ()
            assert layout.row(fields, database.dialect) == row
            assert (position, version) == (1, None)
        keys = [("", row.id) for row in rows]
        loaded = [
            layout.row(found[1:-1], database.dialect) for found in await snapshot.load(table, keys)
        ]
        assert sorted(loaded, key=lambda row: row.id) == sorted(expected, key=lambda row: row.id)
        columns = [table.table.c[name] for name in layout.names]
        through = [Everything(*found) for found in await snapshot.execute(sa.select(*columns))]
        assert sorted(through, key=lambda row: row.id) == sorted(expected, key=lambda row: row.id)


async def test_what_is_kept_as_json_keeps_the_order_of_its_keys(
    database: PostgresReadDatabase,
) -> None:
    keyed = msgspec.defstruct("Keyed", [("id", int), ("value", dict[str, int])], frozen=True)
    layout, table = await created(database, keyed, key="id")
    async with database.transaction() as tx:
        await tx.insert(table, [saved(layout, database, keyed(1, {"zz": 1, "a": 2, "b": 3}))])
    async with database.snapshot() as snapshot:
        *fields, _, _ = await snapshot.get(table, ("", 1)) or ()
        assert list(layout.row(fields, database.dialect).value) == ["zz", "a", "b"]
        field = sa.cast(table.table.c.value, sa.JSON)["a"].as_integer()
        assert [found[0] for found in await snapshot.execute(sa.select(field))] == [2]


@pytest.mark.parametrize("kind", SORTED)
async def test_a_column_sorts_and_compares_as_its_values_do(
    database: PostgresReadDatabase, kind: str
) -> None:
    hint, values = SORTED[kind]
    keyed = msgspec.defstruct("Keyed", [("id", int), ("value", hint)], frozen=True)
    layout, table = await created(database, keyed, key="id")
    async with database.transaction() as tx:
        rows = [keyed(number, value) for number, value in enumerate(reversed(values))]
        await tx.insert(table, [saved(layout, database, row) for row in rows])
    column, middle = table.table.c.value, values[len(values) // 2]
    async with database.snapshot() as snapshot:

        async def found(*conditions: sa.ColumnElement[bool]) -> list[Any]:
            chosen = sa.select(column).where(*conditions).order_by(ordered(column))
            return [row.value for row in await snapshot.execute(chosen)]

        assert await found() == values
        assert await found(column == middle) == [middle]
        assert await found(column < middle) == values[: len(values) // 2]
        assert await found(column.in_([values[0], middle])) == [values[0], middle]


async def test_sums_are_of_the_type_that_they_are_on_sqlite(
    database: PostgresReadDatabase,
) -> None:
    layout, table = await created(database, Everything, key="id")
    async with database.transaction() as tx:
        row = replace(EXAMPLE, count=3)
        await tx.insert(table, [saved(layout, database, row)])
    async with database.snapshot() as snapshot:
        columns = [table.table.c[name] for name in ("count", "total", "took")]
        (sums,) = await snapshot.execute(sa.select(*map(sa.func.sum, columns)))
    assert tuple(sums) == (3, EXAMPLE.total, EXAMPLE.took)
    assert [type(each) for each in sums] == [int, type(EXAMPLE.total), type(EXAMPLE.took)]


async def test_the_order_is_that_of_code_points_whatever_the_language_of_the_database(
    store: MemoryEventStore, postgres_versions: PostgresServer
) -> None:
    postgres = postgres_versions
    try:
        postgres.execute(
            "CREATE DATABASE german TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de-DE'"
        )
    except PostgresTrouble as trouble:
        pytest.skip(f"this PostgreSQL knows no other order: {trouble}")
    owners = ["a", "B", "Z", "ä", "zz", "Ä", "z", "_", "10", "9"]
    async with reading(store, database=PostgresReadDatabase(postgres.url("german"))) as side:
        for owner in owners:
            token = await append(store, Opened(uuid4(), owner))
        found: list[str] = []
        cursor: str | None = None
        while len(found) < len(owners):
            query = ListAccounts(order_by="owner", page_size=3, cursor=cursor)
            page = await side.query(query, at_least=token)
            found += [row.owner for row in page.items]
            cursor = page.next_cursor
        assert found == sorted(owners)
        assert (await side.query(ListAccounts(search="Ä"))).total == 3
    postgres.drop_database(postgres.url("german"))


LONG = "q" * 5_000


def list_of(view: View[Account]) -> list[QueryHandler]:
    async def find(query: ListAccounts, rows: Rows) -> Page[Account]:
        return await rows.page(view, search=query.search)

    return [answer(ListAccounts, find, reads=[view])]


async def test_words_of_any_length_are_found_by_their_beginnings(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    view = account_view(indexes=[])
    async with reading(
        store, database=any_database(), models=[view], queries=list_of(view)
    ) as side:
        await append(store, Opened(uuid4(), f"{LONG} second"))
        await append(store, Opened(uuid4(), "1e5x2 http www.example.com/path 10.0.0.1 a_b"))
        token = await append(store, Opened(uuid4(), "the of and"))

        async def count(search: str) -> int:
            query = ListAccounts(search=search)
            return (await side.query(query, at_least=token)).total

        for search in ("q", LONG[:LONGEST_WORD], LONG[:900], "sec", "1e5x", "example", "10", "the"):
            assert await count(search) == 1, search[:20]
        for search in ("x2", "5000", "xample", f"{LONG[:300]}x second x"):
            assert await count(search) == 0, search[:20]


async def test_a_row_with_more_words_than_postgresql_takes_is_found_by_the_first(
    store: MemoryEventStore, schema_url: str
) -> None:
    view = account_view(indexes=[])
    database = PostgresReadDatabase(schema_url)
    async with reading(store, database=database, models=[view], queries=list_of(view)) as side:
        words = " ".join(f"word{number:06}" for number in range(80_000))
        token = await append(store, Opened(uuid4(), words))
        query = ListAccounts(search="word000001")
        assert (await side.query(query, at_least=token)).total == 1


async def test_a_value_that_is_too_long_for_an_index_stops_the_view_at_its_event(
    store: MemoryEventStore, schema_url: str
) -> None:
    async with reading(store, database=PostgresReadDatabase(schema_url)) as side:
        good = await append(store, Opened(uuid4(), "Ann"))
        await append(store, Opened(uuid4(), "".join(chr(0x4E00 + n) for n in range(5_000))))

        async def stopped() -> bool:
            (view,) = (await side.readiness()).views
            return view.state is State.STOPPED

        await wait_until(stopped)
        (view,) = (await side.readiness()).views
        assert view.position == good.position
        assert "owner: is too long for an index" in view.error
        assert (await side.query(ListAccounts(), at_least=good)).total == 1


@dataclass(frozen=True)
class Note:
    label: str
    text: str


def noted(row: Note | None, event: AccountEvent, recorded: RecordedEvent, label: str) -> Note:
    """The longest text is not the one that is too long: an index holds it compressed."""
    text = "".join(uuid4().hex for _ in range(400)) if label == "bad" else "x" * 20_000
    return Note(label, text)


@pytest.mark.parametrize("order", [("bad", "good"), ("good", "bad"), ("good", "bad", "fine")])
async def test_of_several_rows_of_one_event_the_one_that_is_refused_is_parked(
    store: MemoryEventStore, schema_url: str, order: tuple[str, ...]
) -> None:
    view = View(
        "notes",
        events=[account_events],
        row=Note,
        key="label",
        keys=labels_of,
        project=noted,
        indexes=[("text",)],
        on_error="park",
        version="1",
    )
    database = PostgresReadDatabase(schema_url)
    async with reading(store, database=database, models=[view], queries=[]) as side:
        await append(store, Labelled(uuid4(), ("before", "good")))
        last = await append(store, Labelled(uuid4(), order))
        await side.reached(last.position, timeout=timedelta(seconds=10))
        assert [each.key for each in await parked_keys(side)] == ['["bad"]']
        table = view.bind(1, database.dialect).table.table
        async with database.snapshot() as snapshot:
            rows = await snapshot.execute(sa.select(table.c.label))
        assert {row.label for row in rows} == {"before", *order} - {"bad"}


def test_names_that_postgresql_would_cut_are_refused() -> None:
    table = sa.Table("t" * 30, sa.MetaData(), sa.Column("a", sa.Integer, primary_key=True))

    async def apply(tx: object, event: object, recorded: object) -> None:
        pass

    with pytest.raises(ConfigurationError, match="both names together"):
        Projection("p" * 30, events=[account_events], tables=[table], apply=apply)  # type: ignore[list-item]
