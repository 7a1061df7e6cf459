"""A PostgreSQL log that cannot be opened or used says why in one line, which shows no password."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import asyncpg
import pytest

from diptych.errors import (
    DiptychError,
    SchemaMismatch,
    StorageDenied,
    StorageUnavailable,
    StoreError,
)
from diptych.store.postgres.store import PostgresEventStore
from diptych.testing.conformance.steps import add, log_of, opened, to
from diptych.testing.waiting import wait_until
from tests.servers.postgres import PostgresServer, own_server

SECRET = "open-sesame"


async def refusal(opening: Awaitable[None]) -> DiptychError:
    """What it is refused with: one line, without the password, the driver's error beside it."""
    with pytest.raises(DiptychError) as caught:
        await opening
    message = str(caught.value)
    assert "\n" not in message
    assert SECRET not in message
    assert SECRET not in repr(caught.value)
    return caught.value


async def refused(url: str, *, patience: float = 0.1) -> DiptychError:
    """What opening the log at `url` is refused with."""
    return await refusal(PostgresEventStore(url, patience=patience).open())


@pytest.fixture
def clerk(postgres: PostgresServer, postgres_url: str) -> Iterator[str]:
    """The URL of the database for a user with a password and without rights."""
    postgres.execute(f"CREATE ROLE clerk LOGIN PASSWORD '{SECRET}' IN ROLE with_password")
    yield postgres_url.replace("postgres@", f"clerk:{SECRET}@")
    database = postgres_url.rpartition("/")[2]
    postgres.execute("DROP OWNED BY clerk CASCADE", database=database)
    postgres.execute("DROP ROLE clerk")


async def test_a_wrong_password_is_a_denial(clerk: str) -> None:
    error = await refused(clerk.replace(SECRET, f"{SECRET}-not"))
    assert isinstance(error, StorageDenied)
    assert "user or password" in str(error)


async def test_an_unknown_user_is_a_denial_or_not_told_apart(postgres_url: str) -> None:
    error = await refused(postgres_url.replace("postgres@", "nobody_here@"))
    assert isinstance(error, StorageDenied)


async def test_a_port_at_which_nobody_listens_is_unavailable() -> None:
    error = await refused(f"postgresql://clerk:{SECRET}@127.0.0.1:1/orders")
    assert isinstance(error, StorageUnavailable)
    assert "clerk@127.0.0.1:1/orders" in str(error)
    assert "nothing listens there" in str(error)


async def test_a_host_that_is_not_known_is_unavailable() -> None:
    error = await refused("postgresql://clerk@no-such-host.invalid/orders")
    assert isinstance(error, StorageUnavailable)
    assert "cannot be reached" in str(error)


async def test_a_database_that_does_not_exist_is_to_be_created(postgres: PostgresServer) -> None:
    error = await refused(postgres.url("no_such_database"))
    assert "there is no such database" in str(error)


async def test_a_user_who_may_not_create_the_schema_is_told_what_to_run(clerk: str) -> None:
    error = await refused(clerk)
    assert isinstance(error, StorageDenied)
    assert "CREATE SCHEMA" in str(error)


async def test_a_user_who_may_not_use_the_schema_is_told_what_to_grant(
    clerk: str, postgres_url: str
) -> None:
    async with opened(PostgresEventStore(postgres_url)):
        pass
    error = await refused(clerk)
    assert isinstance(error, StorageDenied)
    assert "GRANT" in str(error)


async def test_a_user_with_the_rights_that_are_named_can_append_and_read(
    clerk: str, postgres: PostgresServer, postgres_url: str
) -> None:
    async with opened(PostgresEventStore(postgres_url)):
        pass
    postgres.execute(
        "GRANT USAGE ON SCHEMA diptych TO clerk",
        "GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA diptych TO clerk",
        database=postgres_url.rpartition("/")[2],
    )
    async with opened(PostgresEventStore(clerk)) as store:
        await store.append(add(to("order-1", expecting=0)))
        assert len(await log_of(store)) == 1


