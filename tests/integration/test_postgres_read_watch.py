"""How a process learns that a checkpoint moved: notified, behind a pooler, and on a replica."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote
from uuid import uuid4

import pytest
import sqlalchemy as sa

from diptych.errors import ConsistencyTimeout, HistoryDiverged, ViewNotReady
from diptych.read.postgres import watch as postgres_watch
from diptych.read.postgres.database import PostgresReadDatabase
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

LOG = uuid4()


async def looks(database: PostgresReadDatabase) -> bool:
    return await database.glance() is not None


def is_live(database: PostgresReadDatabase) -> bool:
    assert database._open is not None
    listener = database._open.watch._listener
    return listener is not None and listener.live


async def test_another_process_is_notified_of_a_checkpoint_and_does_not_look_before(
    store: MemoryEventStore, schema_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_watch, "_LOOK_ANYWAY", 3_600.0)
    other, mine = PostgresReadDatabase(schema_url), PostgresReadDatabase(schema_url)
    await other.open(log_id=store.log_id)
    async with reading(store, database=mine) as side:
        await wait_until(lambda: is_live(other) and is_live(mine))
        await append(store, Opened(uuid4(), "Ann"))
        token = await append(store, Opened(uuid4(), "Bea"))
        await side.query(ListAccounts(), at_least=token)
        positions: dict[int, int] = {}

        async def arrived() -> bool:
            positions.update(await other.glance() or {})
            return set(positions.values()) == {token.position}

        await wait_until(arrived)
        assert await other.glance() is None
    await other.close()


async def test_a_notification_that_was_lost_is_made_up_for(
    store: MemoryEventStore, schema_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_watch, "_LOOK_ANYWAY", 0.05)
    other = PostgresReadDatabase(schema_url)
    await other.open(log_id=store.log_id)
    await wait_until(lambda: is_live(other))
    async with reading(store, database=PostgresReadDatabase(schema_url)) as side:
        token = await append(store, Opened(uuid4(), "Ann"))
        await side.query(ListAccounts(), at_least=token)
        assert other._open is not None
        other._open.watch._heard = False

        async def arrived() -> bool:
            return set((await other.glance() or {}).values()) == {token.position}

        await wait_until(arrived)
    await other.close()


async def test_everything_works_through_a_pooler_in_transaction_mode(
    store: MemoryEventStore, pgbouncer_url: str
) -> None:
    url = f"{pgbouncer_url}?pooler=transaction"
    one, other = PostgresReadDatabase(url), PostgresReadDatabase(url)
    ids = [uuid4() for _ in range(4)]
    async with reading(store, database=one) as side, reading(store, database=other) as second:
        for account_id in ids:
            token = await append(store, Opened(account_id, "Ann"), Deposited(account_id, 3))

        async def ask(number: int) -> None:
            asked = side if number % 2 else second
            row = await asked.query(GetAccount(ids[number % 4]), at_least=token)
            assert row is not None
            assert (await asked.query(ListAccounts(search="ann"), at_least=token)).total == 4

        await asyncio.gather(*(ask(number) for number in range(40)))
        assert "through a pooler" in one.report
        assert await all_accounts(side, token) == await expected_accounts(store)


async def test_who_projects_through_a_pooler_still_notifies_who_listens(
    store: MemoryEventStore,
    pgbouncer_url: str,
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postgres_watch, "_LOOK_ANYWAY", 3_600.0)
    listening = PostgresReadDatabase(postgres_url)
    pooled = PostgresReadDatabase(f"{pgbouncer_url}?pooler=transaction")
    async with reading(store, database=pooled) as side:
        await listening.open(log_id=store.log_id)
        await wait_until(lambda: is_live(listening))
        await listening.glance()
        heard = asyncio.Event()
        listening.listen(heard.set)
        token = await append(store, Opened(uuid4(), "Ann"))
        await side.query(ListAccounts(), at_least=token)
        async with asyncio.timeout(5):
            await heard.wait()
        await listening.close()


@dataclass
class Pair:
    """A primary, its streaming standby, and the URL of both for a read database."""

    primary: PostgresServer
    standby: PostgresServer
    base: str

    def url(self) -> str:
        """Of a schema that is not there yet."""
        replica = quote(self.standby.url(self.base.rpartition("/")[2]), safe="")
        return f"{self.base}?schema=read_{uuid4().hex[:8]}&replica={replica}"

    @asynccontextmanager
    async def held_up(self) -> AsyncIterator[None]:
        """While the standby receives everything and applies nothing."""
        await asyncio.to_thread(self.standby.execute, "SELECT pg_wal_replay_pause()")
        try:
            yield
        finally:
            await asyncio.to_thread(self.standby.execute, "SELECT pg_wal_replay_resume()")


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with own_server() as primary:
        base = primary.create_database()
        standby = primary.standby()
        try:
            yield Pair(primary, standby, base)
        finally:
            standby.remove()


async def test_a_query_on_a_replica_is_never_older_than_its_token(
    store: MemoryEventStore, pair: Pair
) -> None:
    account_id = uuid4()
    async with reading(store, database=PostgresReadDatabase(pair.url())) as side:
        token = await append(store, Opened(account_id, "Ann"))
        assert await side.query(GetAccount(account_id), at_least=token) is not None
        async with pair.held_up():
            token = await append(store, Deposited(account_id, 5))
            await side.reached(token.position, timeout=timedelta(seconds=10))
            soon = timedelta(milliseconds=100)
            with pytest.raises(ConsistencyTimeout):
                await side.query(GetAccount(account_id), at_least=token, timeout=soon)
            old = await side.ask(
                GetAccount(account_id), at_least=token, timeout=soon, on_timeout="stale"
            )
            assert (old.stale, old.value and old.value.balance) == (True, 0)
            asking = asyncio.create_task(side.query(GetAccount(account_id), at_least=token))
        row = await asking
        assert row is not None
        assert row.balance == 5
        for amount in range(20):
            token = await append(store, Deposited(account_id, 1))
            row = await side.query(GetAccount(account_id), at_least=token)
            assert row is not None
            assert row.balance == 6 + amount


async def test_queries_run_on_the_replica_and_projections_on_the_primary(
    store: MemoryEventStore, pair: Pair
) -> None:
    database = PostgresReadDatabase(pair.url())
    async with reading(store, database=database):
        asked = sa.text("SELECT pg_is_in_recovery()")
        async with database.snapshot() as snapshot:
            assert (await snapshot.execute(asked))[0][0] is True
        async with database.snapshot(projecting=True) as snapshot:
            assert (await snapshot.execute(asked))[0][0] is False
        assert "on the replica" in database.report


async def test_a_replica_that_does_not_know_the_tables_yet_is_not_ready(
    store: MemoryEventStore, pair: Pair
) -> None:
    async with pair.held_up():
        token = await append(store, Opened(uuid4(), "Ann"))
        async with reading(store, database=PostgresReadDatabase(pair.url())) as side:
            soon = timedelta(milliseconds=100)
            with pytest.raises(ViewNotReady):
                await side.query(ListAccounts(), at_least=token, timeout=soon)
            await asyncio.to_thread(pair.standby.execute, "SELECT pg_wal_replay_resume()")
            assert (await side.query(ListAccounts(), at_least=token)).total == 1


async def test_what_is_no_replica_of_the_read_database_is_refused(
    store: MemoryEventStore, postgres: PostgresServer
) -> None:
    one, other = postgres.create_database(), postgres.create_database()
    database = PostgresReadDatabase(other)
    await database.open(log_id=uuid4())
    await database.close()
    with pytest.raises(HistoryDiverged):
        await PostgresReadDatabase(one, replica=other).open(log_id=store.log_id)
