"""Logs and read databases for the tests of the read side."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import uuid4

import pytest

from diptych.read import live as live_queries
from diptych.read.database import ReadDatabase
from diptych.read.postgres.database import PostgresReadDatabase
from diptych.read.sqlite.database import SqliteReadDatabase
from diptych.store.contract import EventStore
from diptych.store.memory import Hostile, MemoryEventStore
from diptych.store.postgres.store import PostgresEventStore
from diptych.store.sqlite.store import SqliteEventStore
from tests.integration.rebuilds import Live, caught_up, operator, process, some_accounts
from tests.servers.postgres import PostgresServer

AnyDatabase = Callable[..., ReadDatabase]
"""Makes read databases over one storage, each as another process would; not yet opened."""


@pytest.fixture
async def store() -> AsyncIterator[MemoryEventStore]:
    log = MemoryEventStore()
    await log.open()
    yield log
    await log.close()


@pytest.fixture(params=["memory", "hostile", "sqlite"])
async def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EventStore]:
    """The same test on each kind of log."""
    log: EventStore
    match request.param:
        case "memory":
            log = MemoryEventStore()
        case "hostile":
            log = MemoryEventStore(hostile=Hostile(seed=3))
        case _:
            log = SqliteEventStore(tmp_path / "log.db")
    await log.open()
    yield log
    await log.close()


@pytest.fixture(scope="session")
def shared_database(postgres: PostgresServer) -> str:
    """A PostgreSQL database that tests share; each has a schema of its own in it."""
    return postgres.create_database()


@pytest.fixture
def schema_url(shared_database: str) -> str:
    """The URL of a schema that is not there yet."""
    return f"{shared_database}?schema=read_{uuid4().hex[:12]}"


@pytest.fixture(params=["sqlite", "postgresql"])
def any_database(request: pytest.FixtureRequest, tmp_path: Path) -> AnyDatabase:
    """The same test on each kind of read database: `any_database(**options)`."""
    if request.param == "sqlite":
        return lambda **options: SqliteReadDatabase(tmp_path / "read.db", **options)
    url: str = request.getfixturevalue("schema_url")
    return lambda **options: PostgresReadDatabase(url, **options)


@pytest.fixture
async def live(store: MemoryEventStore, any_database: AnyDatabase) -> AsyncIterator[Live]:
    """A view that is live in one process, and the operator in another who rebuilds it."""
    ids = await some_accounts(store)
    database = any_database()
    async with (
        process(store, database) as side,
        operator(store, any_database()) as operations,
    ):
        await caught_up(side, store)
        yield Live(store, ids, database, side, operations)


@pytest.fixture(params=["memory", "hostile", "sqlite", "postgresql"])
async def reaction_store(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[EventStore]:
    """The same test on each kind of log: what follows the log keeps its place in it."""
    log: EventStore
    match request.param:
        case "memory":
            log = MemoryEventStore()
        case "hostile":
            log = MemoryEventStore(hostile=Hostile(seed=3))
        case "sqlite":
            log = SqliteEventStore(tmp_path / "log.db")
        case _:
            url: str = request.getfixturevalue("schema_url")
            log = PostgresEventStore(url)
    await log.open()
    yield log
    await log.close()


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Live queries look ten times as often for what nobody tells them."""
    monkeypatch.setattr(live_queries, "_LOOK_AGAIN", 0.1)
