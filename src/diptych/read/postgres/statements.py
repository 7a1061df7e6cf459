"""Statements that are compiled once and given to the driver as text.

Those for many rows take one array for each column and join `unnest` of them: one message for any
number of rows, planned once. A list of keys compared with `= ANY` would be a sequential scan as
soon as the server keeps a plan that was made when the table was small.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import TSQUERY, TSVECTOR

from diptych.read.database import Wanted
from diptych.read.standings import ADVANCE, MINE, POSITIONS, select_standings
from diptych.read.table import POSITION, SEARCH, VERSION, ViewTable

Compiled = tuple[str, tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class TableStatements:
    """`load`, `insert` and `update` take an array for each column, the others a row's values."""

    load: str
    get: str
    insert: str
    update: str
    remove: str


class Statements:
    """The statements of one read database; those of a table are made when it is first used."""

    def __init__(self, dialect: sa.Dialect, *, schema: str) -> None:
        self._dialect = dialect
        self._tables: dict[str, TableStatements] = {}
        self._standings: dict[tuple[Wanted, ...], Compiled] = {}
        self._kept: dict[sa.Select[Any], tuple[str, tuple[str, ...]]] = {}
        self.advance = self._text(ADVANCE, "to", "id", "at", *MINE)
        self.positions = _in_schema(POSITIONS, dialect, schema)

    def of(self, view: ViewTable) -> TableStatements:
        found = self._tables.get(view.name)
        if found is None:
            found = self._tables[view.name] = self._of(view)
        return found

    def standings(self, wanted: tuple[Wanted, ...]) -> Compiled:
        found = self._standings.get(wanted)
        if found is None:
            compiled = select_standings(wanted).compile(dialect=self._dialect)
            values = tuple(compiled.params[name] for name in _order(compiled))
            found = self._standings[wanted] = (str(compiled), values)
        return found

    def kept(self, statement: sa.Select[Any]) -> tuple[str, tuple[str, ...]]:
        """SQL text, and the names of its parameters in order."""
        found = self._kept.get(statement)
        if found is None:
            compiled = statement.compile(dialect=self._dialect)
            found = self._kept[statement] = (str(compiled), _order(compiled))
        return found

    def _of(self, view: ViewTable) -> TableStatements:
        table, key = view.table, view.full_key
        columns = [table.c[name] for name in view.fields]
        at_key = sa.and_(*(table.c[name] == sa.bindparam(name) for name in key))
        got = sa.select(*columns, table.c[POSITION], table.c[VERSION]).where(at_key)
        insert = _insert(view, self._dialect)
        return TableStatements(
            load=_load(view, self._dialect),
            get=self._text(got, *key),
            insert=insert,
            update=f"{insert} {_on_conflict(view, self._dialect)}",
            remove=self._text(sa.delete(table).where(at_key), *key),
        )

    def _text(self, statement: sa.ClauseElement, *names: str) -> str:
        """SQL that takes the values of `names` in that order."""
        compiled = statement.compile(dialect=self._dialect)
        if _order(compiled) != names:
            raise AssertionError(f"{_order(compiled)} is not {names}")
        return str(compiled)


def _order(compiled: Any) -> tuple[str, ...]:
    return tuple(compiled.positiontup or ())


def _in_schema(statement: sa.ClauseElement, dialect: sa.Dialect, schema: str) -> str:
    """For a statement that runs alone, outside of a transaction that sets the search path."""
    places = {None: schema}
    compiled = statement.compile(
        dialect=dialect, schema_translate_map=places, render_schema_translate=True
    )
    return str(compiled)


# Many rows. Names of columns are quoted by SQLAlchemy; all other text is ours


def _load(view: ViewTable, dialect: sa.Dialect) -> str:
    """One search of the key's index for each key: LIMIT keeps it from becoming another join."""
    quote, key = dialect.identifier_preparer.quote, view.full_key
    names = [quote(name) for name in (key[0], *view.fields)]
    at_key = " AND ".join(f"{quote(name)} = k{number}" for number, name in enumerate(key))
    one = f"SELECT {', '.join(names)} FROM {quote(view.name)} WHERE {at_key} LIMIT 1"  # noqa: S608
    source = _unnested(view, key, dialect)
    return f"SELECT found.* FROM {source} CROSS JOIN LATERAL ({one}) AS found"  # noqa: S608


def _insert(view: ViewTable, dialect: sa.Dialect) -> str:
    quote = dialect.identifier_preparer.quote
    names = ", ".join(quote(name) for name in view.saved)
    values = ", ".join(
        _WORDS % f"k{number}" if name == SEARCH else f"k{number}"
        for number, name in enumerate(view.saved)
    )
    source = _unnested(view, view.saved, dialect)
    return f"INSERT INTO {quote(view.name)} ({names}) SELECT {values} FROM {source}"  # noqa: S608


def _on_conflict(view: ViewTable, dialect: sa.Dialect) -> str:
    """An upsert, because it finds its row by the index whatever the plan."""
    quote = dialect.identifier_preparer.quote
    key = ", ".join(quote(name) for name in view.full_key)
    changed = [quote(name) for name in view.saved if name not in (*view.full_key, SEARCH)]
    sets = [f"{name} = excluded.{name}" for name in changed]
    if view.searchable:
        sets.append(f"{SEARCH} = coalesce(excluded.{SEARCH}, {quote(view.name)}.{SEARCH})")
    return f"ON CONFLICT ({key}) DO UPDATE SET {', '.join(sets)}"


def _unnested(view: ViewTable, names: Sequence[str], dialect: sa.Dialect) -> str:
    types = [_array_type(view.table.c[name], dialect) for name in names]
    arrays = ", ".join(f"${number}::{each}[]" for number, each in enumerate(types, 1))
    columns = ", ".join(f"k{number}" for number in range(len(names)))
    return f"unnest({arrays}) AS k({columns})"


def _array_type(column: sa.Column[Any], dialect: sa.Dialect) -> str:
    """The column's type without its collation and precision, which arrays have not."""
    stored = column.type.dialect_impl(dialect)
    stored = getattr(stored, "impl_instance", stored)
    if isinstance(stored, sa.String | TSVECTOR):
        return "text"
    if isinstance(stored, sa.Numeric) and not isinstance(stored, sa.Float):
        return "numeric"
    return str(stored.compile(dialect=dialect))


# Full-text search. Words were decided in `diptych.read.search`, so no parser of PostgreSQL may
# split them again: a word is a lexeme as it is

_WORDS: Final = "array_to_tsvector(string_to_array(%s, ' '))"


def search_condition(view: ViewTable) -> sa.ColumnElement[bool]:
    term = sa.cast(sa.bindparam("words", type_=sa.Text), TSQUERY)
    return view.table.c[SEARCH].bool_op("@@")(term)


def search_term(words: Sequence[str]) -> str:
    """Each is a prefix, and all must be there. They are letters and digits, and quoted besides."""
    return " & ".join(f"'{word}':*" for word in words)
