"""Views over the view of accounts, and one with sticky keys, for the tests of the read side."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from diptych.messages import RecordedEvent
from diptych.read.model import ReadModel
from diptych.read.query import Query, answer
from diptych.read.rows import Rows
from diptych.read.view import View
from diptych.store.contract import EventStore
from tests.integration.accounts import (
    Account,
    AccountEvent,
    Closed,
    Deposited,
    Labelled,
    Opened,
    account_events,
    accounts,
    pages_of,
    project,
)


@dataclass(frozen=True)
class Owner:
    """`changes` counts: a pair that is folded twice, or drawn together with another, shows."""

    owner: str
    accounts: int
    balance: int
    changes: int


def project_owner(row: Owner | None, before: Account | None, after: Account | None) -> Owner | None:
    row = row or Owner((after or before).owner, 0, 0, 0)  # type: ignore[union-attr]
    changed = Owner(
        row.owner,
        row.accounts - (before is not None) + (after is not None),
        row.balance - (before.balance if before else 0) + (after.balance if after else 0),
        row.changes + 1,
    )
    return changed if changed.accounts else None


owners = View("owners", source=accounts, row=Owner, key="owner", project=project_owner)


@dataclass(frozen=True)
class Size:
    """How many owners have so many accounts, and what they own together."""

    accounts: int
    owners: int
    balance: int


def project_size(row: Size | None, before: Owner | None, after: Owner | None) -> Size | None:
    row = row or Size((after or before).accounts, 0, 0)  # type: ignore[union-attr]
    changed = Size(
        row.accounts,
        row.owners - (before is not None) + (after is not None),
        row.balance - (before.balance if before else 0) + (after.balance if after else 0),
    )
    return changed if changed.owners else None


sizes = View("sizes", source=owners, row=Size, key="accounts", project=project_size)


@dataclass(frozen=True)
class Turnover:
    """What was paid into the accounts of an owner, while they were the owner's."""

    owner: str
    paid: int
    events: int


def project_turnover(row: Turnover | None, event: AccountEvent, _: RecordedEvent) -> Turnover:
    match event:
        case Opened(owner=owner):
            row = row or Turnover(owner, 0, 0)
            return replace(row, events=row.events + 1)
        case Deposited(amount=amount):
            assert row is not None
            return replace(row, paid=row.paid + amount, events=row.events + 1)
        case Labelled() | Closed():
            assert row is not None
            return replace(row, events=row.events + 1)


turnovers: View[Turnover] = View(
    "turnovers",
    events=[account_events],
    row=Turnover,
    key="owner",
    sticky=True,
    project=project_turnover,
)

GROUP: tuple[ReadModel, ...] = (sizes, accounts, owners)
"""The order in which an application lists them does not count."""


@dataclass(frozen=True)
class GetTables(Query[Mapping[str, Mapping[Any, Any]]]):
    """All rows of all views by their keys, from one snapshot."""


async def get_tables(query: GetTables, rows: Rows) -> Mapping[str, Mapping[Any, Any]]:
    return {view.name: await _all(view, rows) for view in (accounts, owners, sizes)}


async def _all(view: View[Any], rows: Rows) -> Mapping[Any, Any]:
    page = await rows.page(view, page_size=500)
    assert page.next_cursor is None
    return {view.key_of(row): row for row in page.items}


@dataclass(frozen=True)
class GetTurnovers(Query[Mapping[str, Turnover]]):
    """All rows by owner."""


async def get_turnovers(query: GetTurnovers, rows: Rows) -> Mapping[str, Turnover]:
    return await _all(turnovers, rows)


@dataclass(frozen=True)
class GetOwner(Query[Owner | None]):
    owner: str


async def get_owner(query: GetOwner, rows: Rows) -> Owner | None:
    return await rows.get(owners, query.owner)


QUERIES = [
    answer(GetTables, get_tables, reads=[sizes, accounts, owners]),
    answer(GetOwner, get_owner, reads=[owners]),
]

STICKY = [answer(GetTurnovers, get_turnovers, reads=[turnovers])]


async def expected_tables(store: EventStore) -> Mapping[str, Mapping[Any, Any]]:
    """An independent fold: one event at a time, its change to one row at a time, in the way in
    which one would do it by hand."""
    found: dict[str, dict[Any, Any]] = {"accounts": {}, "owners": {}, "sizes": {}}
    async for recorded, event in _events(store):
        before = found["accounts"].get(event.account_id)
        after = project(before, event, recorded)
        _put(found["accounts"], event.account_id, after)
        if after is not before:
            for owner, pair in _pairs("owner", before, after):
                old = found["owners"].get(owner)
                new = project_owner(old, *pair)
                _put(found["owners"], owner, new)
                for size, change in _pairs("accounts", old, new):
                    _put(found["sizes"], size, project_size(found["sizes"].get(size), *change))
    return found


async def expected_turnovers(store: EventStore) -> Mapping[str, Turnover]:
    found: dict[str, Turnover] = {}
    owner_of: dict[str, str] = {}
    async for recorded, event in _events(store):
        if isinstance(event, Opened):
            owner_of[recorded.stream] = event.owner
        owner = owner_of[recorded.stream]
        found[owner] = project_turnover(found.get(owner), event, recorded)
    return found


def _pairs(key: str, before: Any, after: Any) -> list[tuple[Any, tuple[Any, Any]]]:
    old, new = getattr(before, key, None), getattr(after, key, None)
    if old == new:
        return [(old, (before, after))]
    return [pair for pair in [(old, (before, None)), (new, (None, after))] if pair[0] is not None]


def _put(rows: dict[Any, Any], key: Any, row: Any) -> None:
    rows.pop(key, None)
    if row is not None:
        rows[key] = row


async def _events(store: EventStore) -> AsyncIterator[tuple[RecordedEvent, AccountEvent]]:
    async for page in pages_of(store):
        for each in await account_events.decode(page.events):
            yield each
