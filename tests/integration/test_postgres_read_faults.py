"""Connections that are lost, cancelled, slow or stopped: nothing is half done or left behind."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa

from diptych.errors import StorageBusy, StoreError
from diptych.read.database import Snapshot
from diptych.read.postgres import connection as postgres_connection
from diptych.read.postgres import database as postgres_database
from diptych.read.postgres.database import PostgresReadDatabase
from diptych.read.schema import META
from diptych.store.memory import MemoryEventStore
from diptych.testing.waiting import wait_until
from tests.integration.accounts import (
    Deposited,
    GetAccount,
    ListAccounts,
    Opened,
    all_accounts,
    append,
    expected_accounts,
    reading,
)
from tests.servers.postgres import PostgresServer, own_server
from tests.servers.proxy import proxy_to

LOG = uuid4()
PAIRS = sa.Table(
    "pairs",
    sa.MetaData(),
    sa.Column("side", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
)
SLEEP = sa.text("SELECT pg_sleep(60)")
OURS = "datname = '{base}' AND application_name LIKE 'diptych %'"


@pytest.fixture
async def database(schema_url: str) -> AsyncIterator[PostgresReadDatabase]:
    opened = PostgresReadDatabase(schema_url, readers=2, projecting=2)
    await opened.open(log_id=LOG)
    async with opened.transaction(exclusive=True) as tx:
        await tx.create(PAIRS)
    yield opened
    await opened.close()


class Backends:
    """The server's view of our connections."""

    def __init__(self, server: PostgresServer, url: str) -> None:
        self._server = server
        self._base = url.partition("?")[0].rpartition("/")[2]

    async def count(self, condition: str) -> int:
        ours = OURS.format(base=self._base)
        sql = f"SELECT count(*) FROM pg_stat_activity WHERE {ours} AND {condition}"
        return int(await asyncio.to_thread(self._server.execute, sql))

    async def wait_for(self, number: int, condition: str) -> None:
        async def found() -> bool:
            return await self.count(condition) == number

        await wait_until(found, poll=0.02)

    async def terminate(self) -> None:
        ours = OURS.format(base=self._base)
        sql = f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {ours}"
        await asyncio.to_thread(self._server.execute, sql)


@pytest.fixture
def backends(postgres: PostgresServer, schema_url: str) -> Backends:
    return Backends(postgres, schema_url)


async def insert(database: PostgresReadDatabase, number: int) -> None:
    async with database.transaction() as tx:
        await tx.execute(sa.insert(PAIRS).values(side="left", number=number))
        await tx.execute(sa.insert(PAIRS).values(side="right", number=number))


async def pairs(snapshot: Snapshot) -> set[tuple[str, int]]:
    return {(row.side, row.number) for row in await snapshot.execute(sa.select(PAIRS))}


async def test_the_connections_of_a_query_may_be_lost_before_it_begins(
    database: PostgresReadDatabase, backends: Backends
) -> None:
    for number in range(3):
        await insert(database, number)
        async with database.snapshot() as one, database.snapshot() as other:
            assert await pairs(one) == await pairs(other)
        await backends.terminate()
    async with database.snapshot() as snapshot:
        assert len(await pairs(snapshot)) == 6
    await database.glance()


async def test_a_query_whose_connection_is_lost_inside_fails_and_the_next_one_works(
    database: PostgresReadDatabase, backends: Backends
) -> None:
    with pytest.raises(StoreError):
        async with database.snapshot() as snapshot:
            await pairs(snapshot)
            await backends.terminate()
            await pairs(snapshot)
    with pytest.raises(StoreError):
        async with database.transaction() as tx:
            await tx.execute(sa.insert(PAIRS).values(side="left", number=1))
            await backends.terminate()
    async with database.snapshot() as snapshot:
        assert await pairs(snapshot) == set()


async def test_a_cancelled_statement_ends_on_the_server_and_its_connection_is_used_again(
    database: PostgresReadDatabase, backends: Backends
) -> None:
    async def sleep() -> None:
        async with database.snapshot() as snapshot:
            await snapshot.execute(SLEEP)

    for _ in range(3):
        task = asyncio.create_task(sleep())
        await backends.wait_for(1, "wait_event = 'PgSleep'")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
    await backends.wait_for(0, "state <> 'idle'")
    assert await backends.count("application_name = 'diptych query'") <= 2
    async with database.snapshot() as snapshot:
        assert await pairs(snapshot) == set()


async def test_whatever_moment_a_task_is_cancelled_at_nothing_is_half_done_or_left_open(
    database: PostgresReadDatabase, backends: Backends
) -> None:
    """Each round cancels a writer and a reader after another number of turns of the loop."""
    await insert(database, 0)

    async def read() -> None:
        async with database.snapshot() as snapshot:
            await pairs(snapshot)
            await pairs(snapshot)

    for turns in range(60):
        tasks = [asyncio.create_task(insert(database, turns + 1)), asyncio.create_task(read())]
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert outcome is None or isinstance(outcome, asyncio.CancelledError)
    await backends.wait_for(0, "state <> 'idle'")
    async with database.snapshot() as snapshot:
        found = await pairs(snapshot)
    assert {n for side, n in found if side == "left"} == {n for side, n in found if side == "right"}


