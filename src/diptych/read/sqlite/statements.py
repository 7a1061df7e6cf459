"""Statements that are compiled once and given to the driver as text."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import Insert, insert

from diptych.read.columns import ColumnType
from diptych.read.compiled import CompiledStatements
from diptych.read.standings import POSITIONS
from diptych.read.table import ID, POSITION, SEARCH, VERSION, ViewTable


@dataclass(frozen=True, slots=True)
class TableStatements:
    """`load` and those of `listed_words` take a JSON array of full keys, `last` nothing, and
    `add_words` what it returned; the packed ones take a JSON array of rows, and are empty where
    JSON does not hold all values exactly; the others take a tuple for each row."""

    load: str
    get: str
    insert: str
    update: str
    remove: str
    insert_packed: str = ""
    update_packed: str = ""
    last: str = ""
    add_words: str = ""
    add_listed_words: str = ""
    drop_listed_words: str = ""


class Statements(CompiledStatements[TableStatements]):
    """The statements of one read database; those of a table are made when it is first used."""

    def __init__(self, dialect: sa.Dialect) -> None:
        super().__init__(dialect)
        self.positions = self._text(POSITIONS)

    def _of(self, view: ViewTable) -> TableStatements:
        table, key = view.table, view.full_key
        columns = [table.c[name] for name in view.fields]
        at_key = sa.and_(*(table.c[name] == sa.bindparam(name) for name in key))
        loaded = sa.select(table.c[key[0]], *columns, table.c[VERSION]).where(_listed(view))
        got = sa.select(*columns, table.c[POSITION], table.c[VERSION]).where(at_key)
        found = TableStatements(
            load=self._text(loaded, "keys"),
            get=self._text(got, *key),
            insert=self._text(_insert(view), *view.saved),
            update=self._text(_update(view, _insert(view)), *view.saved),
            remove=self._text(sa.delete(table).where(at_key), *key),
        )
        if all(_is_exact_in_json(column) for column in table.columns):
            packed = _insert_packed(view)
            found = replace(
                found,
                insert_packed=self._text(packed, "rows"),
                update_packed=self._text(_update(view, packed), "rows"),
            )
        return self._with_words(found, view) if view.searchable else found

    def _with_words(self, found: TableStatements, view: ViewTable) -> TableStatements:
        of_id = view.table.c[ID]
        after = of_id > sa.bindparam("last")
        return replace(
            found,
            last=self._text(sa.select(sa.func.coalesce(sa.func.max(of_id), _ZERO))),
            add_words=self._text(_add_words(view, after), "last"),
            add_listed_words=self._text(_add_words(view, _listed(view)), "keys"),
            drop_listed_words=self._text(_drop_words(view, _listed(view)), "keys"),
        )


_ZERO: Final[sa.ColumnElement[int]] = sa.literal_column("0")
_TRUE: Final[sa.ColumnElement[bool]] = sa.literal_column("true")


def listed(keys: Sequence[tuple[object, ...]]) -> str:
    """Full keys or rows as the JSON that `keys` or `rows` stands for in the statements."""
    return msgspec.json.encode(keys).decode()


def _listed(view: ViewTable) -> sa.ColumnElement[bool]:
    """Row values, so that the unique index is searched once for each key of the list."""
    keys = sa.func.json_each(sa.bindparam("keys")).table_valued("value")
    parts = [
        sa.func.json_extract(keys.c.value, sa.literal_column(f"'$[{index}]'"))
        for index in range(len(view.full_key))
    ]
    columns = [view.table.c[name] for name in view.full_key]
    return sa.tuple_(*columns).in_(sa.select(*parts))


def _insert(view: ViewTable) -> Insert:
    return insert(view.table).values({name: sa.bindparam(name) for name in view.saved})


def _insert_packed(view: ViewTable) -> Insert:
    """One step for any number of rows: during a step other threads have Python to themselves."""
    rows = sa.func.json_each(sa.bindparam("rows")).table_valued("value")
    values = [
        sa.func.json_extract(rows.c.value, sa.literal_column(f"'$[{index}]'"))
        for index in range(len(view.saved))
    ]
    given = sa.select(*values).where(_TRUE)  # or SQLite takes ON CONFLICT for a join's
    return insert(view.table).from_select(view.saved, given)


def _update(view: ViewTable, new: Insert) -> Insert:
    """An upsert, because it takes the values in the same order as the insert."""
    changed: dict[str, Any] = {
        name: new.excluded[name] for name in view.saved if name not in view.full_key
    }
    if view.searchable:
        changed[SEARCH] = sa.func.coalesce(new.excluded[SEARCH], view.table.c[SEARCH])
    return new.on_conflict_do_update(index_elements=list(view.full_key), set_=changed)


def _is_exact_in_json(column: sa.Column[Any]) -> bool:
    declared = column.type
    stored = declared.field.kind.sqlite.type if isinstance(declared, ColumnType) else declared
    return not isinstance(stored, sa.Float | sa.LargeBinary)


# Full-text search: an index of words beside the table. It is kept equal by a statement for many
# rows, not by triggers: they flush the index at each row, which takes ten times as long. `ascii`
# splits normalised text at its blanks; all else was decided in `diptych.read.search`

_WORDS: Final = (
    "CREATE VIRTUAL TABLE %(words)s USING fts5(%(text)s, content='%(rows)s',"
    " content_rowid='%(id)s', tokenize='ascii', detail=none, columnsize=0)"
)


def create_words(view: ViewTable) -> sa.DDL:
    """Names are checked by `check_table_name`, so there is nothing to quote."""
    names = {"words": _words(view), "rows": view.name, "text": SEARCH, "id": ID}
    return sa.DDL(_WORDS, context=names)  # type: ignore[no-untyped-call]


def search_condition(view: ViewTable) -> sa.ColumnElement[bool]:
    name = _words(view)
    index = sa.table(name, sa.column("rowid"))
    matching = sa.literal_column(name).op("MATCH")(sa.bindparam("words"))
    return view.table.c[ID].in_(sa.select(index.c.rowid).where(matching))


def search_term(words: Sequence[str]) -> str:
    """Each is a prefix, and all must be there. They are letters and digits, and quoted besides."""
    return " ".join(f'"{word}"*' for word in words)


def _add_words(view: ViewTable, rows: sa.ColumnElement[bool]) -> sa.Insert:
    text = (view.table.c[ID], view.table.c[SEARCH])
    index = sa.table(_words(view), sa.column("rowid"), sa.column(SEARCH))
    return sa.insert(index).from_select(["rowid", SEARCH], sa.select(*text).where(rows))


def _drop_words(view: ViewTable, rows: sa.ColumnElement[bool]) -> sa.Insert:
    """FTS5 finds the entries to delete by the text that they were made from."""
    name = _words(view)
    text: tuple[Any, ...] = (sa.literal_column("'delete'"), view.table.c[ID], view.table.c[SEARCH])
    index = sa.table(name, sa.column(name), sa.column("rowid"), sa.column(SEARCH))
    return sa.insert(index).from_select([name, "rowid", SEARCH], sa.select(*text).where(rows))


def _words(view: ViewTable) -> str:
    return words_of(view.name)


def words_of(table: str) -> str:
    """The index of words beside a table."""
    return f"{table}__words"
