"""`Page`: part of a list, and how a page of a view is asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import sqlalchemy as sa

from diptych.errors import InvalidInput, LimitExceeded
from diptych.read.columns import ordered
from diptych.read.cursor import decode_cursor, encode_cursor
from diptych.read.search import words_of
from diptych.read.table import TENANT, ViewTable
from diptych.read.view import View

T = TypeVar("T")

MAX_PAGE_SIZE: Final = 500
MAX_OFFSET: Final = 100_000
"""Rows that are skipped for a page by number; beyond them a cursor goes on, at no cost."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Items with their total, from one snapshot, so that they agree.

    `total` and `total_pages` are of the whole list. `next_cursor` leads to the next page however
    deep it is, and is None on the last one; rows that come or go before it do not shift it.
    """

    items: tuple[T, ...]
    total: int
    page: int
    page_size: int
    total_pages: int
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What a query asks of a view; checked when it is made.

    Raises: InvalidInput, LimitExceeded: a number out of range, or an order that is not offered.
    """

    view: View[Any]
    tenant: str
    where: Mapping[str, Any]
    words: Sequence[str] | None
    order_by: str
    descending: bool
    page: int
    page_size: int

    @property
    def order(self) -> tuple[str, ...]:
        """The key comes last, so that no two rows are equal."""
        return tuple(dict.fromkeys((self.order_by, *self.view.shape.key)))

    @property
    def binding(self) -> object:
        """All that a cursor depends on."""
        where = sorted(self.where.items())
        return [self.view.name, self.tenant, where, self.words, self.order_by, self.descending]


def page_request(
    view: View[Any],
    *,
    tenant: str,
    where: Mapping[str, Any],
    search: str | None,
    order_by: str | None,
    descending: bool,
    page: int,
    page_size: int,
) -> PageRequest:
    _check_range("page_size", page_size)
    if page_size > MAX_PAGE_SIZE:
        raise LimitExceeded("page_size", limit=MAX_PAGE_SIZE, unit="rows a page")
    _check_range("page", page)
    if (page - 1) * page_size > MAX_OFFSET:
        last = MAX_OFFSET // page_size + 1
        raise LimitExceeded("page", limit=last, unit="pages by number; go on with the cursor")
    order_by = order_by or view.shape.key[0]
    if order_by not in view.sortable:
        raise InvalidInput("order_by", f"must be one of {', '.join(view.sortable)}")
    given = {name: value for name, value in where.items() if value is not None}
    for name in given:
        view.layout.require_sortable(name)
    words = words_of(search) if search and search.strip() else None
    if words is not None and not view.shape.search:
        raise InvalidInput("search", f"view {view.name} has no fields to search")
    return PageRequest(view, tenant, given, words, order_by, descending, page, page_size)


def _check_range(field: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidInput(field, "must be a whole number from 1")


# Statements


def condition(
    request: PageRequest, table: ViewTable, found: sa.ColumnElement[bool] | None
) -> sa.ColumnElement[bool]:
    """The rows that the request is about; `found` is the condition of its search."""
    columns = table.table.c
    parts = [columns[TENANT] == request.tenant]
    parts += [columns[name] == value for name, value in request.where.items()]
    if found is not None:
        parts.append(found)
    return sa.and_(*parts)


def counting(table: ViewTable, where: sa.ColumnElement[bool]) -> sa.Select[Any]:
    return sa.select(sa.func.count()).select_from(table.table).where(where)


def selecting(
    request: PageRequest,
    table: ViewTable,
    where: sa.ColumnElement[bool],
    *,
    after: Sequence[Any] | None,
) -> sa.Select[Any]:
    """The driver's values of the page's rows, and of one more that tells of a next page."""
    columns = table.table.c
    raw: list[sa.ColumnElement[Any]] = [
        sa.type_coerce(columns[name], sa.types.NULLTYPE) for name in table.fields
    ]
    order = [ordered(columns[name], descending=request.descending) for name in request.order]
    statement: sa.Select[Any] = sa.select(*raw).where(where).order_by(*order)
    statement = statement.limit(request.page_size + 1)
    if after is not None:
        return statement.where(_beyond(request, table, after))
    return statement.offset((request.page - 1) * request.page_size)


def _beyond(request: PageRequest, table: ViewTable, after: Sequence[Any]) -> sa.ColumnElement[bool]:
    """Rows that come after these values; None comes last, in either direction."""
    columns = [table.table.c[name] for name in request.order]
    first, value = columns[0], after[0]
    if not first.nullable:
        return _past(columns, after, request)
    ties = _past(columns[1:], after[1:], request)
    if value is None:
        return sa.and_(first.is_(None), ties)
    later = _past([first], [value], request)
    return sa.or_(later, sa.and_(first == value, ties), first.is_(None))


def _past(
    columns: Sequence[sa.Column[Any]], values: Sequence[Any], request: PageRequest
) -> sa.ColumnElement[bool]:
    """Row values compare from left to right, and an index can begin at them."""
    here = sa.tuple_(*columns)
    there = sa.tuple_(
        *(sa.literal(value, column.type) for column, value in zip(columns, values, strict=True))
    )
    return here < there if request.descending else here > there


# Cursors


def start_of(request: PageRequest, cursor: str) -> tuple[int, Sequence[Any]]:
    """The page number and the values after which the page begins.

    Raises: InvalidCursor: the cursor was made by another query, or was changed.
    """
    types = [request.view.layout.field_type(name) for name in request.order]
    return decode_cursor(cursor, request.binding, types=types)


def cursor_after(request: PageRequest, row: object, *, page: int) -> str:
    values = [getattr(row, name) for name in request.order]
    return encode_cursor(request.binding, page=page + 1, values=values)
