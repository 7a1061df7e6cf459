"""On PostgreSQL too the statements of views go through indexes, whatever the table was before."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from diptych.read.plan import Kind, plan
from diptych.read.postgres.connection import Connection
from diptych.read.postgres.database import PostgresReadDatabase
from diptych.read.table import ViewTable
from tests.integration.accounts import accounts

ROWS = 3_000


@pytest.fixture
async def database(schema_url: str) -> AsyncIterator[PostgresReadDatabase]:
    opened = PostgresReadDatabase(schema_url, projecting=1)
    await opened.open(log_id=uuid4())
    async with opened.transaction(exclusive=True) as tx:
        await accounts.bind(1, opened.dialect).create(tx)
    yield opened
    await opened.close()


def table_of(database: PostgresReadDatabase) -> ViewTable:
    return accounts.bind(1, database.dialect).table


async def fill(database: PostgresReadDatabase) -> None:
    statement = sa.text(
        "INSERT INTO accounts__1 SELECT '', gen_random_uuid(), 'Owner ' || n % 50, n, 0, now(),"
        " CASE WHEN n % 2 = 0 THEN n END, n, NULL, array_to_tsvector(ARRAY['owner', 'w' || n])"
        f" FROM generate_series(1, {ROWS}) AS n"
    )
    async with database.transaction() as tx:
        await tx.execute(statement)
        await tx.execute(sa.text("ANALYZE accounts__1"))


async def explained(database: PostgresReadDatabase, sql: str, values: list[Any]) -> str:
    """The plan, in a snapshot of a projector: on its only connection."""
    async with database.snapshot(projecting=True) as snapshot:
        connection: Connection = snapshot._connection  # type: ignore[attr-defined]
        rows = await connection.driver.fetch(f"EXPLAIN {sql}", *values)
    return "\n".join(row[0] for row in rows)


PAGES = [
    (Kind(("owner",), False, ("balance", "account_id"), False, "offset"), "accounts__1__0"),
    (Kind(("owner",), False, ("balance", "account_id"), True, "value"), "accounts__1__0"),
    (Kind((), False, ("last_amount", "account_id"), False, "offset"), "accounts__1__1"),
    (Kind((), False, ("last_amount", "account_id"), True, "offset"), "accounts__1__1d"),
]


@pytest.mark.parametrize(("kind", "index"), PAGES)
async def test_a_page_is_read_in_the_order_of_its_index(
    database: PostgresReadDatabase, kind: Kind, index: str
) -> None:
    await fill(database)
    sql, names = database._statements.kept(plan(kind, table_of(database), None).rows)
    values = {"tenant": "", "where_owner": "Owner 1", "limit": 11, "offset": 0}
    values |= {"after_balance": 5, "after_account_id": UUID(int=0)}
    found = await explained(database, sql, [values[name] for name in names])
    assert f"using {index} on" in found
    assert "Sort" not in found


async def test_words_are_searched_in_their_index(database: PostgresReadDatabase) -> None:
    await fill(database)
    kind = Kind((), True, ("account_id",), False, "offset")
    table = table_of(database)
    sql, names = database._statements.kept(plan(kind, table, database.matches(table)).total)
    values = {"tenant": "", "words": database.term(["w17"])}
    found = await explained(database, sql, [values[name] for name in names])
    assert "accounts__1__words" in found


async def test_the_rows_of_a_batch_are_searched_by_key_by_a_statement_planned_on_no_rows(
    database: PostgresReadDatabase,
) -> None:
    """After five runs the server may keep a plan, and the table has grown since."""
    load = database._statements.of(table_of(database)).load
    keys: list[Any] = [[""] * 20, [uuid4() for _ in range(20)]]
    async with database.snapshot(projecting=True) as snapshot:
        connection: Connection = snapshot._connection  # type: ignore[attr-defined]
        for _ in range(8):
            await connection.driver.fetch(load, *keys)
    empty = await explained(database, load, keys)
    await fill(database)
    for found in (empty, await explained(database, load, keys)):
        assert "accounts__1_pkey" in found
        assert "Seq Scan" not in found
