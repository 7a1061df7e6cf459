"""Commands in a transaction of the caller's: what they see, when they are appended, what is said.

The log is in memory here and cannot roll back; that both are one transaction is shown on
PostgreSQL, in `tests/integration/test_postgres_join.py`.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from uuid import uuid4

import pytest
import sqlalchemy as sa
from msgspec.structs import replace
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from diptych import Application
from diptych.errors import (
    CommandTookEffect,
    ConcurrencyError,
    ConfigurationError,
    DiptychError,
    OutcomeUnknown,
)
from diptych.store.contract import Append, Appended, Load
from diptych.store.memory import MemoryEventStore
from tests.unit.write.account import Close, Deposit, NotEnough, Withdraw, accounts


class JoinableMemory(MemoryEventStore):
    """Appends at once, as if inside the caller's transaction."""

    def append_within(
        self, connection: sa.Connection, appends: Sequence[Append]
    ) -> Sequence[Appended | DiptychError]:
        assert connection.in_transaction()
        answers = self._commit(appends)
        assert isinstance(answers, list)
        return answers

    def committed(self) -> None:
        """`_commit` has woken them."""


@pytest.fixture
async def store() -> AsyncIterator[JoinableMemory]:
    async with JoinableMemory() as store:
        yield store


@pytest.fixture
async def app(store: JoinableMemory) -> AsyncIterator[Application]:
    async with Application(log=store, write=[accounts]) as app:
        yield app


@pytest.fixture
def session() -> Iterator[Session]:
    engine = sa.create_engine("sqlite://")
    with Session(engine) as session:
        yield session
    engine.dispose()


async def version_of(store: MemoryEventStore, stream: str) -> int:
    return (await store.load(Load(stream))).version


async def test_nothing_is_appended_before_the_commit_and_all_of_it_by_the_commit(
    app: Application, store: JoinableMemory, session: Session
) -> None:
    joined = app.join(session)
    one = await joined.dispatch(Deposit("a", 10))
    two = await joined.dispatch(Deposit("b", 10))
    assert (await store.head()).position == 0
    session.commit()
    assert (one.outcome.position, two.outcome.position) == (1, 2)
    assert (one.outcome.stream, one.outcome.version) == ("account-a", 1)
    assert one.outcome.token != two.outcome.token


async def test_commands_of_one_transaction_see_each_other(
    app: Application, store: JoinableMemory, session: Session
) -> None:
    joined = app.join(session)
    await joined.dispatch(Deposit("a", 10))
    await joined.dispatch(Withdraw("a", 10))
    with pytest.raises(NotEnough):
        await app.join(session).dispatch(Withdraw("a", 1))
    session.commit()
    assert await version_of(store, "account-a") == 2


async def test_there_is_no_outcome_before_the_commit_nor_after_a_rollback(
    app: Application, store: JoinableMemory, session: Session
) -> None:
    pending = await app.join(session).dispatch(Deposit("a", 10))
    with pytest.raises(ConfigurationError, match="still open, not committed"):
        _ = pending.outcome
    session.rollback()
    with pytest.raises(ConfigurationError, match="rolled back, not committed"):
        _ = pending.outcome
    assert await version_of(store, "account-a") == 0


async def test_a_stream_that_moved_meanwhile_refuses_the_commit(
    app: Application, store: JoinableMemory, session: Session
) -> None:
    pending = await app.join(session).dispatch(Deposit("a", 10))
    await app.dispatch(Deposit("a", 1))
    with pytest.raises(ConcurrencyError):
        session.commit()
    with pytest.raises(ConfigurationError, match="roll it back"):
        session.commit()
    session.rollback()
    with pytest.raises(ConfigurationError):
        _ = pending.outcome
    assert await version_of(store, "account-a") == 1


async def test_after_a_rollback_the_session_can_be_joined_again(
    app: Application, session: Session
) -> None:
    joined = app.join(session)
    await joined.dispatch(Deposit("a", 10))
    session.rollback()
    with pytest.raises(ConfigurationError, match="join it"):
        await joined.dispatch(Deposit("a", 10))
    pending = await app.join(session).dispatch(Deposit("a", 10))
    session.commit()
    assert pending.outcome.version == 1


async def test_a_command_that_took_effect_before_gets_its_outcome_at_once(
    app: Application, store: JoinableMemory, session: Session
) -> None:
    command_id = uuid4()
    first = await app.dispatch(Deposit("a", 10), command_id=command_id)
    pending = await app.join(session).dispatch(Deposit("a", 10), command_id=command_id)
    assert pending.repeated
    assert pending.outcome == replace(first, repeated=True)
    session.commit()
    assert await version_of(store, "account-a") == 1


async def test_a_command_sent_twice_in_one_transaction_takes_effect_once(
    app: Application, store: JoinableMemory, session: Session
) -> None:
    joined, command_id = app.join(session), uuid4()
    one = await joined.dispatch(Deposit("a", 10), command_id=command_id)
    two = await joined.dispatch(Deposit("a", 10), command_id=command_id)
    assert (one.repeated, two.repeated) == (False, True)
    session.commit()
    assert one.outcome.point == two.outcome.point
    assert await version_of(store, "account-a") == 1


async def test_a_twin_that_was_faster_refuses_the_commit(
    app: Application, session: Session
) -> None:
    command_id = uuid4()
    await app.join(session).dispatch(Deposit("a", 10), command_id=command_id)
    await app.dispatch(Deposit("a", 10), command_id=command_id)
    with pytest.raises(CommandTookEffect):
        session.commit()


async def test_a_command_with_nothing_to_do_is_as_of_what_it_was_decided_on(
    app: Application, session: Session
) -> None:
    joined = app.join(session)
    closed = await joined.dispatch(Close("a"))
    again = await joined.dispatch(Close("a"))
    session.commit()
    assert again.outcome.point == closed.outcome.point
    assert again.outcome.version == 1


async def test_savepoints_come_and_go_but_no_command_is_joined_inside_one(
    app: Application, session: Session
) -> None:
    joined = app.join(session)
    pending = await joined.dispatch(Deposit("a", 10))
    with session.begin_nested(), pytest.raises(ConfigurationError, match="savepoint"):
        await joined.dispatch(Deposit("a", 10))
    with session.begin_nested() as savepoint:
        savepoint.rollback()
    session.commit()
    assert pending.outcome.version == 1


async def test_when_the_commit_itself_fails_the_outcome_is_unknown(
    app: Application, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    pending = await app.join(session).dispatch(Deposit("a", 10))

    def lost(_: sa.Connection) -> None:
        raise ConnectionError("the server is gone")

    sa.event.listen(session.connection(), "commit", lost)
    with pytest.raises(ConnectionError):
        session.commit()
    session.rollback()
    with pytest.raises(OutcomeUnknown):
        _ = pending.outcome


async def test_a_log_that_is_not_in_the_sessions_database_is_refused(session: Session) -> None:
    async with Application(log="memory://", write=[accounts]) as app:
        with pytest.raises(ConfigurationError, match="PostgreSQL"):
            app.join(session)


async def test_a_two_phase_session_is_refused(app: Application) -> None:
    with pytest.raises(ConfigurationError, match="two-phase"):
        app.join(Session(sa.create_engine("sqlite://"), twophase=True))


async def test_a_scoped_session_joins_as_the_session_that_it_stands_for(app: Application) -> None:
    scoped = scoped_session(sessionmaker(sa.create_engine("sqlite://")))
    pending = await app.join(scoped).dispatch(Deposit("a", 10))
    scoped.commit()
    assert pending.outcome.version == 1
    scoped.remove()
