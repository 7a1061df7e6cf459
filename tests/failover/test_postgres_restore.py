"""A log is restored from an older backup: what is newer is found out, and nothing is skipped."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from diptych.errors import CheckpointDiverged, TokenFromAnotherHistory
from diptych.read.database import ReadDatabase
from diptych.read.postgres.database import PostgresReadDatabase
from diptych.read.readiness import State
from diptych.read.side import ReadSide
from diptych.read.sqlite.database import SqliteReadDatabase
from diptych.store.contract import EventStore
from diptych.store.postgres.store import PostgresEventStore
from diptych.testing.conformance.steps import opened
from diptych.tokens import Token
from tests.integration.accounts import (
    Deposited,
    GetAccount,
    ListAccounts,
    Opened,
    all_accounts,
    append,
    expected_accounts,
    head_token,
    reading,
)
from tests.servers.postgres import PostgresServer

NewDatabase = Callable[[], ReadDatabase]


class Log:
    """A log that can be copied, and be replaced by the copy, at one URL."""

    def __init__(self, server: PostgresServer, url: str) -> None:
        self.url = url
        self._server, self._name = server, url.rpartition("/")[2]

    async def back_up(self) -> None:
        await self._execute(f"CREATE DATABASE {self._name}_backup TEMPLATE {self._name}")

    async def restore(self) -> None:
        await self._execute(
            f"DROP DATABASE {self._name} WITH (FORCE)",
            f"ALTER DATABASE {self._name}_backup RENAME TO {self._name}",
        )

    async def _execute(self, *statements: str) -> None:
        await asyncio.to_thread(self._server.execute, *statements)


@pytest.fixture
def log(postgres: PostgresServer, postgres_url: str) -> Log:
    return Log(postgres, postgres_url)


@pytest.fixture(params=["rows in SQLite", "rows in PostgreSQL"])
def new_database(
    request: pytest.FixtureRequest, tmp_path: Path, postgres: PostgresServer
) -> Iterator[NewDatabase]:
    """Rows that are kept apart from the log."""
    if request.param == "rows in SQLite":
        yield lambda: SqliteReadDatabase(tmp_path / "read.db")
        return
    url = postgres.create_database()
    yield lambda: PostgresReadDatabase(url)
    postgres.drop_database(url)


@asynccontextmanager
async def running(log: Log, database: ReadDatabase) -> AsyncIterator[tuple[EventStore, ReadSide]]:
    async with (
        opened(PostgresEventStore(log.url)) as store,
        reading(store, database=database) as side,
    ):
        yield store, side


async def deposited(store: EventStore, account: UUID, times: int) -> Token:
    for _ in range(times - 1):
        await append(store, Deposited(account, 1))
    return await append(store, Deposited(account, 1))


async def test_a_view_that_has_seen_more_than_the_restored_log_neither_answers_nor_goes_on(
    log: Log, new_database: NewDatabase
) -> None:
    account = uuid4()
    async with opened(PostgresEventStore(log.url)) as store:
        await append(store, Opened(account, "Ann"))
        await deposited(store, account, 2)
    await log.back_up()
    async with running(log, new_database()) as (store, side):
        lost = await deposited(store, account, 3)
        await side.query(GetAccount(account), at_least=lost)
    await log.restore()
    async with running(log, new_database()) as (store, side):
        for _ in range(2):
            with pytest.raises(CheckpointDiverged):
                await side.query(GetAccount(account))
            with pytest.raises((CheckpointDiverged, TokenFromAnotherHistory)):
                await side.query(GetAccount(account), at_least=lost)
            (view,) = (await side.readiness()).views
            assert view.state is State.STOPPED
            await deposited(store, account, 6)  # the log outgrows what was lost: no matter


async def test_rows_that_are_restored_together_with_the_log_go_on_as_if_nothing_was(
    log: Log,
) -> None:
    account = uuid4()
    async with running(log, PostgresReadDatabase(log.url)) as (store, side):
        await append(store, Opened(account, "Ann"))
        await side.query(ListAccounts(), at_least=await deposited(store, account, 2))
    await log.back_up()
    async with running(log, PostgresReadDatabase(log.url)) as (store, side):
        lost = await deposited(store, account, 3)
        await side.query(ListAccounts(), at_least=lost)
    await log.restore()
    async with running(log, PostgresReadDatabase(log.url)) as (store, side):
        await deposited(store, account, 4)
        rows = await all_accounts(side, at_least=await head_token(store))
        assert rows == await expected_accounts(store)
        assert rows[account].deposits == 6
        with pytest.raises(TokenFromAnotherHistory):
            await side.query(ListAccounts(), at_least=lost)
