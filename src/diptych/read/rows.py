"""`Rows`: what a query handler reads with, all of it from one snapshot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar, cast, overload

import sqlalchemy as sa

from diptych.errors import ConfigurationError, InvalidInput
from diptych.read.bound_view import BoundView
from diptych.read.database import ReadDatabase, Snapshot
from diptych.read.missing import Missing
from diptych.read.model import Bound, ReadModel
from diptych.read.page import (
    Page,
    PageRequest,
    cursor_after,
    page_request,
    parameters,
    start_of,
)
from diptych.read.plan import Kind, Plan, plan
from diptych.read.projection import BoundProjection, Projection
from diptych.read.reads import Reads
from diptych.read.table import TENANT
from diptych.read.view import View

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Versioned(Generic[Row]):
    """A row with what tells one state of it from another.

    `position` is that of the last event that counted for the row. `version` is the stream's
    version there, for an `ETag` that `If-Match` can send back; None unless the key is the
    stream's (an `order-7` whose row has the key 7).
    """

    row: Row
    version: int | None
    position: int


class Rows:
    """The rows of one tenant in the views that the query declares. Made anew for each query."""

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        database: ReadDatabase,
        bound: Mapping[ReadModel, Bound],
        tenant: str,
        missing: Missing | None = None,
    ) -> None:
        self.tenant, self.reads = tenant, Reads()
        self._snapshot, self._database, self._bound = snapshot, database, bound
        self._missing = missing

    async def get(self, view: View[Row], key: object) -> Row | None:
        """The row with this key; a tuple for a key of several fields.

        Raises: InvalidInput: the key does not fit. KeyParked: events of it are parked.
        """
        found = await self.get_versioned(view, key)
        return None if found is None else found.row

    async def get_versioned(self, view: View[Row], key: object) -> Versioned[Row] | None:
        """The row with this key, its version and position.

        Raises: InvalidInput: the key does not fit. KeyParked: events of it are parked.
        """
        bound = self._view(view)
        if self._missing is not None:
            await self._missing.in_row(view, bound, key)
        full_key = bound.driver_key(self.tenant, key)
        values: Any = await self._snapshot.get(bound.table, full_key)
        self.reads.row(bound.table, full_key, values)
        if values is None:
            return None
        *fields, position, version = values
        return Versioned(bound.layout.row(fields, bound.dialect), version, position)

    async def page(
        self,
        view: View[Row],
        *,
        where: Mapping[str, Any] | None = None,
        search: str | None = None,
        order_by: str | None = None,
        descending: bool = False,
        page: int = 1,
        page_size: int = 50,
        cursor: str | None = None,
    ) -> Page[Row]:
        """A page of the rows whose fields equal `where` (None: not filtered by) and whose text
        has words that begin with each word of `search`, in the order of a field, then the key.

        `page` counts from 1 and reaches 100,000 rows deep; `cursor` is the `next_cursor` of the
        page before, under the same view, filters and order, and has no limit. None sorts last.

        Raises:
            InvalidInput: an order that is not one of `view.sortable`, a number out of range.
            LimitExceeded: more than 500 rows a page, too deep by number, a search too long.
            InvalidCursor: the cursor was changed, or belongs to another query.
            KeyParked: events that the client's token has seen are parked, and may belong here.
        """
        self._all_of(view)
        if cursor is not None and page != 1:
            raise InvalidInput("page", "must be left out where there is a cursor")
        request = page_request(
            view,
            tenant=self.tenant,
            where=where or {},
            search=search,
            order_by=order_by,
            descending=descending,
            page=page,
            page_size=page_size,
        )
        return await self._page(self._view(view), request, cursor)

    async def _page(
        self, bound: BoundView[Row], request: PageRequest, cursor: str | None
    ) -> Page[Row]:
        after = None
        if cursor is not None:
            number, after = start_of(request, cursor)
            request = replace(request, page=number)
        values = self._parameters(bound, request, after)
        if request.words == ():
            return _page_of((), request, total=0, more=False)
        statements, size = self._plan(bound, request.kind(after)), request.page_size
        ((total,),) = cast("Any", await self._snapshot.select(statements.total, values))
        found = await self._snapshot.select(statements.rows, values)
        items = tuple(bound.layout.row(each, bound.dialect) for each in found[:size])
        return _page_of(items, request, total=total, more=len(found) > size)

    def _plan(self, bound: BoundView[Any], kind: Kind) -> Plan:
        found = bound.plans.get(kind)
        if found is None:
            search = self._database.matches(bound.table) if kind.searched else None
            found = bound.plans[kind] = plan(kind, bound.table, search)
        return found

    def _parameters(
        self, bound: BoundView[Any], request: PageRequest, after: Sequence[Any] | None
    ) -> dict[str, object]:
        """The driver's values. Raises InvalidInput: a value does not fit its column."""

        def driver(values: Mapping[str, Any]) -> dict[str, object]:
            convert, dialect = bound.layout.value, bound.dialect
            return {name: convert(name, value, dialect) for name, value in values.items()}

        begins = dict(zip(request.order, after or (), strict=False))
        found = parameters(request, where=driver(request.where), after=driver(begins))
        found["tenant"] = self.tenant
        if request.words is not None:
            found["words"] = self._database.term(request.words)
        return found

    @overload
    def table(self, source: View[Any]) -> sa.FromClause: ...
    @overload
    def table(self, source: Projection, declared: sa.Table) -> sa.Table: ...
    def table(
        self, source: View[Any] | Projection, declared: sa.Table | None = None
    ) -> sa.FromClause:
        """What to select from in statements of your own.

        Of a view: its rows of this tenant, with the row's fields as columns. Of a projection: a
        declared table in the revision that serves; if it has rows of several tenants, filter by
        `tenant`.

        Raises: KeyParked: events of a view that the client's token has seen are parked.
        """
        self.reads.whole = True
        if isinstance(source, View):
            self._all_of(source)
            view = self._view(source).table
            columns = [view.table.c[name] for name in view.fields]
            ours = view.table.c[TENANT] == self.tenant
            return sa.select(*columns).where(ours).subquery(source.name)
        bound = self._found(source)
        if not isinstance(bound, BoundProjection) or declared is None:
            raise ConfigurationError(f"write rows.table({source.name}, table)")
        return bound.table(declared)

    async def execute(self, statement: sa.Executable) -> Sequence[sa.Row[Any]]:
        """Run a reading statement of SQLAlchemy Core over `table(...)`, in the same snapshot."""
        self.reads.whole = True
        return await self._snapshot.execute(statement)

    def _all_of(self, view: View[Any]) -> None:
        self.reads.whole = True
        if self._missing is not None:
            self._missing.in_all(view)

    def _view(self, view: View[Row]) -> BoundView[Row]:
        bound = self._found(view)
        if not isinstance(bound, BoundView):
            raise ConfigurationError(f"{view!r} is not a view")
        return bound

    def _found(self, model: ReadModel) -> Bound:
        bound = self._bound.get(model)
        if bound is None:
            raise ConfigurationError(
                f"a query read {model!r}, which its answer(..., reads=[...]) does not list"
            )
        return bound


def _page_of(items: tuple[Row, ...], request: PageRequest, *, total: int, more: bool) -> Page[Row]:
    return Page(
        items=items,
        total=total,
        page=request.page,
        page_size=request.page_size,
        total_pages=-(-total // request.page_size),
        next_cursor=cursor_after(request, items[-1], page=request.page) if more else None,
    )
