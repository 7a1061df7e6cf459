"""`Page`: part of a list, and how a page of a view is asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from diptych.errors import InvalidInput, LimitExceeded
from diptych.read.cursor import decode_cursor, encode_cursor
from diptych.read.plan import Kind
from diptych.read.search import words_of
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

    def kind(self, after: Sequence[Any] | None) -> Kind:
        begins = "offset" if after is None else "null" if after[0] is None else "value"
        where = tuple(sorted(self.where))
        return Kind(where, self.words is not None, self.order, self.descending, begins)

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


def parameters(
    request: PageRequest, *, where: Mapping[str, object], after: Mapping[str, object]
) -> dict[str, object]:
    """The values of a plan's parameters; `where` and `after` are the driver's, by field."""
    skipped = 0 if after else (request.page - 1) * request.page_size
    found: dict[str, object] = {"limit": request.page_size + 1, "offset": skipped}
    found |= {f"where_{name}": value for name, value in where.items()}
    return found | {f"after_{name}": value for name, value in after.items()}


def start_of(request: PageRequest, cursor: str) -> tuple[int, Sequence[Any]]:
    """The page number and the values after which the page begins.

    Raises: InvalidCursor: the cursor was made by another query, or was changed.
    """
    types = [request.view.layout.field_type(name) for name in request.order]
    return decode_cursor(cursor, request.binding, types=types)


def cursor_after(request: PageRequest, row: object, *, page: int) -> str:
    values = [getattr(row, name) for name in request.order]
    return encode_cursor(request.binding, page=page + 1, values=values)
