"""Why a view stands still: each cause is provoked, on both read databases, and named."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
import sqlalchemy as sa

from diptych.errors import StorageFull, StorageUnavailable, UnknownView
from diptych.failpoints import FailpointError, armed, fail
from diptych.operations import Operations
from diptych.read.database import ReadDatabase
from diptych.read.explanation import Cause, Explanation, Why
from diptych.read.postgres.database import PostgresReadDatabase
from diptych.read.schema import CHECKPOINTS, DIVERGED, STOPPED, VIEWS, WORKERS, database_now
from diptych.read.side import ReadSide
from diptych.read.sqlite.database import SqliteReadDatabase
from diptych.sqlite_library import connect
from diptych.store.memory import MemoryEventStore
from diptych.testing import wait_until
from diptych.worker import Worker
from examples.orders.app import shop
from tests.integration.accounts import (
    Deposited,
    Opened,
    account_view,
    append,
    reading,
)
from tests.integration.conftest import AnyDatabase

FOR_EVER = 10**9
LONG = timedelta(seconds=10)


async def causes(side: ReadSide) -> list[Why]:
    return [cause.why for cause in (await side.why("accounts")).causes]


async def explained(side: ReadSide, why: Why) -> Cause:
    """The first cause, once it is this one: who projects needs a moment to get into trouble."""
    found: list[Explanation] = []

    async def is_so() -> bool:
        found.append(await side.why("accounts"))
        return found[-1].cause.why is why

    try:
        await wait_until(is_so, timeout=30)
    except AssertionError:
        pytest.fail(f"{found[-1]}")
    assert found[-1].cause.do
    return found[-1].cause


@asynccontextmanager
async def abandoned(
    store: MemoryEventStore, any_database: AnyDatabase
) -> AsyncGenerator[tuple[ReadSide, ReadDatabase]]:
    """A side that only looks, and its database: the view has seen one event of two, and nobody
    projects it."""
    async with reading(store, database=any_database()) as side:
        await append(store, Opened(uuid4(), "Ann"))
        await side.reached((await store.head()).position, timeout=LONG)
    await append(store, Opened(uuid4(), "Bea"))
    database = any_database()
    async with reading(store, database=database, project=False) as side:
        yield side, database


@asynccontextmanager
async def closing(database: ReadDatabase, store: MemoryEventStore) -> AsyncGenerator[None]:
    await database.open(log_id=store.log_id)
    try:
        yield
    finally:
        await database.close()


async def claim(
    database: ReadDatabase,
    process: str,
    *,
    seconds: float = 60.0,
    revisions: str = "[1]",
    revision: int = 1,
) -> None:
    """A worker that said that it lives, and holds the view."""
    async with database.transaction() as tx:
        await tx.execute(sa.delete(WORKERS).where(WORKERS.c.id == "w"))
        await tx.execute(
            sa.insert(WORKERS).values(
                id="w",
                name="host/7",
                process=process,
                revisions=revisions,
                alive_until=database_now() + seconds,
            )
        )
        mine = CHECKPOINTS.c.revision == revision
        await tx.execute(sa.update(CHECKPOINTS).where(mine).values(holder="w"))


async def another_process() -> tuple[Process, str]:
    """One that sleeps, and how a worker in it would name itself."""
    code = (
        "import time; from diptych.worker import Worker;"
        " print(Worker.here().process, flush=True); time.sleep(60)"
    )
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=PIPE)
    assert child.stdout
    return child, (await child.stdout.readline()).decode().strip()


async def end(child: Process) -> None:
    with suppress(ProcessLookupError):
        child.kill()
    await child.wait()


# All is well


async def test_a_view_at_the_head_has_nothing_to_do(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async with reading(store, database=any_database()) as side:
        await append(store, Opened(uuid4(), "Ann"))
        await side.reached(1, timeout=LONG)
        found = await side.why("accounts")
        assert [cause.why for cause in found.causes] == [Why.NOTHING_TO_DO]
        assert (found.revision, found.position, found.head, found.behind) == (1, 1, 1, 0)
        assert not found.stands_still


async def test_a_view_that_gets_on_is_catching_up(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    database = any_database()
    async with abandoned(store, any_database) as (side, _), closing(database, store):

        async def move() -> None:
            await asyncio.sleep(0.3)
            async with database.transaction() as tx:
                await tx.execute(sa.update(CHECKPOINTS).values(position=CHECKPOINTS.c.position + 1))

        for _ in range(50):
            await append(store, Opened(uuid4(), "Cy"))
        found, _ = await asyncio.gather(side.why("accounts"), move())
        assert found.cause.why is Why.CATCHING_UP
        assert found.cause.facts["behind"] == 50
        assert not found.stands_still


async def test_a_view_that_is_built_says_how_much_is_left(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    for _ in range(3):
        await append(store, Opened(uuid4(), "Ann"))
    database = any_database()
    async with reading(store, database=database, project=False) as side:
        await claim(database, Worker.here().process)

        async def move() -> None:
            await asyncio.sleep(0.3)
            async with database.transaction() as tx:
                await tx.execute(sa.update(CHECKPOINTS).values(position=1))

        found, _ = await asyncio.gather(side.why("accounts"), move())
        assert found.cause.why is Why.BUILDING
        assert found.cause.facts["behind"] == 2


async def test_a_name_that_nothing_has_is_refused(store: MemoryEventStore) -> None:
    async with reading(store) as side:
        with pytest.raises(UnknownView, match="there is accounts"):
            await side.why("orders")


async def test_a_view_over_another_is_where_that_one_is(tmp_path: Path) -> None:
    """They have one checkpoint, so there is one answer for both."""
    async with shop(f"sqlite:///{tmp_path / 'log.db'}", "sqlite://") as app:
        found = [await app.operations.why(name) for name in ("order_summaries", "customers")]
        assert {(each.view, each.cause.why) for each in found} == {
            ("order_summaries", Why.NOTHING_TO_DO)
        }


async def test_a_revision_that_is_gone_is_told(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    database = any_database()
    async with reading(store, database=database, project=False) as side:
        async with database.transaction() as tx:
            await tx.execute(sa.delete(CHECKPOINTS))
        cause = (await side.why("accounts")).cause
        assert cause.why is Why.READ_DATABASE_UNREACHABLE
        assert "does not know this code of View('accounts')" in cause.says


# An event, or an operator


async def test_an_event_that_stops_a_view_is_named_with_its_error(
    store: MemoryEventStore, any_database: AnyDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    account_id = uuid4()
    async with (
        reading(store, database=any_database()) as holder,
        reading(store, database=any_database(), project=False) as other,
    ):
        await append(store, Opened(account_id, "Ann"))
        await append(store, Deposited(account_id, -1))
        for side in (holder, other):
            cause = await explained(side, Why.STOPPED)
            assert "the event at 2" in cause.says
            assert "Poisoned" in cause.says
            assert "secret" not in str(cause)
            assert cause.facts["position"] == 2
        assert (await other.why("accounts")).stands_still


async def test_a_log_that_was_restored_is_named(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async with abandoned(store, any_database) as (side, database):
        async with database.transaction() as tx:
            values = {"status": DIVERGED, "error": "CheckpointDiverged: …", "error_position": 1}
            await tx.execute(sa.update(CHECKPOINTS).values(**values))
        assert (await causes(side))[0] is Why.DIVERGED


async def test_a_pause_is_named_with_who_said_why(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async with abandoned(store, any_database) as (side, database):
        async with database.transaction() as tx:
            await tx.execute(
                sa.insert(VIEWS).values(
                    view="accounts", paused_at="2026-01-31T12:00:00+00:00", paused_reason="a move"
                )
            )
        cause = (await side.why("accounts")).cause
        assert cause.why is Why.PAUSED
        assert "2026-01-31" in cause.says
        assert "a move" in cause.says
        assert cause.do == "diptych resume accounts"


async def test_a_stop_weighs_more_than_that_nobody_projects_and_a_pause_more_than_both(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async with abandoned(store, any_database) as (side, database):
        async with database.transaction() as tx:
            await tx.execute(sa.update(CHECKPOINTS).values(status=STOPPED, error="Poisoned"))
            await tx.execute(sa.insert(VIEWS).values(view="accounts", paused_at="then"))
        assert await causes(side) == [Why.PAUSED, Why.STOPPED]


async def test_parked_keys_are_told_although_the_rest_goes_on(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    database = any_database()
    async with reading(store, database=database, project=False) as side:
        async with database.transaction() as tx:
            await tx.execute(sa.update(CHECKPOINTS).values(parked_keys=2, parked_events=7))
        found = await side.why("accounts")
        assert [cause.why for cause in found.causes] == [Why.NOTHING_TO_DO, Why.PARKED]
        assert found.causes[1].facts == {"keys": 2, "events": 7}


async def test_a_view_that_is_built_by_command_only_asks_for_it(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    await append(store, Opened(uuid4(), "Ann"))
    models = (account_view(rebuild="ask"),)
    async with reading(store, database=any_database(), models=models, queries=()) as side:
        cause = (await side.why("accounts")).cause
        assert (cause.why, cause.do) == (Why.UNBUILT, "diptych rebuild accounts")


async def test_a_rebuild_that_was_cut_off_is_told_from_one_that_goes_on(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    await append(store, Opened(uuid4(), "Ann"))
    database = any_database()
    async with reading(store, database=database) as side:
        await side.reached(1, timeout=LONG)
        with armed("rebuild.after_verify", fail), pytest.raises(FailpointError):
            await Operations(side).rebuild(["accounts"])
        well, beside = (await side.why("accounts")).causes
        assert (well.why, beside.why) == (Why.NOTHING_TO_DO, Why.BUILDING)
        assert "revision 2 is being built beside it, and is at 1; nobody" in beside.says
        assert beside.do.startswith("diptych rebuild accounts")
        await claim(database, Worker.here().process, revision=2)
        _, beside = (await side.why("accounts")).causes
        assert beside.facts == {"revision": 2, "position": 1, "builder": "host/7"}
        assert beside.do.startswith("wait")


# Who should project it


async def test_that_nobody_projects_is_told_from_that_others_have_other_code(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async with abandoned(store, any_database) as (side, database):
        cause = (await side.why("accounts")).cause
        assert (cause.why, cause.facts["others"]) == (Why.NOBODY_PROJECTS, "")
        await claim(database, "elsewhere 7 7", revisions="[99]")
        async with database.transaction() as tx:
            await tx.execute(sa.update(CHECKPOINTS).values(holder=None))
        cause = (await side.why("accounts")).cause
        assert (cause.why, cause.facts["others"]) == (Why.NOBODY_PROJECTS, "host/7")
        await claim(database, "elsewhere 7 7")
        async with database.transaction() as tx:
            await tx.execute(sa.update(CHECKPOINTS).values(holder=None))
        assert (await side.why("accounts")).cause.why is Why.UNCLAIMED


async def test_a_holder_that_was_killed_is_told_from_one_that_is_stopped(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    child, process = await another_process()
    try:
        async with abandoned(store, any_database) as (side, database):
            await claim(database, process)
            child.send_signal(signal.SIGSTOP)
            cause = await explained(side, Why.HOLDER_STOPPED)
            assert cause.facts["holder"] == "host/7"
            assert "kill -CONT" in cause.do
            child.send_signal(signal.SIGCONT)
            await explained(side, Why.HOLDER_STILL)
            await end(child)
            cause = await explained(side, Why.HOLDER_GONE)
            assert "has ended" in cause.says
    finally:
        await end(child)


async def test_a_holder_elsewhere_that_says_nothing_any_more_is_told_with_since_when(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async with abandoned(store, any_database) as (side, database):
        await claim(database, "elsewhere 7 7", seconds=-40)
        cause = (await side.why("accounts")).cause
        assert cause.why is Why.HOLDER_SILENT
        assert "host/7" in cause.says
        assert cause.facts["state"] == "elsewhere"
        assert -60 < float(str(cause.facts["seconds_left"])) < -39


async def test_a_holder_that_lives_and_does_not_get_on_is_told(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async with abandoned(store, any_database) as (side, database):
        await claim(database, "elsewhere 7 7")
        cause = (await side.why("accounts")).cause
        assert cause.why is Why.HOLDER_STILL
        assert "is alive" in cause.says


# What it needs


async def test_what_is_tried_again_is_named_in_its_own_process_and_in_others(
    store: MemoryEventStore, any_database: AnyDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    def full() -> None:
        raise StorageFull("no room left on the disk")

    async with (
        reading(store, database=any_database()) as holder,
        reading(store, database=any_database(), project=False) as other,
    ):
        with armed("projector.before_commit", full, times=FOR_EVER):
            await append(store, Opened(uuid4(), "Ann"))
            for side in (holder, other):
                cause = await explained(side, Why.RETRYING)
                assert "no room left on the disk" in cause.says


async def test_a_lost_connection_is_told_from_other_errors(
    store: MemoryEventStore, any_database: AnyDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    def away() -> None:
        raise StorageUnavailable("connection refused")

    async with reading(store, database=any_database()) as side:
        with armed("projector.after_read", away, times=FOR_EVER):
            await append(store, Opened(uuid4(), "Ann"))
            cause = await explained(side, Why.CONNECTION_LOST)
            assert "connection refused" in cause.says


async def test_a_log_that_cannot_be_asked_is_told(
    store: MemoryEventStore, any_database: AnyDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with abandoned(store, any_database) as (side, _):

        async def away() -> None:
            raise StorageUnavailable("log.example: connection refused")

        monkeypatch.setattr(store, "head", away)
        found = await side.why("accounts")
        assert found.cause.why is Why.LOG_UNREACHABLE
        assert "log.example" in found.cause.says
        assert (found.head, found.behind, found.position) == (None, None, 1)


async def test_a_read_database_that_is_gone_is_told(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async with reading(store, database=(database := any_database()), project=False) as side:
        await database.close()
        found = await side.why("accounts")
        assert found.cause.why is Why.READ_DATABASE_UNREACHABLE
        assert (found.position, found.revision) == (None, None)
        await database.open(log_id=store.log_id)
        assert (await side.why("accounts")).cause.why is Why.NOTHING_TO_DO


# Locks


async def test_a_session_that_keeps_a_lock_is_named_with_its_process(
    store: MemoryEventStore, schema_url: str
) -> None:
    async with reading(store, database=PostgresReadDatabase(schema_url)) as side:
        await append(store, Opened(uuid4(), "Ann"))
        await side.reached(1, timeout=LONG)
        plain, _, schema = schema_url.partition("?schema=")
        session = await asyncpg.connect(plain, server_settings={"application_name": "a report"})
        try:
            async with session.transaction():
                await session.execute(f"LOCK TABLE {schema}.accounts__1 IN ACCESS EXCLUSIVE MODE")
                await append(store, Opened(uuid4(), "Bea"))
                cause = await explained(side, Why.LOCKED)
                assert cause.facts["pid"] == session.get_server_pid()
                assert "a report" in cause.says
                assert "idle in transaction" in cause.says
        finally:
            await session.close()
        await side.reached(2, timeout=LONG)
        assert (await side.why("accounts")).cause.why is Why.NOTHING_TO_DO


async def test_a_row_that_is_locked_is_a_lock_as_well(
    store: MemoryEventStore, schema_url: str
) -> None:
    async with reading(store, database=PostgresReadDatabase(schema_url)) as side:
        await append(store, Opened(uuid4(), "Ann"))
        await side.reached(1, timeout=LONG)
        plain, _, schema = schema_url.partition("?schema=")
        session = await asyncpg.connect(plain)
        try:
            async with session.transaction():
                await session.execute(f"SELECT 1 FROM {schema}.diptych_checkpoints FOR UPDATE")
                await append(store, Opened(uuid4(), "Bea"))
                cause = await explained(side, Why.LOCKED)
                assert cause.facts["pid"] == session.get_server_pid()
                assert float(str(cause.facts["seconds"])) > 0
        finally:
            await session.close()


async def test_a_process_that_keeps_the_file_locked_is_named(
    store: MemoryEventStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "read.db"
    code = (
        "import sys, time; from pathlib import Path; from diptych.sqlite_library import connect;"
        " db = connect(Path(sys.argv[1])); db.execute('BEGIN IMMEDIATE');"
        " print('locked', flush=True); time.sleep(60)"
    )
    async with reading(store, database=SqliteReadDatabase(path)) as side:
        await append(store, Opened(uuid4(), "Ann"))
        await side.reached(1, timeout=LONG)
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, str(path), stdout=PIPE
        )
        try:
            assert child.stdout
            await child.stdout.readline()
            await append(store, Opened(uuid4(), "Bea"))
            cause = await explained(side, Why.LOCKED)
            assert cause.facts["pid"] == child.pid
            assert str(child.pid) in cause.says
        finally:
            await end(child)
        await side.reached(2, timeout=LONG)


async def test_a_lock_of_this_very_process_is_named_as_such(
    store: MemoryEventStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "read.db"
    async with reading(store, database=SqliteReadDatabase(path)) as side:
        other = connect(path)
        other.execute("BEGIN IMMEDIATE")
        await append(store, Opened(uuid4(), "Ann"))
        cause = await explained(side, Why.LOCKED)
        assert cause.facts["pid"] == os.getpid()
        assert "this process" in cause.says
        other.execute("ROLLBACK")
        other.close()
