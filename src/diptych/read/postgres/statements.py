"""Statements that are compiled once and given to the driver as text.

Those for many rows take one array for each column and join `unnest` of them: one message for any
number of rows, planned once. A list of keys compared with `= ANY` would be a sequential scan as
soon as the server keeps a plan that was made when the table was small.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY, TSQUERY, Insert, insert

from diptych.read.columns import ColumnType
from diptych.read.compiled import CompiledStatements
from diptych.read.standings import POSITIONS
from diptych.read.table import POSITION, SEARCH, TENANT, VERSION, ViewTable

_DIALECT: Final = postgresql.dialect()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class TableStatements:
    """`load`, `insert` and `update` take an array for each column, the others a row's values."""

    load: str
    get: str
    insert: str
    update: str
    remove: str


class Statements(CompiledStatements[TableStatements]):
    """The statements of one read database; those of a table are made when it is first used."""

    def __init__(self, dialect: sa.Dialect, *, schema: str) -> None:
        super().__init__(dialect)
        self.positions = _in_schema(POSITIONS, dialect, schema)

    def _of(self, view: ViewTable) -> TableStatements:
        table, key = view.table, view.full_key
        columns = [table.c[name] for name in view.fields]
        at_key = sa.and_(*(table.c[name] == sa.bindparam(name) for name in key))
        got = sa.select(*columns, table.c[POSITION], table.c[VERSION]).where(at_key)
        return TableStatements(
            load=self._text(_load(view), *key),
            get=self._text(got, *key),
            insert=self._text(_insert(view), *view.saved),
            update=self._text(_update(view), *view.saved),
            remove=self._text(sa.delete(table).where(at_key), *key),
        )


def _in_schema(statement: sa.ClauseElement, dialect: sa.Dialect, schema: str) -> str:
    """For a statement that runs alone, outside of a transaction that sets the search path."""
    places = {None: schema}
    compiled = statement.compile(
        dialect=dialect, schema_translate_map=places, render_schema_translate=True
    )
    return str(compiled)


# Many rows


def _load(view: ViewTable) -> sa.Select[Any]:
    """One search of the key's index for each key: LIMIT keeps it from becoming another join."""
    columns, given = view.table.c, _given(view, view.full_key)
    at_key = sa.and_(*(columns[name] == given.c[name] for name in view.full_key))
    fields = (columns[name] for name in view.fields)
    found = sa.select(columns[TENANT], *fields, columns[VERSION])
    one = found.where(at_key).limit(sa.literal_column("1")).lateral("found")
    every: list[sa.ColumnElement[Any]] = [*one.c]
    return sa.select(*every).select_from(given.join(one, sa.true()))


def _insert(view: ViewTable) -> Insert:
    given = _given(view, view.saved)
    values = [_words(given.c[name]) if name == SEARCH else given.c[name] for name in view.saved]
    return insert(view.table).from_select(view.saved, sa.select(*values))


def _update(view: ViewTable) -> Insert:
    """An upsert, because it finds its row by the index whatever the plan."""
    new = _insert(view)
    changed: dict[str, Any] = {
        name: new.excluded[name] for name in view.saved if name not in view.full_key
    }
    if view.searchable:
        changed[SEARCH] = sa.func.coalesce(new.excluded[SEARCH], view.table.c[SEARCH])
    return new.on_conflict_do_update(index_elements=list(view.full_key), set_=changed)


def _given(view: ViewTable, names: Sequence[str]) -> sa.TableValuedAlias:
    """The arrays as a table whose columns have the names of the view's."""
    arrays = [sa.bindparam(name, type_=ARRAY(_element(view.table.c[name]))) for name in names]
    columns = [sa.column(name, _element(view.table.c[name])) for name in names]
    return sa.func.unnest(*arrays).table_valued(*columns, name="given").render_derived()


def _element(column: sa.Column[Any]) -> sa.types.TypeEngine[Any]:
    """The column's type without its collation and precision, which arrays have not."""
    declared = column.type
    stored = declared.load_dialect_impl(_DIALECT) if isinstance(declared, ColumnType) else declared
    if isinstance(stored, sa.String):
        return sa.Text()
    if isinstance(stored, sa.Numeric) and not isinstance(stored, sa.Float):
        return sa.Numeric()
    return stored


# Full-text search. Words were decided in `diptych.read.search`, so no parser of PostgreSQL may
# split them again: a word is a lexeme as it is


def _words(text: sa.ColumnElement[str]) -> sa.ColumnElement[Any]:
    return sa.func.array_to_tsvector(sa.func.string_to_array(text, sa.literal_column("' '")))


def search_condition(view: ViewTable) -> sa.ColumnElement[bool]:
    term = sa.cast(sa.bindparam("words", type_=sa.Text), TSQUERY)
    return view.table.c[SEARCH].bool_op("@@")(term)


def search_term(words: Sequence[str]) -> str:
    """Each is a prefix, and all must be there. They are letters and digits, and quoted besides."""
    return " & ".join(f"'{word}':*" for word in words)


# Who reads


def older_queries(before: datetime, *, application: str) -> sa.Select[Any]:
    """How many queries of ours have a transaction that began before that time."""
    names = ("datname", "application_name", "xact_start")
    there = sa.table("pg_stat_activity", *(sa.column(name) for name in names))
    return (
        sa.select(sa.func.count())
        .select_from(there)
        .where(
            there.c.datname == sa.func.current_database(),
            there.c.application_name == application,
            there.c.xact_start < before,
        )
    )
