"""Revisions as an operator sees them: listed, and dropped when nobody needs them."""

import asyncio
from uuid import uuid4

import pytest
import sqlalchemy as sa

from diptych.errors import RevisionInUse, UnknownRevision
from diptych.failpoints import FailpointError, armed, fail
from diptych.operations import Operations
from diptych.read.builder import Builder
from diptych.read.database import ReadDatabase
from diptych.read.query import Query, answer
from diptych.read.rows import Rows
from diptych.read.schema import READERS
from diptych.store.memory import MemoryEventStore
from diptych.testing.waiting import wait_until
from tests.integration.accounts import (
    GetAccount,
    Opened,
    account_view,
    accounts,
    all_accounts,
    append,
    expected_accounts,
    held_by,
    reading,
)
from tests.integration.conftest import AnyDatabase
from tests.integration.rebuilds import Live, caught_up, operator, process, some_accounts
from tests.integration.test_projector_revisions import NEW


async def tables_of(database: ReadDatabase) -> set[str]:
    """Those that belong to revisions."""
    lite = database.dialect.name == "sqlite"
    names = sa.table("sqlite_schema", sa.column("name")) if lite else _POSTGRES
    async with database.snapshot() as snapshot:
        rows = await snapshot.execute(sa.select(names.c.name))
    return {row.name for row in rows if row.name.startswith("accounts__")}


_POSTGRES = (
    sa.select(sa.column("tablename").label("name"))
    .select_from(sa.table("pg_tables", sa.column("schemaname")))
    .where(sa.column("schemaname") == sa.func.current_schema())
    .subquery()
)


async def test_all_revisions_are_listed_with_what_they_are(
    live: Live, any_database: AnyDatabase
) -> None:
    await live.operations.rebuild(["accounts"])
    await wait_until(lambda: {slot.revision for slot in held_by(live.side)} == {2})
    async with reading(live.store, database=any_database(), **NEW) as newer:
        await caught_up(newer, live.store)
        found = {each.revision: each for each in await live.operations.revisions()}
    old, rebuilt, other = (found[number] for number in sorted(found))
    assert [each.status for each in (old, rebuilt, other)] == ["retired", "serving", "serving"]
    assert [each.kind for each in (old, rebuilt, other)] == ["first", "rebuild", "first"]
    assert [each.current for each in (old, rebuilt, other)] == [False, True, False]
    assert [each.rows for each in (old, rebuilt, other)] == [29, 29, 29]
    assert all(each.bytes > 1_000 for each in (old, rebuilt, other))
    assert {each.position for each in (old, rebuilt, other)} == {(await live.store.head()).position}
    assert [len(each.users) for each in (old, rebuilt, other)] == [0, 1, 1]
    assert "/" in rebuilt.users[0]
    assert old.retired_at == rebuilt.served_at
    assert old.created_at < rebuilt.created_at < other.created_at
    assert (rebuilt.verified_at is None, other.verified_at is None) == (False, True)


async def test_a_retired_revision_is_dropped_with_all_its_tables(live: Live) -> None:
    await live.operations.rebuild(["accounts"])
    before = await tables_of(live.database)
    await live.operations.drop_revision(1)
    gone = {name for name in before if name.startswith("accounts__1")}
    assert gone
    assert await tables_of(live.database) == before - gone
    assert [each.revision for each in await live.operations.revisions()] == [2]
    assert await all_accounts(live.side) == await expected_accounts(live.store)


