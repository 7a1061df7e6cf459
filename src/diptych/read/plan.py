"""The two statements of a page, made and compiled once for each kind of request."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa

from diptych.read.columns import ordered
from diptych.read.table import TENANT, ViewTable


class Kind(NamedTuple):
    """What tells the statements of one request from those of another; their values do not.

    `begins` says where the page begins: at an `offset`, after a row whose first sort column has a
    `value`, or after one where it is `null`.
    """

    where: tuple[str, ...]
    searched: bool
    order: tuple[str, ...]
    descending: bool
    begins: str


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Statements with named parameters: `tenant`, `words`, `where_…`, `after_…`, `limit`, `offset`.

    `rows` gives the driver's values, and one row more than the page has, to tell of a next one.
    """

    total: sa.Select[Any]
    rows: sa.Select[Any]


def plan(kind: Kind, table: ViewTable, found: sa.ColumnElement[bool] | None) -> Plan:
    """`found` is the condition of the search, if there is one."""
    columns = table.table.c
    parts = [columns[TENANT] == sa.bindparam("tenant")]
    parts += [columns[name] == sa.bindparam(f"where_{name}") for name in kind.where]
    if found is not None:
        parts.append(found)
    where = sa.and_(*parts)
    total: sa.Select[Any] = sa.select(sa.func.count()).select_from(table.table).where(where)
    return Plan(total, _rows(kind, table, where))


def _rows(kind: Kind, table: ViewTable, where: sa.ColumnElement[bool]) -> sa.Select[Any]:
    columns = table.table.c
    fields: list[sa.ColumnElement[Any]] = [columns[name] for name in table.fields]
    order = [ordered(columns[name], descending=kind.descending) for name in kind.order]
    found: sa.Select[Any] = sa.select(*fields).where(where).order_by(*order)
    if kind.begins != "offset":
        found = found.where(_beyond(kind, table))
    limit, offset = (sa.bindparam(name, type_=sa.Integer) for name in ("limit", "offset"))
    return found.limit(limit).offset(offset)


def _beyond(kind: Kind, table: ViewTable) -> sa.ColumnElement[bool]:
    """Rows that come after the given values; None comes last, in either direction."""
    columns = [table.table.c[name] for name in kind.order]
    first, rest = columns[0], columns[1:]
    if not first.nullable:
        return _past(columns, kind)
    ties = _past(rest, kind)
    if kind.begins == "null":
        return sa.and_(first.is_(None), ties)
    tied = sa.and_(first == _after(first), ties)
    return sa.or_(_past([first], kind), tied, first.is_(None))


def _past(columns: Sequence[sa.Column[Any]], kind: Kind) -> sa.ColumnElement[bool]:
    """Row values compare from left to right, and an index can begin at them."""
    here, there = sa.tuple_(*columns), sa.tuple_(*map(_after, columns))
    return here < there if kind.descending else here > there


def _after(column: sa.Column[Any]) -> sa.BindParameter[Any]:
    return sa.bindparam(f"after_{column.name}", type_=column.type)
