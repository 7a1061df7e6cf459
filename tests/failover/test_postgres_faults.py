"""A PostgreSQL server is killed, restarted and robbed of its connections under load."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager

import pytest

from diptych.read.postgres.database import PostgresReadDatabase
from diptych.store.postgres.store import PostgresEventStore
from diptych.testing.conformance.steps import log_of, opened
from tests.failover.history import demand
from tests.failover.load import Load, following, loading
from tests.integration.accounts import all_accounts, expected_accounts, head_token, reading
from tests.servers.postgres import PostgresServer, own_server


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with own_server() as started:
        yield started


@pytest.fixture
def url(server: PostgresServer) -> Iterator[str]:
    url = server.create_database()
    yield url
    server.drop_database(url)


def appending(server: PostgresServer) -> int:
    """The process that serves one appending connection."""
    sql = "SELECT pid FROM pg_stat_activity WHERE application_name = 'diptych append' LIMIT 1"
    return int(server.execute(sql))


def all_connections_ended(server: PostgresServer) -> None:
    for _ in range(3):
        server.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )


def one_backend_killed(server: PostgresServer) -> None:
    server.kill_backend(appending(server))


def restarted(server: PostgresServer) -> None:
    server.restart()


def stopped_without_a_checkpoint(server: PostgresServer) -> None:
    server.restart("immediate")


def killed(server: PostgresServer) -> None:
    server.kill()
    server.restart()


@asynccontextmanager
async def watched(url: str) -> AsyncIterator[Load]:
    """A load by two stores, a follower and a projection at a third; all is checked at the end."""
    async with (
        opened(PostgresEventStore(url)) as one,
        opened(PostgresEventStore(url)) as two,
        opened(PostgresEventStore(url)) as third,
        following(third) as follower,
        reading(third, database=PostgresReadDatabase(url)) as side,
    ):
        async with loading(one, two) as load:
            yield load
        await load.settle(one)
        log = await log_of(third)
        demand(load.history, log)
        await follower.at(len(log))
        assert follower.seen == log
        rows = await all_accounts(side, at_least=await head_token(third))
        assert rows == await expected_accounts(third)


@pytest.mark.parametrize(
    ("fault", "times"),
    [
        (all_connections_ended, 6),
        (one_backend_killed, 3),
        (restarted, 3),
        (stopped_without_a_checkpoint, 3),
        (killed, 4),
    ],
)
async def test_under_load_all_is_there_once_and_projections_go_on(
    server: PostgresServer, url: str, fault: Callable[[PostgresServer], None], times: int
) -> None:
    async with watched(url) as load:
        for _ in range(times):
            await load.more(60)
            moment = time.monotonic()
            await asyncio.to_thread(fault, server)
            await load.more(60)
            assert load.under_way(moment)


async def test_through_a_pooler_all_is_there_once_when_its_connections_end(
    server: PostgresServer,
    url: str,
    to_pgbouncer: Callable[[str], AbstractContextManager[str]],
) -> None:
    with to_pgbouncer(url) as pooled:
        async with watched(f"{pooled}?pooler=transaction") as load:
            for fault in (all_connections_ended, restarted):
                await load.more(60)
                await asyncio.to_thread(fault, server)
                await load.more(60)


async def test_an_append_outlasts_a_restart_without_its_caller_knowing(
    server: PostgresServer, url: str
) -> None:
    async with opened(PostgresEventStore(url)) as store:
        async with loading(store, clients=4) as load:
            await load.more(10)
            await asyncio.to_thread(server.restart)
            await load.more(10)
        assert not any(asked.errors for asked in load.history)
