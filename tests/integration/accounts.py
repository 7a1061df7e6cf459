"""The example of the read side's tests: accounts, their view, and a read side over a log."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from diptych.clock import Clock, SystemClock
from diptych.codec import Events
from diptych.messages import RecordedEvent
from diptych.read.database import ReadDatabase, Slot
from diptych.read.model import ReadModel
from diptych.read.page import Page
from diptych.read.projecting import Projecting
from diptych.read.projector import Projector
from diptych.read.query import Query, QueryHandler, answer
from diptych.read.rows import Rows, Versioned
from diptych.read.side import ReadSide
from diptych.read.sqlite.database import SqliteReadDatabase
from diptych.read.view import View
from diptych.store.contract import ANY_VERSION, START, Append, EventStore, LogPage, Write
from diptych.tokens import Token


@dataclass(frozen=True)
class Opened:
    account_id: UUID
    owner: str


@dataclass(frozen=True)
class Deposited:
    account_id: UUID
    amount: int


@dataclass(frozen=True)
class Labelled:
    account_id: UUID
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Closed:
    account_id: UUID


AccountEvent = Opened | Deposited | Labelled | Closed

account_events = Events("account", Opened, Deposited, Labelled, Closed)


@dataclass(frozen=True)
class Noted:
    text: str


note_events = Events("note", Noted)


@dataclass(frozen=True)
class Account:
    """`deposits` counts: a deposit that is applied twice shows."""

    account_id: UUID
    owner: str
    balance: int
    deposits: int
    opened_at: datetime
    last_amount: int | None


class Poisoned(Exception):
    """What `project` raises for a negative amount."""


def project(row: Account | None, event: AccountEvent, recorded: RecordedEvent) -> Account | None:
    match event:
        case Opened(account_id=account_id, owner=owner):
            return Account(account_id, owner, 0, 0, recorded.at, None)
        case Deposited(amount=amount) if amount < 0:
            raise Poisoned("the secret in the event")
        case Deposited(amount=amount):
            return row and replace(
                row,
                balance=row.balance + amount,
                deposits=row.deposits + 1,
                last_amount=amount,
            )
        case Labelled():
            return row
        case Closed():
            return None


def account_view(**options: Any) -> View[Account]:
    wanted: dict[str, Any] = {
        "events": [account_events],
        "row": Account,
        "key": "account_id",
        "project": project,
        "indexes": [("owner", "balance"), ("last_amount",)],
        "search": ["owner"],
        **options,
    }
    name = wanted.pop("name", "accounts")
    return View(name, **wanted)


accounts = account_view()


@dataclass(frozen=True)
class LabelCount:
    label: str
    accounts: int


def count_labels(
    row: LabelCount | None, event: AccountEvent, recorded: RecordedEvent, label: str
) -> LabelCount | None:
    return LabelCount(label, row.accounts + 1 if row else 1)


def labels_of(event: AccountEvent) -> tuple[str, ...]:
    return event.labels if isinstance(event, Labelled) else ()


labels: View[LabelCount] = View(
    "labels",
    events=[account_events],
    row=LabelCount,
    key="label",
    keys=labels_of,
    project=count_labels,
)


@dataclass(frozen=True)
class GetAccount(Query[Account | None]):
    account_id: UUID


@dataclass(frozen=True)
class GetVersioned(Query[Versioned[Account] | None]):
    account_id: UUID


@dataclass(frozen=True)
class GetLabel(Query[LabelCount | None]):
    label: str


@dataclass(frozen=True)
class ListAccounts(Query[Page[Account]]):
    owner: str | None = None
    search: str | None = None
    order_by: str = "balance"
    descending: bool = False
    page: int = 1
    page_size: int = 50
    cursor: str | None = None


async def get_account(query: GetAccount, rows: Rows) -> Account | None:
    return await rows.get(accounts, query.account_id)


async def get_versioned(query: GetVersioned, rows: Rows) -> Versioned[Account] | None:
    return await rows.get_versioned(accounts, query.account_id)


async def get_label(query: GetLabel, rows: Rows) -> LabelCount | None:
    return await rows.get(labels, query.label)


async def list_accounts(query: ListAccounts, rows: Rows) -> Page[Account]:
    return await rows.page(
        accounts,
        where={"owner": query.owner},
        search=query.search,
        order_by=query.order_by,
        descending=query.descending,
        page=query.page,
        page_size=query.page_size,
        cursor=query.cursor,
    )


QUERIES = [
    answer(GetAccount, get_account, reads=[accounts]),
    answer(GetVersioned, get_versioned, reads=[accounts]),
    answer(ListAccounts, list_accounts, reads=[accounts]),
]


@asynccontextmanager
async def reading(
    store: EventStore,
    *,
    path: Path | None = None,
    models: Sequence[ReadModel] = (accounts,),
    queries: Sequence[QueryHandler] | None = None,
    clock: Clock | None = None,
    database: ReadDatabase | None = None,
    project: bool = True,
    operating: bool = False,
    lease_ttl: float = 5.0,
) -> AsyncIterator[ReadSide]:
    """A read side that is open; the store must be."""
    side = ReadSide(
        store=store,
        database=database or SqliteReadDatabase(path),
        clock=clock or SystemClock(),
        models=models,
        queries=QUERIES if queries is None else queries,
        lease_ttl=lease_ttl,
    )
    await side.open(project=project, operating=operating)
    try:
        yield side
    finally:
        await side.close()


def projector_of(side: ReadSide, name: str = "accounts", partition: int = 0) -> Projector:
    """What projects a view here, while this side holds it."""
    projectors = projecting_of(side).projectors.values()
    wanted = (name, partition)
    return next(each for each in projectors if (each.model.name, each.slot.partition) == wanted)


def held_by(side: ReadSide) -> set[Slot]:
    """The slots whose projectors run here."""
    tasks = projecting_of(side)._tasks
    return {slot for slot, task in tasks.items() if not task.done()}


def projecting_of(side: ReadSide) -> Projecting:
    assert side._running is not None
    assert side._running.projecting is not None
    return side._running.projecting


async def append(
    store: EventStore, *events: AccountEvent | Noted, tenant: str = "", stream: str | None = None
) -> Token:
    """One append to the stream of the first event; the token of its last."""
    families = {type(event): note_events for event in events if isinstance(event, Noted)}
    first = events[0]
    named = stream or ("note-1" if isinstance(first, Noted) else f"account-{first.account_id}")
    data = tuple(
        families.get(type(event), account_events).encode(event, event_id=uuid4())
        for event in events
    )
    appended = await store.append(Append((Write(named, data, ANY_VERSION),), tenant=tenant))
    return token_of(store, appended.point.position, appended.point.event_id)


def token_of(store: EventStore, position: int, event_id: UUID | None) -> Token:
    return Token(store.log_id, position, event_id)


async def head_token(store: EventStore) -> Token:
    head = await store.head()
    return token_of(store, head.position, head.event_id)


async def all_accounts(side: ReadSide, at_least: Token | None = None) -> dict[UUID, Account]:
    """Every row, page by page."""
    found: dict[UUID, Account] = {}
    cursor: str | None = None
    while True:
        query = ListAccounts(order_by="account_id", page_size=500, cursor=cursor)
        page = await side.query(query, at_least=at_least)
        found |= {row.account_id: row for row in page.items}
        if page.next_cursor is None:
            return found
        cursor = page.next_cursor


async def expected_accounts(store: EventStore) -> dict[UUID, Account]:
    """An independent fold over the whole log: one event at a time, nothing kept elsewhere."""
    found: dict[UUID, Account] = {}
    async for page in pages_of(store):
        for recorded, event in await account_events.decode(page.events):
            row = project(found.get(event.account_id), event, recorded)
            found.pop(event.account_id, None)
            if row is not None:
                found[event.account_id] = row
    return found


async def pages_of(store: EventStore) -> AsyncIterator[LogPage]:
    after, head = START, 1
    while after.position < head:
        page = await store.read(after=after, categories=frozenset({"account"}))
        yield page
        after, head = page.scanned, page.head


SOON = timedelta(milliseconds=50)
