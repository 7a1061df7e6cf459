"""The statements of views go through indexes: no scan of the table, no sorting."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from diptych.read.plan import Kind, plan
from diptych.read.sqlite.database import SqliteReadDatabase
from diptych.read.sqlite.statements import listed
from tests.integration.accounts import accounts

ORDER = ("balance", "account_id")


async def explained(path: Path, statement: str | sa.Select[Any], values: dict[str, Any]) -> str:
    database = SqliteReadDatabase(path)
    await database.open(log_id=uuid4())
    try:
        bound = accounts.bind(1, database.dialect)
        async with database.transaction() as tx:
            await bound.create(tx)
        statements = database._statements
        if isinstance(statement, str):
            sql, names = getattr(statements.of(bound.table), statement), tuple(values)
        else:
            sql, names = statements.kept(statement)
        assert database._open is not None
        driver = database._open.writer.driver
        rows = driver.execute(f"EXPLAIN QUERY PLAN {sql}", tuple(values[name] for name in names))
        return "; ".join(row[-1] for row in rows)
    finally:
        await database.close()


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("begins", ["offset", "value"])
async def test_a_page_is_read_in_the_order_of_its_index(
    tmp_path: Path, descending: bool, begins: str
) -> None:
    kind = Kind(("owner",), False, ORDER, descending, begins)
    table = accounts.bind(1, SqliteReadDatabase().dialect).table
    values = {"tenant": "", "where_owner": "Ann", "limit": 51, "offset": 0}
    values |= {"after_balance": 5, "after_account_id": "00"}
    found = await explained(tmp_path / "read.db", plan(kind, table, None).rows, values)
    assert "USING INDEX accounts__1__0" in found
    assert "SCAN" not in found
    assert "TEMP B-TREE" not in found


async def test_a_total_is_counted_in_an_index(tmp_path: Path) -> None:
    kind = Kind(("owner",), False, ORDER, False, "offset")
    table = accounts.bind(1, SqliteReadDatabase().dialect).table
    values = {"tenant": "", "where_owner": "Ann"}
    found = await explained(tmp_path / "read.db", plan(kind, table, None).total, values)
    assert "USING COVERING INDEX accounts__1__0" in found


async def test_the_rows_of_a_batch_are_searched_key_by_key(tmp_path: Path) -> None:
    keys = listed([("", "a"), ("", "b")])
    found = await explained(tmp_path / "read.db", "load", {"keys": keys})
    assert "SEARCH accounts__1 USING INDEX" in found
    assert "SCAN accounts__1" not in found


async def test_a_row_is_searched_by_its_key(tmp_path: Path) -> None:
    found = await explained(tmp_path / "read.db", "get", {"_tenant": "", "account_id": "a"})
    assert "SEARCH accounts__1 USING INDEX" in found
