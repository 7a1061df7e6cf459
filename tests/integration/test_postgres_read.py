"""The read database in PostgreSQL: how it is opened, what is refused, who may do what at once."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import sqlalchemy as sa

from diptych.errors import (
    ConfigurationError,
    HistoryDiverged,
    SchemaMismatch,
    StorageDenied,
    StorageUnavailable,
    StoreError,
)
from diptych.read.postgres import database as postgres_database
from diptych.read.postgres.connection import Begins
from diptych.read.postgres.database import PostgresReadDatabase
from diptych.read.schema import META
from diptych.testing.waiting import wait_until
from tests.integration.conftest import AnyDatabase
from tests.servers.postgres import PostgresServer

LOG = uuid4()
COUNTER = sa.Table("counter", sa.MetaData(), sa.Column("number", sa.Integer, primary_key=True))


@pytest.fixture
async def database(schema_url: str) -> AsyncIterator[PostgresReadDatabase]:
    """Open, with an empty table `counter`."""
    opened = PostgresReadDatabase(schema_url)
    await opened.open(log_id=LOG)
    async with opened.transaction(exclusive=True) as tx:
        await tx.create(COUNTER)
    yield opened
    await opened.close()


async def numbers(database: PostgresReadDatabase) -> list[int]:
    async with database.snapshot() as snapshot:
        found = await snapshot.execute(sa.select(COUNTER).order_by(COUNTER.c.number))
        return [row.number for row in found]


async def test_the_schema_is_made_once_however_many_open_it_at_the_same_time(
    schema_url: str,
) -> None:
    databases = [PostgresReadDatabase(schema_url) for _ in range(8)]
    await asyncio.gather(*(each.open(log_id=LOG) for each in databases))
    async with databases[0].snapshot() as snapshot:
        assert len(await snapshot.execute(sa.select(META))) == 1
    await asyncio.gather(*(each.close() for each in databases))


async def test_the_report_names_server_version_schema_and_connections(
    database: PostgresReadDatabase, schema_url: str
) -> None:
    schema = schema_url.partition("schema=")[2]
    assert database.report.startswith("PostgreSQL 1")
    for part in ("127.0.0.1", schema, "8 connections for queries", "10 s", "4 for projections"):
        assert part in database.report


async def test_a_schema_of_another_version_is_refused(
    database: PostgresReadDatabase, schema_url: str
) -> None:
    async with database.transaction() as tx:
        await tx.execute(sa.update(META).values(schema_version=99))
    with pytest.raises(SchemaMismatch) as refused:
        await PostgresReadDatabase(schema_url).open(log_id=LOG)
    assert refused.value.found == 99


async def test_a_schema_that_follows_another_log_is_refused(
    database: PostgresReadDatabase, schema_url: str
) -> None:
    with pytest.raises(HistoryDiverged, match="follows log"):
        await PostgresReadDatabase(schema_url).open(log_id=uuid4())


async def test_a_user_without_rights_is_told_what_to_ask_for(
    postgres: PostgresServer, shared_database: str
) -> None:
    name = f"plain_{uuid4().hex[:8]}"
    postgres.execute(f"CREATE ROLE {name} LOGIN")
    base = shared_database.rpartition("/")[2]
    url = f"{postgres.url(base, user=name)}?schema=not_there"
    with pytest.raises(StorageDenied, match="make schema not_there"):
        await PostgresReadDatabase(url).open(log_id=LOG)


async def test_a_user_who_may_only_use_the_schema_can_use_what_an_owner_made(
    database: PostgresReadDatabase, postgres: PostgresServer, schema_url: str
) -> None:
    name, schema = f"user_{uuid4().hex[:8]}", schema_url.partition("schema=")[2]
    base = schema_url.partition("?")[0].rpartition("/")[2]
    postgres.execute(
        f"CREATE ROLE {name} LOGIN",
        f"GRANT USAGE ON SCHEMA {schema} TO {name}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {name}",
        database=base,
    )
    theirs = PostgresReadDatabase(f"{postgres.url(base, user=name)}?schema={schema}")
    await theirs.open(log_id=LOG)
    async with theirs.transaction() as tx:
        await tx.execute(sa.insert(COUNTER).values(number=7))
    assert await numbers(database) == [7]
    await theirs.close()


async def test_a_server_that_does_not_answer_is_named_without_the_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postgres_database, "_PATIENCE", 0.05)
    with pytest.raises(StorageUnavailable) as refused:
        await PostgresReadDatabase("postgresql://me:secret@127.0.0.1:1/shop").open(log_id=LOG)
    assert "127.0.0.1:1/shop" in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("options", [{"readers": 0}, {"projecting": 0}, {"statement_timeout": 0}])
def test_a_number_that_cannot_be_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="positive"):
        PostgresReadDatabase("postgresql://127.0.0.1/shop", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("url", ["postgresql://h/d?replicas=x", "postgresql://h/d?schema=A-B"])
def test_a_parameter_that_cannot_be_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        PostgresReadDatabase(url)


async def test_only_one_exclusive_transaction_runs_at_a_time_whatever_the_process(
    database: PostgresReadDatabase, schema_url: str
) -> None:
    other = PostgresReadDatabase(schema_url)
    await other.open(log_id=LOG)
    inside, most = 0, 0

    async def enter(mine: PostgresReadDatabase) -> None:
        nonlocal inside, most
        async with mine.transaction(exclusive=True) as tx:
            inside += 1
            most = max(most, inside)
            found = await tx.execute(sa.select(sa.func.count()).select_from(COUNTER))
            await tx.execute(sa.insert(COUNTER).values(number=found[0][0]))
            inside -= 1

    await asyncio.gather(*(enter(each) for each in [database, other] * 5))
    assert most == 1
    assert await numbers(database) == list(range(10))
    await other.close()


async def test_other_transactions_run_beside_each_other_and_beside_an_exclusive_one(
    database: PostgresReadDatabase,
) -> None:
    async with database.transaction(exclusive=True) as one, database.transaction() as two:
        await one.execute(sa.insert(COUNTER).values(number=1))
        await two.execute(sa.insert(COUNTER).values(number=2))
    assert await numbers(database) == [1, 2]


async def test_a_transaction_in_which_a_statement_failed_is_not_committed_in_silence(
    database: PostgresReadDatabase,
) -> None:
    with pytest.raises(StoreError, match="rolled back"):
        async with database.transaction() as tx:
            await tx.execute(sa.insert(COUNTER).values(number=1))
            with pytest.raises(sa.exc.IntegrityError):
                await tx.execute(sa.insert(COUNTER).values(number=1))
    assert await numbers(database) == []


async def test_two_schemas_in_one_database_know_nothing_of_each_other(
    database: PostgresReadDatabase, shared_database: str
) -> None:
    schema = f"other_{uuid4().hex[:8]}"
    other = PostgresReadDatabase(f"{shared_database}?schema={schema}")
    await other.open(log_id=uuid4())
    async with database.transaction() as tx:
        await tx.execute(sa.insert(COUNTER).values(number=1))
    async with other.snapshot() as snapshot:
        with pytest.raises(sa.exc.ProgrammingError, match="does not exist"):
            await snapshot.execute(sa.select(COUNTER))
    locks = {Begins.of(each, statement_seconds=1).exclusive for each in "ab"}
    assert len(locks) == 2
    await other.close()


async def test_closing_waits_for_the_transaction_that_is_under_way(
    any_database: AnyDatabase,
) -> None:
    database = any_database()
    await database.open(log_id=LOG)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def write() -> None:
        async with database.transaction():
            begun.set()
            await go_on.wait()

    writing = asyncio.create_task(write())
    await begun.wait()
    closing = asyncio.create_task(database.close())
    await wait_until(lambda: getattr(database, "_open", None) is None)
    assert not closing.done()
    go_on.set()
    await asyncio.gather(writing, closing)
