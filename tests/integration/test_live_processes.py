"""Watched queries where others project, are killed, or the database's server is."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from diptych.backends import open_log, open_read_database
from diptych.clock import SystemClock
from diptych.read.postgres.database import PostgresReadDatabase
from diptych.read.query import answer
from diptych.read.rows import Rows
from diptych.read.side import ReadSide
from diptych.read.view import View
from diptych.read.watching import Watching
from diptych.store.memory import MemoryEventStore
from tests.integration.accounts import (
    Account,
    Deposited,
    GetAccount,
    Opened,
    account_view,
    append,
    reading,
)
from tests.integration.live import until, upcoming
from tests.integration.processes import Setting, opened, processes
from tests.servers.postgres import own_server

pytestmark = pytest.mark.usefixtures("often")


def views(**options: object) -> dict[str, object]:
    """Options of `reading`: a view, and its query."""
    view: View[Account] = account_view(**options)

    async def get(query: GetAccount, rows: Rows) -> Account | None:
        return await rows.get(view, query.account_id)

    return {"models": [view], "queries": [answer(GetAccount, get, reads=[view])]}


@pytest.fixture(params=["sqlite", "postgresql"])
def setting(request: pytest.FixtureRequest, tmp_path: Path) -> Setting:
    if request.param == "sqlite":
        return Setting(f"sqlite:///{tmp_path}/log.db", f"sqlite:///{tmp_path}/read.db")
    url: str = request.getfixturevalue("postgres_url")
    return Setting(url, url)


@pytest.fixture
async def reader(setting: Setting) -> AsyncIterator[ReadSide]:
    """This process, which only answers."""
    async with opened(open_log(setting.log, SystemClock())) as store:
        database = open_read_database(setting.read)
        options = views(max_lag=timedelta(milliseconds=500))
        async with reading(store, database=database, project=False, **options) as side:  # type: ignore[arg-type]
            yield side


async def deposits(watching: Watching[Account | None], number: int) -> None:
    def reached(found: object) -> bool:
        return bool(found.value and found.value.deposits >= number and not found.stale)  # type: ignore[attr-defined]

    found = await until(watching, reached)
    assert found.value is not None
    assert found.value.deposits == number


async def test_what_another_process_projects_is_shown_here(
    setting: Setting, reader: ReadSide
) -> None:
    async with processes(setting, replace(setting, project=False)) as (_, writer):
        account = await writer.do("open_account")
        assert await writer.do("deposit", account, 1) == [1]
        async with reader.watch(GetAccount(UUID(account))) as watching:
            await deposits(watching, 1)
            for number in range(2, 8):
                await writer.do("deposit", account, 1)
                await deposits(watching, number)


async def test_a_killed_projector_makes_answers_stale_until_another_goes_on(
    setting: Setting, reader: ReadSide
) -> None:
    quick = replace(setting, lease_ttl=0.5)
    async with processes(quick) as (projector,):
        account = await projector.do("open_account")
        await projector.do("deposit", account, 1)
        watching = reader.watch(GetAccount(UUID(account)))
        await deposits(watching, 1)
        await projector.kill()
        await append(reader._store, Deposited(UUID(account), 1))
        stale = await upcoming(watching)
        assert (stale.stale, stale.value and stale.value.deposits) == (True, 1)
        async with processes(quick):
            await deposits(watching, 2)


async def test_a_server_that_is_killed_and_comes_back_ends_no_watching() -> None:
    account_id, store = uuid4(), MemoryEventStore()
    await store.open()
    with own_server() as server:
        database = PostgresReadDatabase(server.create_database())
        options = views(max_lag=timedelta(milliseconds=500))
        async with reading(store, database=database, **options) as side:  # type: ignore[arg-type]
            token = await append(store, Opened(account_id, "Ann"))
            watching = side.watch(GetAccount(account_id), at_least=token)
            await deposits(watching, 0)
            await asyncio.to_thread(server.kill)
            await append(store, Deposited(account_id, 1))
            stale = await upcoming(watching)
            assert (stale.stale, stale.value and stale.value.deposits) == (True, 0)
            await asyncio.to_thread(server.start)
            await deposits(watching, 1)
    await store.close()
