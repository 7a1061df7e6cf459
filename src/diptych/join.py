"""`Joined`: commands inside a transaction of the caller's, in the database that holds the log.

Theory of operation
-------------------
A service that has tables of its own beside the log can change both or neither. Its transaction
must not hold the lock of the log while it works, or all writers wait for it. So a joined command is
decided at once, on what is committed, and its append is kept (`Unit`). When the session commits,
after its last flush, all that was kept is appended in that transaction by the store: the lock is
taken last, and held only until the commit that follows. Whatever moved in between is found there,
by expected versions, conditions and command records; then the commit is refused as a whole.

So an outcome exists when the transaction is committed, and not before.

SQLAlchemy tells of all this by events of the session, which are set up once for each session. An
error between the append and the end of the commit leaves open what the database did: then the
outcome is unknown, and the command can be sent again under its id.
"""

from typing import Any, Final, Protocol
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import event

from diptych.clock import Clock
from diptych.errors import ConfigurationError
from diptych.store.contract import WriteStore
from diptych.write.outcome import Outcome
from diptych.write.side import WriteSide
from diptych.write.unit import JoinableStore, Unit

_UNITS: Final = "diptych.units"
"""Where a session keeps its units (`Session.info`)."""


class SqlSession(Protocol):
    """What is used of `sqlalchemy.orm.Session`, which takes 40 ms to import."""

    @property
    def info(self) -> dict[Any, Any]: ...
    @property
    def twophase(self) -> bool: ...
    def get_bind(self) -> object: ...
    def in_transaction(self) -> bool: ...
    def in_nested_transaction(self) -> bool: ...
    def begin(self) -> object: ...
    def flush(self) -> None: ...
    def connection(self) -> sa.Connection: ...


class AsyncSqlSession(Protocol):
    """What is used of `sqlalchemy.ext.asyncio.AsyncSession`."""

    @property
    def sync_session(self) -> SqlSession: ...


class Pending:
    """A command that was decided, and takes effect if its transaction is committed."""

    def __init__(self, unit: Unit, decided: Outcome) -> None:
        self._unit, self._decided = unit, decided

    @property
    def command_id(self) -> UUID:
        return self._decided.command_id

    @property
    def repeated(self) -> bool:
        """Whether the command id took effect before: then change nothing else for it either."""
        return self._decided.repeated

    @property
    def outcome(self) -> Outcome:
        """What came of the command.

        Raises:
            ConfigurationError: the transaction is not committed, or was rolled back.
            OutcomeUnknown: the answer to the commit was lost; send the command again under its id.
        """
        if self.repeated and not self._unit.holds(self.command_id):
            return self._decided
        return self._unit.outcome(self._decided)


class Joined:
    """Dispatches commands into one transaction of a session; made by `Application.join`."""

    def __init__(self, session: SqlSession, unit: Unit, left: WriteSide) -> None:
        self._session, self._unit, self._left = session, unit, left.over(unit)

    async def dispatch(
        self,
        command: object,
        *,
        command_id: UUID | None = None,
        actor: str = "",
        tenant: str = "",
        expected_version: int | None = None,
        correlation_id: UUID | None = None,
        causation_id: UUID | None = None,
    ) -> Pending:
        """Have a command decided now, and its events appended when the session commits.

        Raises: as `Application.dispatch`. What is found only then is raised by the commit of the
            session: ConcurrencyError, ConditionFailed, CommandIdReused, or CommandTookEffect if a
            twin of the command was faster. Nothing of the transaction is committed then.
        """
        if self._session.in_nested_transaction():
            raise ConfigurationError("inside a savepoint no command can be joined: dispatch before")
        if not self._session.in_transaction():
            self._session.begin()  # or nobody would tell of its rollback
        decided = await self._left.dispatch(
            command,
            command_id=command_id,
            actor=actor,
            tenant=tenant,
            expected_version=expected_version,
            correlation_id=correlation_id,
            causation_id=causation_id,
        )
        return Pending(self._unit, decided)


def join(
    session: SqlSession | AsyncSqlSession, *, left: WriteSide, store: WriteStore, clock: Clock
) -> Joined:
    """Join the present transaction of a session; a second time, the same unit goes on.

    Raises: ConfigurationError: this log or this session cannot be joined; the message says why.
    """
    found: Any = session() if callable(session) else session  # a scoped session gives its own
    inner: SqlSession = getattr(found, "sync_session", found)
    if not isinstance(store, JoinableStore):
        raise ConfigurationError(
            "only a log in PostgreSQL can be joined: its database must hold your tables too"
        )
    if inner.twophase:
        raise ConfigurationError("a two-phase session cannot be joined")
    if isinstance(inner.get_bind(), sa.Connection):
        raise ConfigurationError(
            "a session that is bound to a connection cannot be joined, as its commit may not be"
            " that of the transaction: bind it to the engine"
        )
    if _UNITS not in inner.info:
        inner.info[_UNITS] = {}
        event.listen(inner, "before_commit", _before_commit)
        event.listen(inner, "after_commit", _after_commit)
        event.listen(inner, "after_transaction_end", _after_end)
    units: dict[UUID, Unit] = inner.info[_UNITS]
    unit = units.get(store.log_id)
    if unit is None or unit.ended:
        unit = units[store.log_id] = Unit(store, clock)
    return Joined(inner, unit, left)


def _before_commit(session: SqlSession) -> None:
    """SQLAlchemy tells of released savepoints too; the lock is for the end."""
    if session.in_nested_transaction():
        return
    for unit in _open_units(session):
        session.flush()
        unit.append_within(session.connection())


def _after_commit(session: SqlSession) -> None:
    if session.in_nested_transaction():
        return
    for unit in _open_units(session):
        unit.committed()


def _after_end(session: SqlSession, transaction: Any) -> None:
    """However it ended, if it was no savepoint; what was committed is known by then."""
    if transaction.parent is None:
        for unit in _open_units(session):
            unit.rolled_back()


def _open_units(session: SqlSession) -> list[Unit]:
    return [unit for unit in session.info[_UNITS].values() if not unit.ended]
