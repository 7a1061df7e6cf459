"""Many rows are written to SQLite in one step, by JSON: what is stored is what it always was."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import fields, make_dataclass, replace
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from diptych.read.columns import RowLayout
from diptych.read.database import Snapshot
from diptych.read.sqlite import writing
from diptych.read.sqlite.database import SqliteReadDatabase
from diptych.read.sqlite.statements import Statements
from diptych.read.table import Shape, ViewTable, view_table
from tests.unit.read.rows import EXAMPLE, SQLITE, Everything
from tests.unit.read.test_columns_values import FITTING

_OUTSIDE_OF_JSON = ("weight", "photo")
_NAMES = [each.name for each in fields(Everything) if each.name not in _OUTSIDE_OF_JSON]
_LAYOUT: RowLayout[Any] = RowLayout(
    make_dataclass("Most", [(name, RowLayout(Everything).field_type(name)) for name in _NAMES])
)
_SHAPE = Shape(("id",), (), ("name", "note"))
_VALUES = [(name, value) for name in _NAMES if name != "id" for value in FITTING.get(name, [])]
_ROWS = [
    _LAYOUT.built([getattr(replace(EXAMPLE, id=UUID(int=n), **{name: value}), x) for x in _NAMES])
    for n, (name, value) in enumerate(_VALUES)
]

Values = tuple[object, ...]


@pytest.fixture
async def database() -> AsyncIterator[SqliteReadDatabase]:
    opened = SqliteReadDatabase()
    await opened.open(log_id=uuid4())
    yield opened
    await opened.close()


def _saved(row: Any, *, position: int, text: str | None) -> Values:
    return ("té\"'", *_LAYOUT.values(row, SQLITE), position, None, text)


async def _stored(snapshot: Snapshot, table: ViewTable) -> Sequence[Sequence[object]]:
    columns = [*table.table.c, *(sa.func.typeof(column) for column in table.table.c)]
    plain = [sa.type_coerce(column, sa.types.NullType()) for column in columns]
    return [tuple(row) for row in await snapshot.execute(sa.select(*plain))]


async def _found(snapshot: Snapshot, table: ViewTable, word: str, matches: Any) -> list[object]:
    rows = await snapshot.select(sa.select(table.table.c["_id"]).where(matches), {"words": word})
    return [row[0] for row in rows]


async def test_rows_that_are_written_in_one_step_are_stored_as_one_by_one(
    database: SqliteReadDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = [view_table(f"kept__{n}", _LAYOUT, _SHAPE, database.dialect) for n in (1, 2)]
    new = [_saved(row, position=2**53 + 1, text=f"old{n}") for n, row in enumerate(_ROWS)]
    texts = (None, "new words")
    changed = [
        _saved(row, position=-(2**63), text=texts[n % 2]) for n, row in enumerate(_ROWS[::2])
    ]
    for table, many in zip(tables, (10**9, 1), strict=True):
        monkeypatch.setattr(writing, "_MANY", many)
        async with database.transaction() as tx:
            await tx.create(table)
            await tx.insert(table, new)
            await tx.update(table, changed)
    async with database.snapshot() as snapshot:
        one_by_one, in_one_step = [await _stored(snapshot, table) for table in tables]
        assert in_one_step == one_by_one
        assert len(one_by_one) == len(_ROWS) > len(changed) > 10
        for word in ("old1*", "new*", "words", "old2"):
            first, second = [
                await _found(snapshot, table, word, database.matches(table)) for table in tables
            ]
            assert first == second
            assert first or word == "old2"  # which was changed


@pytest.mark.parametrize("most", [0, 10_000, 10**9])
async def test_rows_that_are_too_large_for_one_step_are_stored_all_the_same(
    most: int, database: SqliteReadDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = make_dataclass("Large", [("id", int), ("text", str)])
    table = view_table("large__1", RowLayout(row), Shape(("id",), (), ()), database.dialect)
    monkeypatch.setattr(writing, "_MOST_PACKED", most)
    rows = [("", n, "é" * 1_000, 1, None) for n in range(450)]
    longest: list[int] = []
    run = writing.SqliteTransaction._run

    def measured(tx: Any, sql: str, values: tuple[Any, ...] = ()) -> Any:
        longest.extend(len(value) for value in values if isinstance(value, str))
        return run(tx, sql, values)

    monkeypatch.setattr(writing.SqliteTransaction, "_run", measured)
    async with database.transaction() as tx:
        await tx.create(table)
        await tx.insert(table, rows)
        await tx.update(table, rows)
    assert max(longest, default=0) <= most
    assert bool(longest) == (most > 450_000)
    async with database.snapshot() as snapshot:
        stored = await snapshot.execute(sa.select(table.table.c["id"], table.table.c["text"]))
    assert sorted(tuple(each) for each in stored) == [(n, "é" * 1_000) for n in range(450)]


@pytest.mark.parametrize("name", _OUTSIDE_OF_JSON)
def test_what_json_does_not_hold_exactly_is_written_row_by_row(name: str) -> None:
    row = make_dataclass("Some", [("id", UUID), (name, RowLayout(Everything).field_type(name))])
    table = view_table("some__1", RowLayout(row), Shape(("id",), (), ()), SQLITE)
    found = Statements(SQLITE).of(table)
    assert (found.insert_packed, found.update_packed) == ("", "")