@pytest.mark.parametrize("found", [0, 99])
async def test_a_log_of_another_schema_version_is_refused(
    postgres: PostgresServer, postgres_url: str, found: int
) -> None:
    async with opened(PostgresEventStore(postgres_url)):
        pass
    database = postgres_url.rpartition("/")[2]
    postgres.execute(f"UPDATE diptych.meta SET schema_version = {found}", database=database)
    error = await refused(postgres_url)
    assert isinstance(error, SchemaMismatch)
    assert (error.found, error.supported) == (found, 2)


async def test_a_schema_that_holds_something_else_is_left_alone(
    postgres: PostgresServer, postgres_url: str
) -> None:
    database = postgres_url.rpartition("/")[2]
    postgres.execute("CREATE SCHEMA diptych", "CREATE TABLE diptych.events ()", database=database)
    error = await refused(postgres_url)
    assert "?schema=name" in str(error)
    assert postgres.execute("SELECT count(*) FROM diptych.events", database=database) == "0"


async def test_a_database_in_another_encoding_is_refused(postgres: PostgresServer) -> None:
    postgres.execute("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    error = await refused(postgres.url("latin"))
    assert "UTF8" in str(error)
    postgres.execute("DROP DATABASE latin")


@pytest.fixture
def small_server() -> Iterator[PostgresServer]:
    with own_server(None, "max_connections=8", "superuser_reserved_connections=0") as server:
        yield server


@asynccontextmanager
async def all_taken(server: PostgresServer) -> AsyncIterator[None]:
    """No connection is free while the block runs; those of stores are ended."""
    async with AsyncExitStack() as stack:
        own = await asyncpg.connect(server.url())
        stack.push_async_callback(own.close)
        await own.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'diptych%'"
        )
        with suppress(asyncpg.TooManyConnectionsError):
            while True:
                connection = await asyncpg.connect(server.url())
                stack.push_async_callback(connection.close)
        yield


async def test_a_server_without_a_free_connection_is_named(small_server: PostgresServer) -> None:
    async with all_taken(small_server):
        error = await refused(small_server.url())
    assert isinstance(error, StorageUnavailable)
    assert "max_connections" in str(error)


async def test_an_append_waits_for_a_free_connection(small_server: PostgresServer) -> None:
    async with opened(PostgresEventStore(small_server.url(), patience=30)) as store:
        await store.append(add(to("order-1")))
        async with all_taken(small_server):
            append = asyncio.create_task(store.append(add(to("order-1"))))
            done, _ = await asyncio.wait([append], timeout=0.3)
            assert not done
        assert (await append).streams[0].version == 2


async def test_a_schema_that_is_dropped_under_a_running_store_is_an_error_not_a_hang(
    postgres: PostgresServer, postgres_url: str
) -> None:
    async with opened(PostgresEventStore(postgres_url)) as store:
        await store.append(add(to("order-1")))
        postgres.execute("DROP SCHEMA diptych CASCADE", database=postgres_url.rpartition("/")[2])
        with pytest.raises(StoreError):
            await store.append(add(to("order-1")))
        with pytest.raises(StoreError):
            await store.head()


async def test_an_append_that_is_the_victim_of_a_deadlock_is_tried_again(
    postgres: PostgresServer, postgres_url: str
) -> None:
    async with opened(PostgresEventStore(postgres_url)) as store:
        other = await asyncpg.connect(postgres_url)
        await other.execute("SET deadlock_timeout = '60s'")  # so that it is not the victim
        await other.execute("BEGIN; LOCK TABLE diptych.events IN SHARE MODE")
        append = asyncio.create_task(store.append(add(to("order-1", expecting=0))))
        held = "SELECT classid::int, objid::int FROM pg_locks WHERE locktype = 'advisory'"
        await wait_until(lambda: any_row(other, held))
        classid, objid = await other.fetchrow(held)
        await other.execute(f"SELECT pg_advisory_xact_lock({classid}, {objid})")  # the append lost
        assert not append.done()
        await other.execute("ROLLBACK")
        assert (await append).point.position == 1
        await other.close()


async def any_row(connection: asyncpg.Connection, query: str) -> bool:
    return bool(await connection.fetch(query))
