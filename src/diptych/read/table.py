"""The table of one revision of a view: the row's columns, and the hidden ones around them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import TSVECTOR

from diptych.errors import ConfigurationError
from diptych.read.column_kinds import unwrap
from diptych.read.columns import RowLayout

ID: Final = "_id"
TENANT: Final = "_tenant"
POSITION: Final = "_position"
VERSION: Final = "_version"
SEARCH: Final = "_search"

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_RESERVED: Final = ("diptych", "sqlite_", "pg_")


@dataclass(frozen=True, slots=True, eq=False)
class ViewTable:
    """A view's table in one revision.

    `key` and `fields` name columns of the row; the tenant comes before the key in every key and
    every index. `_position` is that of the last event that changed the row, `_version` the
    stream's version there when the key is the stream's, `_search` normalised text (on PostgreSQL
    its words).
    """

    table: sa.Table
    key: tuple[str, ...]
    fields: tuple[str, ...]
    searchable: bool

    @property
    def name(self) -> str:
        return self.table.name

    @property
    def full_key(self) -> tuple[str, ...]:
        return (TENANT, *self.key)

    @property
    def saved(self) -> tuple[str, ...]:
        """The columns that the projector writes, in its order."""
        searched = (SEARCH,) if self.searchable else ()
        return (TENANT, *self.fields, POSITION, VERSION, *searched)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a view says about its table."""

    key: tuple[str, ...]
    indexes: tuple[tuple[str, ...], ...]
    search: tuple[str, ...]

    def check(self, layout: RowLayout[Any]) -> None:
        """Raises ConfigurationError: a column that is not there or cannot serve its purpose."""
        for name in self.key:
            _check_key(name, layout)
        for index in self.indexes:
            for name in index:
                layout.require_sortable(name)
        for name in self.search:
            if unwrap(layout.field_type(name)).bare is not str:
                raise ConfigurationError(f"search: field {name!r} is not text; declare it as str")


def _check_key(name: str, layout: RowLayout[Any]) -> None:
    layout.require_sortable(name)
    hint = unwrap(layout.field_type(name))
    if hint.nullable or hint.bare in (float, bytes):
        raise ConfigurationError(
            f"key: field {name!r} of {layout.row_type.__name__} may be None, a float or bytes;"
            " a key is a UUID, str, int, date, datetime or Enum"
        )


def view_table(name: str, layout: RowLayout[Any], shape: Shape, dialect: sa.Dialect) -> ViewTable:
    """Its columns, its unique key and its indexes under `name`; nothing is created yet."""
    big, text = sa.BigInteger(), sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    columns: list[sa.Column[Any]] = [
        sa.Column(TENANT, text, nullable=False),
        *layout.columns(),
        sa.Column(POSITION, big, nullable=False),
        sa.Column(VERSION, big),
    ]
    if shape.search:
        columns.append(sa.Column(SEARCH, sa.Text().with_variant(TSVECTOR(), "postgresql")))
    table = sa.Table(name, sa.MetaData(), *_keyed(columns, shape.key, dialect.name))
    for number, index in enumerate(shape.indexes):
        _index(table, number, index, shape.key)
    if dialect.name == "postgresql":
        _index_for_postgresql(table, shape)
    return ViewTable(table, shape.key, layout.names, bool(shape.search))


def _keyed(
    columns: Sequence[sa.Column[Any]], key: Sequence[str], dialect: str
) -> list[sa.schema.SchemaItem]:
    """On SQLite with an integer for each row, which the index of words has in place of the key."""
    if dialect != "sqlite":
        return [*columns, sa.PrimaryKeyConstraint(TENANT, *key)]
    unique = sa.UniqueConstraint(TENANT, *key)
    return [sa.Column(ID, sa.Integer, primary_key=True), *columns, unique]


def _index(table: sa.Table, number: int, names: Sequence[str], key: Sequence[str]) -> None:
    """The key comes last, so that a page sorted by the index needs no sorting for its ties."""
    columns = dict.fromkeys((TENANT, *names, *key))
    sa.Index(f"{table.name}__{number}", *(table.c[column] for column in columns))


def _index_for_postgresql(table: sa.Table, shape: Shape) -> None:
    """Words, and what a page in descending order with None last is read from: PostgreSQL can
    read an index backwards, but then None comes first."""
    for number, names in enumerate(shape.indexes):
        *filters, by = names
        if table.c[by].nullable:
            rest = [column for column in shape.key if column not in names]
            ordered = [table.c[by].desc().nulls_last(), *(table.c[each].desc() for each in rest)]
            equal = [table.c[column] for column in (TENANT, *filters)]
            sa.Index(f"{table.name}__{number}d", *equal, *ordered)
    if shape.search:
        sa.Index(f"{table.name}__words", table.c[SEARCH], postgresql_using="gin")


def revised(name: str, revision: int) -> str:
    """The name of a table in one revision."""
    return f"{name}__{revision}"


def check_table_name(what: str, name: str) -> None:
    """Raises ConfigurationError: the name cannot be a table's on every database."""
    if not _NAME.fullmatch(name) or name.startswith(_RESERVED) or "__" in name:
        raise ConfigurationError(
            f"{what} {name!r}: write up to 40 of a-z, 0-9 and single _, beginning with a letter,"
            " and not with diptych, sqlite_ or pg_"
        )
