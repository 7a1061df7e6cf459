"""An audit finds every row that is not what its events say, and no other; on both databases."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import cycle
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from diptych.errors import NotAView, UnknownView, ViewNotReady
from diptych.messages import RecordedEvent
from diptych.operations import Operations
from diptych.read.audit import Audited, Finding
from diptych.read.database import ReadDatabase
from diptych.read.model import ReadModel
from diptych.read.progress import Progress
from diptych.read.projection import Projection, ProjectionTransaction
from diptych.read.query import QueryHandler
from diptych.read.side import ReadSide
from diptych.read.sqlite.database import SqliteReadDatabase
from diptych.read.view import View
from diptych.store.contract import EventStore
from diptych.store.memory import MemoryEventStore
from tests.integration.accounts import (
    Closed,
    Deposited,
    Labelled,
    Noted,
    Opened,
    account_view,
    accounts,
    append,
    labels,
    note_events,
    reading,
)
from tests.integration.conftest import AnyDatabase
from tests.integration.owners import GROUP, QUERIES, STICKY, owners, turnovers

PEOPLE = [UUID(int=number) for number in range(1, 8)]
ANN, NOBODY = PEOPLE[0], UUID(int=99)
LONG = timedelta(seconds=20)


def operations_of(side: ReadSide) -> Operations:
    return Operations(side, scratch=SqliteReadDatabase)


@asynccontextmanager
async def working(
    store: EventStore,
    database: ReadDatabase,
    *,
    models: Sequence[ReadModel] = (*GROUP, turnovers, labels),
    queries: Sequence[QueryHandler] = (*QUERIES, *STICKY),
) -> AsyncIterator[Operations]:
    async with reading(store, models=models, queries=queries, database=database) as side:
        await side.reached((await store.head()).position, timeout=LONG)
        yield operations_of(side)


async def fill(store: EventStore) -> None:
    for number, person in enumerate(PEOPLE):
        await append(store, Opened(person, f"owner {number % 3}"), Deposited(person, number))
        await append(store, Labelled(person, ("x", f"y{number % 2}")))
    await append(store, Closed(PEOPLE[-1]))


async def by_hand(
    database: ReadDatabase, view: View[Any], change: Any, *, revision: int | None = None
) -> None:
    """What somebody did to the table of a view who should not have."""
    async with database.transaction() as tx:
        names = await tx.execute(
            sa.text("SELECT id FROM diptych_revisions WHERE view = :v ORDER BY id DESC").bindparams(
                v=view.lineage[0].name
            )
        )
        table = view.bind(revision or names[0].id, database.dialect).table.table
        await tx.execute(change(table))


def summed(found: Audited) -> tuple[int, int, int]:
    return found.missing, found.surplus, found.different


EVERY = ("accounts", "owners", "sizes", "turnovers", "labels")


@pytest.mark.parametrize("sample", [None, 100])
async def test_untouched_rows_are_all_as_they_should_be(
    any_store: EventStore, any_database: AnyDatabase, sample: int | None
) -> None:
    await fill(any_store)
    async with working(any_store, any_database()) as operations:
        for view in EVERY:
            found = await operations.audit(view, sample=sample)
            assert found.equal, found
            assert found.rows > 0
            assert found.position == (await any_store.head()).position


@pytest.mark.parametrize("sample", [None, 100])
async def test_what_was_changed_added_or_deleted_by_hand_is_found(
    store: MemoryEventStore, any_database: AnyDatabase, sample: int | None
) -> None:
    await fill(store)
    database = any_database()
    async with working(store, database) as operations:
        await by_hand(
            database,
            accounts,
            lambda t: sa.update(t).where(t.c.account_id == ANN).values(balance=7, owner="secret"),
        )
        await by_hand(database, accounts, lambda t: sa.delete(t).where(t.c.account_id == PEOPLE[1]))
        await by_hand(
            database,
            accounts,
            lambda t: (
                sa.update(t).where(t.c.account_id == PEOPLE[2]).values(account_id=UUID(int=99))
            ),
        )
        found = await operations.audit("accounts", sample=sample)
        assert summed(found) == (2, 1, 1)
        assert set(found.findings) == {
            Finding("", (str(ANN),), "different", ("owner", "balance")),
            Finding("", (str(PEOPLE[1]),), "missing"),
            Finding("", (str(PEOPLE[2]),), "missing"),
            Finding("", (str(NOBODY),), "surplus"),
        }
        assert "secret" not in repr(found)
        shown = await operations.audit("accounts", sample=sample, values=True)
        changed = next(each for each in shown.findings if each.problem == "different")
        assert (changed.expected, changed.found) == (("'owner 0'", "0"), ("'secret'", "7"))
        assert (await operations.audit("owners")).equal


@pytest.mark.parametrize("view", [owners, turnovers, labels], ids=lambda view: str(view.name))
async def test_it_is_found_in_every_kind_of_view(
    store: MemoryEventStore, any_database: AnyDatabase, view: View[Any]
) -> None:
    await fill(store)
    database = any_database()
    (key,) = view.shape.key
    async with working(store, database) as operations:
        changed, deleted = ["owner 1", "y1"], ["owner 2", "x"]
        field = {owners: "changes", turnovers: "paid", labels: "_position"}[view]
        wrong = {field: 1_000}
        await by_hand(
            database, view, lambda t: sa.update(t).where(t.c[key].in_(changed)).values(wrong)
        )
        await by_hand(database, view, lambda t: sa.delete(t).where(t.c[key].in_(deleted)))
        for sample in (None, 50):
            found = await operations.audit(view.name, sample=sample)
            assert summed(found) == (1, 0, 1)
            assert {each.fields for each in found.findings} == {(), (field,)}


async def test_what_cannot_be_read_at_all_is_found_too(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    await fill(store)
    database = any_database()
    if not isinstance(database, SqliteReadDatabase):
        pytest.skip("PostgreSQL keeps nothing in a column that is not of its type")
    async with working(store, database) as operations:
        for field, what in (("opened_at", "at noon"), ("account_id", "nobody")):
            raw = sa.table("accounts__1", sa.column("_position"), sa.column(field))
            async with database.transaction() as tx:
                await tx.execute(sa.update(raw).where(raw.c._position == 3).values({field: what}))
        for sample in (None, 50):
            found = await operations.audit("accounts", sample=sample)
            assert summed(found) == (1, 1, 0)
        await by_hand(database, accounts, lambda t: sa.delete(t).where(t.c["_position"] == 3))


async def test_rows_of_other_tenants_are_looked_at_too(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    await append(store, Opened(ANN, "Ann"), tenant="a")
    await append(store, Opened(ANN, "Bea"), tenant="b")
    database = any_database()
    async with working(store, database) as operations:
        await by_hand(
            database,
            accounts,
            lambda t: sa.update(t).where(t.c["_tenant"] == "b").values(balance=1),
        )
        found = await operations.audit("accounts")
        assert found.findings == (Finding("b", (str(ANN),), "different", ("balance",)),)


async def test_each_partition_is_compared_where_it_is(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    view = account_view(partitions=3)
    await fill(store)
    database = any_database()
    async with working(store, database, models=[view], queries=()) as operations:
        for sample in (None, 100):
            assert (await operations.audit("accounts", sample=sample)).equal
        await by_hand(database, view, lambda t: sa.update(t).values(balance=1000))
        found = await operations.audit("accounts")
        assert (summed(found), found.rows) == ((0, 0, 6), 6)


async def test_there_are_no_false_alarms_while_everything_moves(
    any_store: EventStore, any_database: AnyDatabase
) -> None:
    await fill(any_store)
    database, stop = any_database(), asyncio.Event()

    async def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            person = UUID(int=number % 50)
            await append(any_store, Opened(person, f"owner {number % 5}"), Deposited(person, 1))
            if number % 7 == 0:
                await append(any_store, Closed(person))

    head = 0
    async with working(any_store, database, models=GROUP, queries=QUERIES) as operations:
        writing = asyncio.create_task(write())
        try:
            for sample in cycle([None, 20]):
                for view in ("accounts", "owners", "sizes"):
                    found = await operations.audit(view, sample=sample)
                    assert found.equal, found
                if (head := (await any_store.head()).position) > 300:
                    break
        finally:
            stop.set()
            await writing
        assert found.position > 20
        await operations._read.reached(head, timeout=LONG)
        await by_hand(database, accounts, lambda t: sa.update(t).values(deposits=t.c.deposits + 1))
        found = await operations.audit("accounts")
        assert found.different == found.rows > 20


async def test_progress_is_told(store: MemoryEventStore, any_database: AnyDatabase) -> None:
    await fill(store)
    told: list[Progress] = []
    async with working(store, any_database()) as operations:
        await operations.audit("accounts", on_progress=told.append)
    head = (await store.head()).position
    assert ("folding", head, head) in [(each.what, each.done, each.total) for each in told]
    assert ("comparing", 6, 6) in [(each.what, each.done, each.total) for each in told]


async def note(tx: ProjectionTransaction, event: Noted, recorded: RecordedEvent) -> None:
    """Nothing has to be written here."""


async def test_what_cannot_be_audited_is_refused(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    await fill(store)
    table = sa.Table("notes", sa.MetaData(), sa.Column("position", sa.Integer, primary_key=True))
    notes = Projection("notes", events=[note_events], tables=[table], apply=note)
    models = [accounts, notes]
    async with working(store, any_database(), models=models, queries=()) as operations:
        with pytest.raises(UnknownView):
            await operations.audit("nobody")
        with pytest.raises(NotAView):
            await operations.audit("notes")
        with pytest.raises(NotAView):
            await operations.rebuild_key("notes", 1)


async def test_a_view_that_was_never_complete_is_not_audited(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    await fill(store)
    view = account_view(rebuild="ask")
    async with reading(store, models=[view], queries=(), database=any_database()) as side:
        with pytest.raises(ViewNotReady):
            await operations_of(side).audit("accounts")
        with pytest.raises(ViewNotReady):
            await operations_of(side).rebuild_key("accounts", ANN)
