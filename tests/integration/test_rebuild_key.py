"""One row made anew from the log, live: whatever had been done to it, and nothing else is."""

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa

from diptych.errors import InvalidInput, UnknownView
from diptych.failpoints import FailpointError, armed, fail
from diptych.read.view import View
from diptych.store.contract import EventStore
from diptych.store.memory import MemoryEventStore
from tests.integration.accounts import Closed, Deposited, Opened, account_view, accounts, append
from tests.integration.conftest import AnyDatabase
from tests.integration.owners import GROUP, QUERIES, owners, turnovers
from tests.integration.test_audit import ANN, LONG, NOBODY, PEOPLE, by_hand, fill, working


@pytest.mark.parametrize(
    ("change", "problem", "fields"),
    [
        (lambda t: sa.update(t).values(balance=7), "different", ("balance",)),
        (sa.delete, "missing", ()),
        (
            lambda t: sa.update(t).values(owner="x", _position=1),
            "different",
            ("owner", "_position"),
        ),
        (lambda t: sa.update(t).values(balance=t.c.balance), "", ()),
    ],
)
async def test_a_row_becomes_what_its_events_say(
    any_store: EventStore, any_database: AnyDatabase, change: Any, problem: str, fields: Any
) -> None:
    await fill(any_store)
    database = any_database()
    async with working(any_store, database) as operations:
        await by_hand(database, accounts, lambda t: change(t).where(t.c.account_id == ANN))
        rebuilt = await operations.rebuild_key("accounts", str(ANN))
        assert (rebuilt.view, rebuilt.key, rebuilt.tenant) == ("accounts", (str(ANN),), "")
        assert (rebuilt.problem, rebuilt.fields) == (problem, fields)
        assert rebuilt.position == (await any_store.head()).position
        assert (await operations.audit("accounts")).equal
        await append(any_store, Deposited(ANN, 3))
        await operations._read.reached(rebuilt.position + 1, timeout=LONG)
        assert (await operations.audit("accounts")).equal


async def test_a_row_that_should_not_be_there_is_deleted(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    await fill(store)
    database = any_database()
    async with working(store, database) as operations:
        await by_hand(
            database,
            accounts,
            lambda t: sa.update(t).where(t.c.account_id == ANN).values(account_id=NOBODY),
        )
        assert (await operations.rebuild_key("accounts", NOBODY)).problem == "surplus"
        assert (await operations.rebuild_key("accounts", ANN)).problem == "missing"
        assert (await operations.rebuild_key("accounts", PEOPLE[-1])).problem == ""
        assert (await operations.audit("accounts")).equal


@pytest.mark.parametrize("view", [owners, turnovers], ids=lambda view: str(view.name))
async def test_it_works_for_every_kind_of_view(
    store: MemoryEventStore, any_database: AnyDatabase, view: View[Any]
) -> None:
    await fill(store)
    database = any_database()
    async with working(store, database) as operations:
        await by_hand(database, view, sa.delete)
        for owner in ("owner 0", "owner 1", "owner 2"):
            assert (await operations.rebuild_key(view.name, owner)).problem == "missing"
        assert (await operations.audit(view.name)).equal


async def test_it_finds_the_partition_of_the_key(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    view = account_view(partitions=3)
    await fill(store)
    database = any_database()
    async with working(store, database, models=[view], queries=()) as operations:
        await by_hand(database, view, sa.delete)
        for person in PEOPLE:
            await operations.rebuild_key("accounts", person)
        assert (await operations.audit("accounts")).equal


async def test_a_row_of_one_tenant_is_not_that_of_another(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    for tenant in ("a", "b"):
        await append(store, Opened(ANN, "Ann"), tenant=tenant)
    database = any_database()
    async with working(store, database) as operations:
        await by_hand(database, accounts, sa.delete)
        await operations.rebuild_key("accounts", ANN, tenant="b")
        found = await operations.audit("accounts")
        assert [each.tenant for each in found.findings] == ["a"]


async def test_it_is_right_while_everything_moves(
    any_store: EventStore, any_database: AnyDatabase
) -> None:
    """The row is changed by hand and rebuilt, again and again, between the events that it gets."""
    await fill(any_store)
    database, stop, problems = any_database(), asyncio.Event(), set[str]()

    async def write() -> None:
        while not stop.is_set():
            await append(any_store, Opened(ANN, "Ann"), Deposited(ANN, 1), Deposited(PEOPLE[1], 1))
            await asyncio.sleep(0.002)

    async with working(any_store, database, models=GROUP, queries=QUERIES) as operations:
        writing = asyncio.create_task(write())
        try:
            for number in range(8):
                wrong = {"deposits": 1_000 + number}
                await by_hand(
                    database,
                    accounts,
                    lambda t, to=wrong: sa.update(t).where(t.c.account_id == PEOPLE[1]).values(to),
                )
                problems.add((await operations.rebuild_key("accounts", PEOPLE[1])).problem)
        finally:
            stop.set()
            await writing
        await append(any_store, Closed(ANN))
        await operations._read.reached((await any_store.head()).position, timeout=LONG)
        assert (await operations.audit("accounts")).equal
        assert "different" in problems  # the projector may have written over it before


async def test_what_is_cut_off_before_the_commit_changes_nothing(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    await fill(store)
    database = any_database()
    async with working(store, database) as operations:
        await by_hand(database, accounts, sa.delete)
        with armed("rebuild_key.before_commit", fail), pytest.raises(FailpointError):
            await operations.rebuild_key("accounts", ANN)
        assert (await operations.audit("accounts")).missing == 6
        with armed("rebuild_key.after_commit", fail), pytest.raises(FailpointError):
            await operations.rebuild_key("accounts", ANN)
        assert (await operations.audit("accounts")).missing == 5


async def test_what_is_no_key_is_refused(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async with working(store, any_database()) as operations:
        with pytest.raises(UnknownView):
            await operations.rebuild_key("nobody", ANN)
        for key in ("no id", (ANN, ANN), 7):
            with pytest.raises(InvalidInput):
                await operations.rebuild_key("accounts", key)
