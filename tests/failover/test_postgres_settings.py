"""Whatever a database or a role is set up to, the log keeps the contract or says what is wrong."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

import asyncpg
import pytest

from diptych.errors import StorageReadOnly, StoreError
from diptych.store.postgres.store import PostgresEventStore
from diptych.testing.conformance import NewStore
from diptych.testing.conformance.append import AppendConformance
from diptych.testing.conformance.commands import CommandConformance
from diptych.testing.conformance.conditions import ConditionConformance
from diptych.testing.conformance.fidelity import FidelityConformance
from diptych.testing.conformance.read import ReadConformance
from diptych.testing.conformance.steps import add, log_of, opened, to
from tests.servers.postgres import PostgresServer, own_server

ODD: Final = {
    "default_transaction_isolation": "serializable",
    "synchronous_commit": "off",
    "statement_timeout": "1s",
    "lock_timeout": "1s",
    "idle_session_timeout": "200ms",
    "search_path": "pg_catalog",
    "standard_conforming_strings": "off",
    "bytea_output": "escape",
    "datestyle": "German",
    "timezone": "Asia/Kolkata",
    "intervalstyle": "sql_standard",
    "extra_float_digits": "-5",
    "client_encoding": "LATIN1",
    "row_security": "off",
    "jit_above_cost": "0",
    "enable_indexscan": "off",
    "plan_cache_mode": "force_generic_plan",
    "transform_null_equals": "on",
}


@contextmanager
def set_up(server: PostgresServer, settings: dict[str, str]) -> Iterator[str]:
    """The URL of a database with these settings."""
    url = server.create_database()
    name = url.rpartition("/")[2]
    server.execute(*(f"ALTER DATABASE {name} SET {k} TO '{v}'" for k, v in settings.items()))
    yield url
    server.drop_database(url)


@pytest.fixture(scope="module")
def odd_database(postgres: PostgresServer) -> Iterator[str]:
    with set_up(postgres, ODD) as url:
        yield url


class TestWithOddSettings(
    AppendConformance,
    CommandConformance,
    ConditionConformance,
    FidelityConformance,
    ReadConformance,
):
    @pytest.fixture
    def new_store(self, odd_database: str, request: pytest.FixtureRequest) -> NewStore:
        schema = f"log_{abs(hash(request.node.nodeid))}"
        return lambda: PostgresEventStore(odd_database, schema=schema)


async def appended_to(url: str) -> None:
    async with opened(PostgresEventStore(url, patience=0.1)) as store:
        await store.append(add(to("order-1")))


async def test_a_database_that_is_read_only_by_default_is_named(postgres: PostgresServer) -> None:
    with set_up(postgres, {}) as url:
        await appended_to(url)
        name = url.rpartition("/")[2]
        postgres.execute(f"ALTER DATABASE {name} SET default_transaction_read_only TO on")
        with pytest.raises(StorageReadOnly, match="default_transaction_read_only"):
            await appended_to(url)


async def test_another_isolation_level_behind_a_pooler_is_refused_and_not_worked_around(
    postgres: PostgresServer, to_pgbouncer: Callable[[str], AbstractContextManager[str]]
) -> None:
    with (
        set_up(postgres, {"default_transaction_isolation": "serializable"}) as url,
        to_pgbouncer(url) as pooled,
    ):
        with pytest.raises(StoreError, match="READ COMMITTED"):
            await appended_to(f"{pooled}?pooler=transaction")
        async with opened(PostgresEventStore(url)) as store:
            assert await log_of(store) == []


async def test_what_is_acknowledged_is_on_disk_where_the_database_asks_for_less() -> None:
    """A plain commit there is lost with the server: else this would show nothing."""
    with own_server(None, "wal_writer_delay=10s", "synchronous_commit=off") as server:
        async with opened(PostgresEventStore(server.url())) as store:
            await store.append(add(to("order-1")))
            connection = await asyncpg.connect(server.url())
            await connection.execute("CREATE TABLE plain ()")
            await asyncio.to_thread(server.kill)
            connection.terminate()
            await asyncio.to_thread(server.restart)
            assert len(await log_of(store)) == 1
        assert server.execute("SELECT to_regclass('plain') IS NULL") == "t"