async def test_what_is_needed_is_not_dropped(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    await some_accounts(store, 3)
    async with (
        process(store, any_database()) as side,
        operator(store, any_database()) as operations,
        reading(store, database=any_database(), **NEW) as newer,
    ):
        for each in (side, newer):
            await caught_up(each, store)
        with pytest.raises(RevisionInUse, match="it serves"):
            await operations.drop_revision(1)
        with pytest.raises(RevisionInUse, match=r"/.* uses it"):
            await operations.drop_revision(2)
        async with Builder(side.means).claimed([accounts]):
            with pytest.raises(RevisionInUse, match=r"/.* uses it"):
                await operations.drop_revision(3)
        with pytest.raises(UnknownRevision):
            await operations.drop_revision(77)
        assert [each.status for each in await operations.revisions()] == [
            *("serving", "serving", "building")
        ]
        await operations.drop_revision(3)
        await caught_up(newer, store)
    async with operator(store, any_database()) as operations:
        await operations.drop_revision(2)
        assert [each.revision for each in await operations.revisions()] == [1]


async def test_what_a_process_of_other_code_answers_from_is_not_dropped(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    """It does not project; whoever did has ended. Once it has ended too nobody needs it."""
    await some_accounts(store, 3)
    database = any_database()
    async with process(store, database) as side, reading(store, database=any_database(), **NEW):
        await caught_up(side, store)
        async with (
            operator(store, any_database()) as operations,
            reading(store, database=any_database(), **NEW, project=False) as answering,
        ):
            await caught_up(answering, store)
            (_, newer) = await operations.revisions()
            assert len(newer.users) == 2
    async with operator(store, any_database()) as operations:
        async with reading(store, database=any_database(), **NEW, project=False):
            with pytest.raises(RevisionInUse, match=r"/.* uses it"):
                await operations.drop_revision(2)
        await operations.drop_revision(2)


async def test_a_process_that_answers_follows_a_flip_and_is_forgotten_when_it_is_dead(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    await some_accounts(store, 3)
    database = any_database()
    async with (
        process(store, database) as side,
        operator(store, any_database()) as operations,
        process(store, any_database(), project=False) as answering,
    ):
        await caught_up(side, store)

        async def users() -> list[int]:
            return [len(each.users) for each in await operations.revisions()]

        await operations.rebuild(["accounts"])

        async def has_followed() -> bool:
            return await users() == [0, 2]

        await wait_until(has_followed)
        assert answering._running is not None
        presence = answering._running.presence
        assert presence is not None
        assert presence._task is not None
        presence._task.cancel()
        async with database.transaction() as tx:
            await tx.execute(sa.update(READERS).values(alive_until=0.0))

        async def is_forgotten() -> bool:
            return await users() == [0, 1]

        await wait_until(is_forgotten)
    async with (
        reading(store, database=any_database(), operating=True) as side,
        side.means.database.snapshot() as snapshot,
    ):
        assert not await snapshot.execute(sa.select(READERS))


async def test_a_process_that_may_not_say_that_it_reads_answers_all_the_same(
    store: MemoryEventStore, any_database: AnyDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    """Its user may have no right to write; it says so once."""
    await some_accounts(store, 3)
    async with process(store, any_database()) as side:
        await caught_up(side, store)
        async with side.means.database.transaction() as tx:
            await tx.drop(READERS.name)
        async with process(store, any_database(), project=False) as answering:
            assert await all_accounts(answering) == await expected_accounts(store)
            await asyncio.sleep(0.2)  # it looks ten times in half a second
    said = [each.message for each in caplog.records if "that this process reads" in each.message]
    assert len([each for each in said if each.startswith("it cannot be said")]) == 1


@pytest.mark.parametrize("where", ["drop.hidden", "drop.before_commit"])
async def test_a_drop_that_was_cut_off_is_done_by_the_next(live: Live, where: str) -> None:
    await live.operations.rebuild(["accounts"])
    with armed(where, fail), pytest.raises(FailpointError):
        await live.operations.drop_revision(1)
    assert [each.status for each in await live.operations.revisions()] == ["dropped", "serving"]
    await live.operations.drop_revision(1)
    assert [each.status for each in await live.operations.revisions()] == ["serving"]


class Slowly(Query[int]):
    """Reads when it is told to."""


async def test_a_query_that_has_begun_reads_the_old_table_to_its_end(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    """Its snapshot is from before the flip; names are looked up after it."""
    ids = await some_accounts(store, 3)
    view = account_view()
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(query: Slowly, rows: Rows) -> int:
        begun.set()
        await go_on.wait()
        first = await rows.get(view, ids[0])
        assert first is not None
        return (await rows.page(view)).total

    queries = [answer(Slowly, slowly, reads=[view])]
    async with (
        process(store, any_database(), models=[view], queries=queries) as side,
        operator(store, any_database()) as operations,
    ):
        await caught_up(side, store)
        asked = asyncio.create_task(side.query(Slowly()))
        await begun.wait()
        await operations.rebuild(["accounts"])
        await append(store, Opened(uuid4(), "Bea"))
        await caught_up(side, store)
        dropping = asyncio.create_task(operations.drop_revision(1))
        await asyncio.wait([dropping], timeout=0.3)
        go_on.set()
        assert await asked == 2
        assert await side.query(Slowly()) == 3
        await dropping
        assert [each.revision for each in await operations.revisions()] == [2]


async def test_other_code_whose_revision_was_dropped_builds_it_again(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    ids = await some_accounts(store, 3)
    async with reading(store, database=any_database()) as side:
        await caught_up(side, store)
    async with reading(store, database=any_database(), **NEW) as newer:
        await Operations(newer).drop_revision(1)
    async with reading(store, database=any_database()) as side:
        await caught_up(side, store)
        assert await side.query(GetAccount(ids[0])) == (await expected_accounts(store))[ids[0]]
