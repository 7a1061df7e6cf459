"""Leases: several processes project, each its share, and what one leaves another takes up."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa

from diptych.clock import Clock
from diptych.errors import ProjectionStopped, ViewNotReady
from diptych.failpoints import Action, armed, cancel, fail
from diptych.read.database import ReadDatabase, Slot
from diptych.read.lease import Leases
from diptych.read.model import ReadModel
from diptych.read.postgres.database import PostgresReadDatabase
from diptych.read.readiness import State, ViewStatus
from diptych.read.schema import CHECKPOINTS, WORKERS, database_now
from diptych.read.side import ReadSide
from diptych.store.memory import MemoryEventStore
from diptych.testing.clock import FixedClock
from diptych.testing.waiting import wait_until
from diptych.worker import Worker
from tests.integration.accounts import (
    SOON,
    Deposited,
    GetAccount,
    ListAccounts,
    Opened,
    account_view,
    accounts,
    all_accounts,
    append,
    expected_accounts,
    head_token,
    held_by,
    projecting_of,
    projector_of,
    reading,
)
from tests.integration.conftest import AnyDatabase

STEADY, QUICK = 3.0, 0.5
"""Times to live: one that a slow machine does not miss, and one that tests can wait for."""

LONG = timedelta(seconds=30)

VIEWS: tuple[ReadModel, ...] = (
    accounts,
    *(account_view(name=f"accounts{number}") for number in range(3)),
)


@asynccontextmanager
async def process(
    store: MemoryEventStore,
    database: ReadDatabase,
    *,
    models: tuple[ReadModel, ...] = VIEWS,
    clock: Clock | None = None,
    project: bool = True,
    ttl: float = STEADY,
) -> AsyncGenerator[ReadSide]:
    """A read side over the shared database."""
    async with reading(
        store, database=database, models=models, clock=clock, project=project, lease_ttl=ttl
    ) as side:
        yield side


def held(*sides: ReadSide) -> list[int]:
    return [len(held_by(side)) for side in sides]


async def is_caught_up(side: ReadSide, store: MemoryEventStore) -> None:
    await side.reached((await store.head()).position, timeout=LONG)


async def status_of(side: ReadSide, name: str = "accounts") -> ViewStatus:
    return next(view for view in (await side.readiness()).views if view.name == name)


async def holders(database: ReadDatabase) -> Mapping[str, str | None]:
    async with database.snapshot() as snapshot:
        rows = await snapshot.execute(sa.select(CHECKPOINTS.c.view, CHECKPOINTS.c.holder))
    return {row.view: row.holder for row in rows}


# Fair shares


async def test_views_are_spread_over_the_processes_that_come_and_go(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async with process(store, any_database()) as one:
        assert held(one) == [4]
        async with process(store, any_database()) as other:
            await wait_until(lambda: held(one, other) == [2, 2])
            assert not held_by(one) & held_by(other)
            for _ in range(10):
                await append(store, Opened(uuid4(), "Ann"))
            await is_caught_up(one, store)
            async with process(store, any_database()) as third:
                await wait_until(lambda: sorted(held(one, other, third)) == [1, 1, 2])
        await wait_until(lambda: held(one) == [4])
        await append(store, Opened(uuid4(), "Bea"))
        assert len(await all_accounts(one, await head_token(store))) == 11


async def test_views_are_spread_behind_a_pooler_too(
    store: MemoryEventStore, pgbouncer_url: str
) -> None:
    """No lease hangs on a session, and what others commit is looked for."""

    def connect() -> PostgresReadDatabase:
        return PostgresReadDatabase(f"{pgbouncer_url}?pooler=transaction")

    async with process(store, connect()) as one:
        async with process(store, connect()) as other:
            await wait_until(lambda: held(one, other) == [2, 2])
            token = await append(store, Opened(uuid4(), "Ann"))
            for side in (one, other):
                assert (await side.query(ListAccounts(), at_least=token)).total == 1
        await wait_until(lambda: held(one) == [4])


async def test_one_view_stays_where_it_is_when_others_come(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    """Handing it on would only cost: nobody has two more than another."""
    async with (
        process(store, any_database(), models=(accounts,)) as one,
        process(store, any_database(), models=(accounts,)) as other,
    ):
        token = await append(store, Opened(uuid4(), "Ann"))
        assert (await other.query(ListAccounts(), at_least=token)).total == 1
        assert held(one, other) == [1, 0]
        status = await status_of(other)
        assert [(slot.mine, bool(slot.holder)) for slot in status.slots] == [(False, True)]
        assert (await status_of(one)).slots[0].mine


async def test_a_process_that_ends_gives_its_views_back_at_once(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    database = any_database()
    async with process(store, database):
        assert all((await holders(database)).values())
    await database.open(log_id=store.log_id)
    assert not any((await holders(database)).values())
    async with database.snapshot() as snapshot:
        assert not await snapshot.execute(sa.select(WORKERS.c.id))
    await database.close()


async def test_processes_that_start_at_once_share_without_an_argument(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    await append(store, Opened(uuid4(), "Ann"))
    sides = [
        ReadSide(
            store=store,
            database=any_database(),
            clock=FixedClock(),
            models=VIEWS,
            queries=(),
            lease_ttl=STEADY,
        )
        for _ in range(3)
    ]
    await asyncio.gather(*[side.open() for side in sides])
    await wait_until(lambda: sorted(held(*sides)) == [1, 1, 2])
    for side in sides:
        await is_caught_up(side, store)
        await side.close()


async def test_clocks_of_processes_may_differ_by_hours(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    """Leases are told by the clock of the database."""
    early, late = FixedClock(), FixedClock()
    late.advance(timedelta(hours=3))
    async with (
        process(store, any_database(), clock=early) as one,
        process(store, any_database(), clock=late) as other,
    ):
        await wait_until(lambda: held(one, other) == [2, 2])
        await append(store, Opened(uuid4(), "Ann"))
        await is_caught_up(one, store)


# Holders that are dead, or seem to be


async def claim_all(database: ReadDatabase, worker: Worker, *, seconds: float) -> None:
    """What a worker leaves behind that said that it lives, and then said nothing any more."""
    async with database.transaction() as tx:
        await tx.execute(
            sa.insert(WORKERS).values(
                id=worker.id,
                name=worker.name,
                process=worker.process,
                revisions="[1]",
                alive_until=database_now() + seconds,
            )
        )
        await tx.execute(sa.update(CHECKPOINTS).values(holder=worker.id))


async def test_what_a_silent_process_of_another_machine_holds_is_taken_when_its_time_is_up(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    database = any_database()
    async with process(store, database, models=(accounts,)):
        pass
    await database.open(log_id=store.log_id)
    await claim_all(database, Worker("far", "far/1", "elsewhere 1 1"), seconds=2 * QUICK)
    async with process(store, any_database(), models=(accounts,)) as side:
        assert held(side) == [0]
        assert (await status_of(side)).slots[0].holder == "far/1"
        started = asyncio.get_running_loop().time()
        await wait_until(lambda: held(side) == [1])
        assert asyncio.get_running_loop().time() - started > QUICK / 2
        token = await append(store, Opened(uuid4(), "Ann"))
        assert (await side.query(ListAccounts(), at_least=token)).total == 1
    await database.close()


async def test_what_a_killed_process_of_this_machine_held_is_taken_at_once(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    """A restart after a crash does not wait for the lease of the process that crashed."""
    code = "from diptych.worker import Worker; print(Worker.here().process)"
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=PIPE)
    told = (await child.communicate())[0].decode().strip()
    database = any_database()
    async with process(store, database, models=(accounts,)):
        pass
    await database.open(log_id=store.log_id)
    await claim_all(database, Worker("gone", "here/7", told), seconds=3_600)
    async with process(store, any_database(), models=(accounts,)) as side:
        assert held(side) == [1]
    await database.close()


async def test_a_process_that_says_nothing_loses_its_views_and_does_no_harm_when_it_wakes(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    """Its projector goes on, for it knows of nothing: the epoch keeps it from having an effect."""
    account_id = uuid4()
    async with (
        process(store, any_database(), models=(accounts,), ttl=QUICK) as zombie,
        process(store, any_database(), models=(accounts,), ttl=QUICK) as heir,
    ):
        await append(store, Opened(account_id, "Ann"))
        await is_caught_up(zombie, store)
        watch = projecting_of(zombie)._watch
        assert watch is not None
        watch.cancel()
        await wait_until(lambda: held(heir) == [1])
        assert held(zombie) == [1]
        for _ in range(20):
            await append(store, Deposited(account_id, 1))
        await wait_until(lambda: held(zombie) == [0])
        rows = await all_accounts(heir, await head_token(store))
        assert rows == await expected_accounts(store)
        assert rows[account_id].deposits == 20


async def test_who_lost_its_lease_by_mistake_gets_it_back(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    """Nobody else wants it: a forgotten worker is a worker again, and its projector goes on."""
    database = any_database()
    async with process(store, database, models=(accounts,)) as side:
        async with database.transaction() as tx:
            await tx.execute(sa.delete(WORKERS))
            await tx.execute(sa.update(CHECKPOINTS).values(epoch=CHECKPOINTS.c.epoch + 1))
        token = await append(store, Opened(uuid4(), "Ann"))
        assert (await side.query(ListAccounts(), at_least=token)).total == 1


async def test_a_database_that_lost_its_last_commits_gets_them_again_without_a_new_event(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    """As after a crash of a server that did not wait for its disk, or a failover."""
    database = any_database()
    async with process(store, database, models=(accounts,)) as side:
        kept = await append(store, Opened(uuid4(), "Ann"))
        token = await append(store, Opened(account_id := uuid4(), "Bea"))
        await side.query(GetAccount(account_id), at_least=token)
        table = accounts.bind(1, database.dialect).table.table
        async with database.transaction() as tx:
            await tx.execute(sa.delete(table).where(table.c._position == token.position))
            await tx.execute(
                sa.update(CHECKPOINTS).values(position=kept.position, event_id=kept.event_id)
            )
        row = await side.query(GetAccount(account_id), at_least=token)
        assert row is not None
        assert row.owner == "Bea"


async def test_a_claim_that_was_faster_is_respected(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    database = any_database()
    async with process(store, database, models=(accounts,), project=False):
        one, other = [
            Leases(Worker(name, name, "elsewhere 1 1"), [1], database=database) for name in "ab"
        ]
        slot = Slot("accounts", 1)
        assert await one.renew(()) == {slot}
        async with database.transaction() as tx:
            assert not await other.take(tx, slot, before=None)
        assert await other.renew(()) == set()
        await one.end()
        assert await other.renew(()) == {slot}


@pytest.mark.parametrize("broken", [fail, cancel])
async def test_leases_that_cannot_be_looked_at_do_not_stop_projecting(
    store: MemoryEventStore,
    any_database: AnyDatabase,
    broken: Action,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with process(store, any_database(), models=(accounts,), ttl=QUICK) as side:
        with armed("leases.before_commit", broken, times=10**9):
            await wait_until(lambda: "leases cannot be looked at" in caplog.text)
            token = await append(store, Opened(uuid4(), "Ann"))
            assert (await side.query(ListAccounts(), at_least=token)).total == 1
        await append(store, Opened(uuid4(), "Bea"))
        await is_caught_up(side, store)
        assert held(side) == [1]


# What all processes know of each other


async def test_a_view_that_is_stopped_elsewhere_is_known_here(
    store: MemoryEventStore, any_database: AnyDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    account_id = uuid4()
    async with (
        process(store, any_database(), models=(accounts,)) as holder,
        process(store, any_database(), models=(accounts,)) as other,
    ):
        seen = await append(store, Opened(account_id, "Ann"))
        await other.query(GetAccount(account_id), at_least=seen)
        poison = await append(store, Deposited(account_id, -1))
        with pytest.raises(ProjectionStopped, match="Poisoned"):
            await other.reached(poison.position, timeout=LONG)
        for side in (holder, other):
            with pytest.raises(ProjectionStopped, match="Poisoned"):
                await side.query(GetAccount(account_id), at_least=poison, timeout=LONG)
            stale = await side.ask(
                GetAccount(account_id), at_least=poison, timeout=LONG, on_timeout="stale"
            )
            assert stale.stale
            status = await status_of(side)
            assert status.state is State.STOPPED
            assert "Poisoned" in status.error
            assert not (await side.readiness()).ready


async def test_a_query_that_waits_hears_of_a_stop_in_its_own_process_at_once(
    store: MemoryEventStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("diptych.read.trying._FIRST_PAUSE", 0.001)
    account_id = uuid4()
    async with reading(store) as side:
        await side.query(ListAccounts())
        loop = asyncio.get_running_loop()
        started = loop.time()
        poison = await append(store, Deposited(account_id, -1))
        with pytest.raises(ProjectionStopped):
            await side.query(GetAccount(account_id), at_least=poison, timeout=LONG)
        assert loop.time() - started < 0.5


async def test_what_is_tried_again_elsewhere_is_known_here(
    store: MemoryEventStore, any_database: AnyDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    def held_back() -> None:
        raise ConnectionError("held back by the test")

    async with (
        process(store, any_database(), models=(accounts,)),
        process(store, any_database(), models=(accounts,)) as other,
    ):

        async def says(text: str) -> bool:
            return text in (await status_of(other)).error

        with armed("projector.after_read", held_back, times=10**9):
            await append(store, Opened(uuid4(), "Ann"))
            await wait_until(lambda: says("ConnectionError"))
        token = await append(store, Opened(uuid4(), "Bea"))
        await other.query(ListAccounts(), at_least=token)

        async def is_well() -> bool:
            return not (await status_of(other)).error

        await wait_until(is_well)


async def test_who_takes_a_stopped_view_over_tries_it_again(
    store: MemoryEventStore, any_database: AnyDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    async with process(store, any_database(), models=(accounts,)) as first:
        token = await append(store, Opened(uuid4(), "Ann"))
        poison = await append(store, Deposited(uuid4(), -1))
        with pytest.raises(ProjectionStopped):
            await first.reached(poison.position, timeout=LONG)
    caplog.clear()
    async with process(store, any_database(), models=(accounts,)) as second:
        with pytest.raises(ProjectionStopped):
            await second.reached(poison.position, timeout=LONG)
        await wait_until(lambda: "Poisoned" in caplog.text)
        assert projector_of(second).point.position == token.position


# A process that only answers


async def test_a_process_that_only_answers_waits_for_one_that_projects(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    await append(store, Opened(uuid4(), "Ann"))
    async with process(store, any_database(), models=(accounts,), project=False) as web:
        with pytest.raises(ViewNotReady):
            await web.query(ListAccounts(), timeout=SOON)
        status = await status_of(web)
        assert (status.state, status.progress) == (State.BUILDING, 0.0)
        assert [(slot.holder, slot.mine) for slot in status.slots] == [("", False)]
        async with process(store, any_database(), models=(accounts,)) as worker:
            assert (await web.query(ListAccounts())).total == 1
            token = await append(store, Opened(uuid4(), "Bea"))
            assert (await web.query(ListAccounts(), at_least=token)).total == 2
            assert (await status_of(web)).slots[0].holder
            assert held(worker) == [1]
        assert (await web.query(ListAccounts())).total == 2


async def test_a_view_that_nobody_projects_is_stuck_when_the_log_moves_on(
    any_database: AnyDatabase,
) -> None:
    clock = FixedClock()
    store = MemoryEventStore(clock=clock)
    await store.open()
    async with process(
        store, any_database(), models=(accounts,), project=False, clock=clock
    ) as web:
        assert (await status_of(web)).state is State.LIVE
        await append(store, Opened(uuid4(), "Ann"))
        clock.advance(timedelta(minutes=1))
        assert (await status_of(web)).state is State.STUCK
    await store.close()
