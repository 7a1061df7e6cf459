"""Commands in a transaction of the caller's on PostgreSQL: both are committed, or neither."""

import asyncio
import traceback
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from diptych import Application, EventStore
from diptych.errors import (
    CommandTookEffect,
    ConcurrencyError,
    ConfigurationError,
    OutcomeUnknown,
    StoreError,
)
from diptych.store.contract import Load
from examples.orders.order import CreateOrder, OrderItem, ShipOrder, orders
from tests.servers.postgres import PostgresServer
from tests.unit.write.account import Deposit, NotEnough, Withdraw, accounts

ROOT = Path(__file__).parents[2]
_NOTES = sa.Table("notes", sa.MetaData(), sa.Column("text", sa.Text, primary_key=True))


def through(driver: str, url: str) -> str:
    return url.replace("postgresql://", f"postgresql+{driver}://")


@pytest.fixture
async def app(postgres_url: str) -> AsyncIterator[Application]:
    async with Application(log=postgres_url, write=[accounts]) as app:
        yield app


@pytest.fixture
def store(app: Application) -> EventStore:
    return app.log.store


@pytest.fixture
async def engine(postgres_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(through("asyncpg", postgres_url))
    async with engine.begin() as connection:
        await connection.run_sync(_NOTES.metadata.create_all)
    yield engine
    await engine.dispose()


def note(text: str) -> sa.Insert:
    return sa.insert(_NOTES).values(text=text)


async def notes(engine: AsyncEngine) -> list[str]:
    async with engine.connect() as connection:
        return list((await connection.execute(sa.select(_NOTES.c.text))).scalars())


async def version_of(store: EventStore, stream: str) -> int:
    return (await store.load(Load(stream))).version


async def test_the_callers_rows_and_the_events_are_committed_together(
    app: Application, engine: AsyncEngine, store: EventStore
) -> None:
    async with AsyncSession(engine) as session, session.begin():
        await session.execute(note("paid"))
        joined = app.join(session)
        one = await joined.dispatch(Deposit("a", 10))
        two = await joined.dispatch(Withdraw("a", 4))
        assert await version_of(store, "account-a") == 0
    assert (one.outcome.version, two.outcome.version) == (1, 2)
    assert (one.outcome.position, two.outcome.position) == (1, 2)
    assert await notes(engine) == ["paid"]
    page = await store.read()
    assert [event.type for event in page.events] == ["Deposited", "Withdrawn"]
    assert page.scanned == two.outcome.point


async def test_a_rollback_leaves_neither(
    app: Application, engine: AsyncEngine, store: EventStore
) -> None:
    async with AsyncSession(engine) as session:
        await session.execute(note("paid"))
        await app.join(session).dispatch(Deposit("a", 10))
        await session.rollback()
    assert await notes(engine) == []
    assert await version_of(store, "account-a") == 0


async def test_a_refusal_at_the_commit_leaves_neither_nor_what_was_not_refused(
    app: Application, engine: AsyncEngine, store: EventStore
) -> None:
    session = AsyncSession(engine)
    await session.execute(note("paid"))
    joined = app.join(session)
    await joined.dispatch(Deposit("fine", 10))
    await joined.dispatch(Deposit("moved", 10))
    await app.dispatch(Deposit("moved", 1))
    with pytest.raises(ConcurrencyError, match="account-moved is at version 1, not 0"):
        await session.commit()
    await session.close()
    assert await notes(engine) == []
    assert await version_of(store, "account-fine") == 0
    assert await version_of(store, "account-moved") == 1


async def test_a_rule_is_kept_by_what_the_same_transaction_did_before(
    app: Application, engine: AsyncEngine
) -> None:
    async with AsyncSession(engine) as session:
        joined = app.join(session)
        await joined.dispatch(Deposit("a", 10))
        with pytest.raises(NotEnough):
            await joined.dispatch(Withdraw("a", 11))
        await joined.dispatch(Withdraw("a", 10))
        await session.commit()


async def test_a_command_id_takes_effect_once_with_and_without_a_transaction(
    app: Application, engine: AsyncEngine, store: EventStore
) -> None:
    command_id = uuid4()
    async with AsyncSession(engine) as session:
        pending = await app.join(session).dispatch(Deposit("a", 10), command_id=command_id)
        await session.commit()
    repeated = await app.dispatch(Deposit("a", 10), command_id=command_id)
    assert repeated == replace(pending.outcome, repeated=True)
    async with AsyncSession(engine) as session:
        again = await app.join(session).dispatch(Deposit("a", 10), command_id=command_id)
        assert again.repeated
        assert again.outcome == repeated
        await session.commit()
    assert await version_of(store, "account-a") == 1


async def test_a_twin_that_was_faster_rolls_the_callers_rows_back(
    app: Application, engine: AsyncEngine
) -> None:
    command_id = uuid4()
    session = AsyncSession(engine)
    await session.execute(note("paid"))
    await app.join(session).dispatch(Deposit("a", 10), command_id=command_id)
    await app.dispatch(Deposit("a", 10), command_id=command_id)
    with pytest.raises(CommandTookEffect):
        await session.commit()
    await session.close()
    assert await notes(engine) == []


async def test_other_writers_do_not_wait_for_a_transaction_that_takes_its_time(
    app: Application, engine: AsyncEngine
) -> None:
    async with AsyncSession(engine) as session:
        await session.execute(note("slow"))
        pending = await app.join(session).dispatch(Deposit("slow", 10))
        async with asyncio.timeout(5):
            await asyncio.gather(*(app.dispatch(Deposit(f"n{n}", 1)) for n in range(20)))
        await session.commit()
    assert pending.outcome.position == 21


async def test_many_transactions_at_once_leave_a_dense_log(
    app: Application, engine: AsyncEngine, store: EventStore
) -> None:
    async def one(number: int) -> int:
        async with AsyncSession(engine) as session:
            await session.execute(note(f"note {number}"))
            pending = await app.join(session).dispatch(Deposit(f"n{number}", 1))
            await session.commit()
        return pending.outcome.position

    positions = await asyncio.gather(*(one(number) for number in range(40)))
    assert sorted(positions) == list(range(1, 41))
    assert len(await notes(engine)) == 40


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
async def test_another_isolation_level_is_refused_and_leaves_nothing(
    app: Application, engine: AsyncEngine, store: EventStore, level: str
) -> None:
    other = engine.execution_options(isolation_level=level)
    session = AsyncSession(other)
    await session.execute(note("paid"))
    await app.join(session).dispatch(Deposit("a", 10))
    with pytest.raises(ConfigurationError, match="READ COMMITTED"):
        await session.commit()
    await session.close()
    assert await notes(engine) == []
    assert await version_of(store, "account-a") == 0


async def test_a_session_of_another_database_is_refused(
    app: Application, postgres: PostgresServer
) -> None:
    url = postgres.create_database()
    elsewhere = create_async_engine(through("asyncpg", url))
    session = AsyncSession(elsewhere)
    await app.join(session).dispatch(Deposit("a", 10))
    with pytest.raises(ConfigurationError, match="not the database of the log"):
        await session.commit()
    await session.close()
    async with Application(log=url, write=[accounts]):  # another log, under the same names
        session = AsyncSession(elsewhere)
        await app.join(session).dispatch(Deposit("a", 10))
        with pytest.raises(ConfigurationError, match="not the database of the log"):
            await session.commit()
        await session.close()
    await elsewhere.dispose()
    postgres.drop_database(url)


async def test_a_session_that_commits_each_statement_is_refused_before_anything_is_written(
    app: Application, engine: AsyncEngine, store: EventStore
) -> None:
    session = AsyncSession(engine.execution_options(isolation_level="AUTOCOMMIT"))
    joined = app.join(session)
    await joined.dispatch(Deposit("fine", 10))
    await joined.dispatch(Deposit("moved", 10))
    await app.dispatch(Deposit("moved", 1))
    with pytest.raises(ConfigurationError, match="AUTOCOMMIT"):
        await session.commit()
    await session.close()
    assert await version_of(store, "account-fine") == 0


async def test_a_session_of_a_connection_with_a_transaction_of_its_own_is_refused(
    app: Application, engine: AsyncEngine
) -> None:
    async with engine.connect() as connection:
        with pytest.raises(ConfigurationError, match="bound to a connection"):
            app.join(AsyncSession(connection))


async def test_a_savepoint_that_is_released_during_the_commit_is_no_commit(
    app: Application, engine: AsyncEngine
) -> None:
    session = AsyncSession(engine)
    pending = await app.join(session).dispatch(Deposit("a", 10))

    def fail(inner: Session) -> None:
        if not inner.in_nested_transaction():
            with inner.begin_nested():
                inner.execute(note("in a savepoint"))
            raise ConnectionError("another listener fails")

    sa.event.listen(session.sync_session, "before_commit", fail)
    with pytest.raises(ConnectionError):
        await session.commit()
    await session.close()
    with pytest.raises((OutcomeUnknown, ConfigurationError)):
        _ = pending.outcome


async def test_a_driver_error_at_the_append_is_typed_and_shows_nothing_of_the_command(
    app: Application, engine: AsyncEngine, postgres: PostgresServer, postgres_url: str
) -> None:
    session = AsyncSession(engine)
    await app.join(session).dispatch(Deposit("very-secret", 10))
    database = postgres_url.rpartition("/")[2]
    postgres.execute("ALTER TABLE diptych.events RENAME data TO lost", database=database)
    with pytest.raises(StoreError) as refused:
        await session.commit()
    await session.close()
    assert "very-secret" not in "".join(traceback.format_exception(refused.value))


async def test_a_commit_while_the_application_closes_is_a_commit(
    postgres_url: str, engine: AsyncEngine
) -> None:
    async with Application(log=postgres_url, write=[accounts]) as app:
        session = AsyncSession(engine)
        pending = await app.join(session).dispatch(Deposit("a", 10))
        closing: list[asyncio.Task[None]] = []

        def close(_: Session) -> None:
            closing.append(asyncio.create_task(app.close()))

        sa.event.listen(session.sync_session, "before_commit", close)
        await session.commit()
        await asyncio.gather(*closing)
        await session.close()
    assert pending.outcome.position == 1


async def test_a_joined_commit_is_durable_even_where_the_session_asked_for_less(
    app: Application, engine: AsyncEngine
) -> None:
    async with AsyncSession(engine) as session:
        await session.execute(sa.text("SET LOCAL synchronous_commit = off"))
        await app.join(session).dispatch(Deposit("a", 10))
        in_force: list[str] = []

        def look(session: Session) -> None:
            shown = session.execute(sa.text("SHOW synchronous_commit"))
            in_force.append(str(shown.scalar_one()))

        sa.event.listen(session.sync_session, "before_commit", look)
        await session.commit()
    assert in_force == ["on"]


async def test_a_connection_that_breaks_at_the_commit_leaves_the_outcome_unknown(
    app: Application, engine: AsyncEngine, postgres: PostgresServer
) -> None:
    """Whether it was committed is found by sending the command again under its id."""
    command_id = uuid4()
    session = AsyncSession(engine)
    pending = await app.join(session).dispatch(Deposit("a", 10), command_id=command_id)
    connection = await session.connection()
    pid = (await connection.execute(sa.text("SELECT pg_backend_pid()"))).scalar_one()

    def cut(_: Session) -> None:
        postgres.execute(f"SELECT pg_terminate_backend({pid}, 5000)")

    sa.event.listen(session.sync_session, "before_commit", cut)
    with pytest.raises(sa.exc.DBAPIError):
        await session.commit()
    await session.close()
    with pytest.raises(OutcomeUnknown):
        _ = pending.outcome
    again = await app.dispatch(Deposit("a", 10), command_id=command_id)
    assert (again.repeated, again.version) == (False, 1)


async def test_a_follower_is_woken_by_a_joined_commit(
    app: Application, engine: AsyncEngine, store: EventStore
) -> None:
    moved = asyncio.create_task(store.moved(0))
    async with AsyncSession(engine) as session:
        await app.join(session).dispatch(Deposit("a", 10))
        await session.commit()
    async with asyncio.timeout(5):
        await moved


async def test_a_session_without_asyncio_joins_too(
    app: Application, postgres_url: str, engine: AsyncEngine
) -> None:
    plain = sa.create_engine(through("psycopg", postgres_url))
    with Session(plain) as session:
        session.execute(note("paid"))
        pending = await app.join(session).dispatch(Deposit("a", 10))
        session.commit()
    plain.dispose()
    assert pending.outcome.position == 1
    assert await notes(engine) == ["paid"]


async def test_the_how_to_does_what_it_says(postgres_url: str, engine: AsyncEngine) -> None:
    text = (ROOT / "docs" / "how-to" / "join.md").read_text("utf-8")
    code = text.partition("```python\n")[2].partition("```")[0]
    names: dict[str, Any] = {"AsyncSession": AsyncSession, "ShipOrder": ShipOrder}
    exec(code, names)
    invoices = sa.Table("invoices", sa.MetaData(), sa.Column("order_id", sa.Uuid, primary_key=True))
    async with engine.begin() as connection:
        await connection.run_sync(invoices.metadata.create_all)
    order_id = UUID(int=1)
    line = OrderItem("tea", 1, Decimal("3.50"), "Tea")
    async with Application(log=postgres_url, write=[orders]) as app:
        await app.dispatch(CreateOrder(order_id, UUID(int=2), "Ann", (line,), "1 Long Street"))
        outcome = await names["ship"](app, engine, invoices, order_id)
        assert outcome.version == 2
        with pytest.raises(sa.exc.IntegrityError):
            await names["ship"](app, engine, invoices, order_id)
        assert (await app.log.head()).position == 2