async def test_a_statement_of_a_query_that_takes_too_long_is_ended(schema_url: str) -> None:
    database = PostgresReadDatabase(schema_url, statement_timeout=0.05)
    await database.open(log_id=LOG)
    with pytest.raises(StorageBusy, match="statement_timeout"):
        async with database.snapshot() as snapshot:
            await snapshot.execute(SLEEP)
    async with database.transaction() as tx:
        await tx.execute(sa.text("SELECT pg_sleep(0.1)"))
    await database.close()


async def test_a_process_that_stops_inside_a_transaction_loses_its_locks(
    schema_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_connection, "_IDLE_SECONDS", 1)
    stopped, other = PostgresReadDatabase(schema_url), PostgresReadDatabase(schema_url)
    await stopped.open(log_id=LOG)
    await other.open(log_id=LOG)
    with pytest.raises(StoreError):
        async with stopped.transaction(exclusive=True) as tx:
            await tx.create(PAIRS)
            async with other.transaction(exclusive=True) as theirs:  # waits until the server acts
                await theirs.create(PAIRS)
            await tx.execute(sa.insert(PAIRS).values(side="left", number=1))
    async with other.snapshot() as snapshot:
        assert await pairs(snapshot) == set()
    await stopped.close()
    await other.close()


async def test_who_waits_too_long_for_a_lock_is_told_so(
    database: PostgresReadDatabase, schema_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_connection, "_LOCK_SECONDS", 1)
    other = PostgresReadDatabase(schema_url)
    with pytest.raises(StorageBusy, match="lock"):
        async with database.transaction(exclusive=True):
            await other.open(log_id=LOG)


async def test_projections_go_on_while_every_connection_is_ended_again_and_again(
    store: MemoryEventStore, schema_url: str, backends: Backends
) -> None:
    chance = random.Random(5)
    ids = [uuid4() for _ in range(5)]
    async with reading(store, database=PostgresReadDatabase(schema_url)) as side:
        for account_id in ids:
            await append(store, Opened(account_id, "Ann"))
        for _ in range(4):
            for _ in range(20):
                token = await append(store, Deposited(chance.choice(ids), 1))
                await asyncio.sleep(0)
            await backends.terminate()
        await side.query(GetAccount(ids[0]), at_least=token)
        found = await all_accounts(side, token)
        assert found == await expected_accounts(store)
        assert sum(row.deposits for row in found.values()) == 80


@pytest.fixture
def own() -> Iterator[PostgresServer]:
    with own_server() as server:
        yield server


async def test_a_server_that_was_killed_and_starts_again_is_waited_for(
    store: MemoryEventStore, own: PostgresServer
) -> None:
    async with reading(store, database=PostgresReadDatabase(own.create_database())) as side:
        token = await append(store, Opened(uuid4(), "Ann"))
        assert (await side.query(ListAccounts(), at_least=token)).total == 1
        await asyncio.to_thread(own.kill)
        token = await append(store, Opened(uuid4(), "Bea"))
        asking = asyncio.create_task(
            side.query(ListAccounts(), at_least=token, timeout=timedelta(seconds=30))
        )
        await asyncio.to_thread(own.start)
        assert (await asking).total == 2


async def test_a_server_that_falls_silent_does_not_hold_a_query_or_a_transaction(
    schema_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_connection, "_ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(postgres_connection, "_WORK_SECONDS", 0.3)
    monkeypatch.setattr(postgres_database, "_PATIENCE", 0.1)
    async with proxy_to(schema_url) as (proxy, url):
        database = PostgresReadDatabase(url, statement_timeout=0.3)
        await database.open(log_id=LOG)
        for begins in (database.snapshot, database.transaction):
            async with asyncio.timeout(10):
                with pytest.raises(StoreError):
                    async with begins() as opened:
                        await opened.execute(sa.select(META.c.log_id))
                        proxy.stall()
                        await opened.execute(sa.select(META.c.log_id))
            proxy.resume()
        async with database.snapshot() as snapshot:
            assert len(await snapshot.execute(sa.select(META.c.log_id))) == 1
        await database.close()


async def test_leases_do_not_wait_for_the_pages_of_projections(schema_url: str) -> None:
    database = PostgresReadDatabase(schema_url, projecting=1)
    await database.open(log_id=LOG)
    async with database.transaction(), asyncio.timeout(5):
        async with database.transaction(leasing=True) as tx:
            await tx.execute(sa.select(META.c.log_id))
        async with database.snapshot(leasing=True) as snapshot:
            await snapshot.execute(sa.select(META.c.log_id))
    await database.close()
