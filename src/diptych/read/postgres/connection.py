"""One connection of the read side, and the transactions that are begun on it.

Theory of operation
-------------------
We send BEGIN and COMMIT ourselves and know at each moment whether a transaction is open; SQLAlchemy
runs its statements on the same connection in what it takes for autocommit. All settings are `SET
LOCAL` and travel with BEGIN in one message, so nothing depends on what a session remembers, and a
pooler may hand the next transaction to another server process.

- A query has one snapshot (REPEATABLE READ, READ ONLY) with a limit for each statement.
- A projector's snapshot looks rows up by key only. Its plans must not be those for a small table,
  which the table was when the statement was planned: hence no sequential scans, no hash joins.
- A write transaction is READ COMMITTED: it sees what was committed before each statement, so
  that whoever waited for a row or for the exclusive lock sees what the one before did. A process
  that is stopped in the middle of one loses its locks after `_IDLE_SECONDS`: the server ends it.
  It waits for the disk, or an idle projector would not notice that a crash of the server took
  its last rows back; it does not wait for standbys, as all it wrote can be made again.

A cancelled statement is ended by the driver: it asks the server to cancel it. COMMIT is never
cancelled: whoever is cancelled meanwhile still waits for its end. What became of a COMMIT whose
connection was lost is unknown; the checkpoint tells it when the projector reads it again.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from diptych.errors import DiptychError, StorageBusy, StoreError
from diptych.postgres_library.connection import cut_off, farewell
from diptych.postgres_library.driver import Connection as Driver
from diptych.postgres_library.errors import is_lost, sqlstate, translate
from diptych.read.compiled import Compiled
from diptych.read.database import Parameters
from diptych.read.postgres.cores import Cores

_IDLE_SECONDS: Final = 10
_LOCK_SECONDS: Final = 10
_ANSWER_SECONDS: Final = 5.0
_WORK_SECONDS: Final = 60.0
_CANNOT: Final = ("08", "40", "42501", "53", "55P03", "57", "58", "XX")
"""States, or their first two characters, that are not the statement's own fault."""


_SNAPSHOT: Final = """
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL search_path = <schema>, public;
"""
_QUERY: Final = f"""{_SNAPSHOT}
SET LOCAL statement_timeout = <milliseconds>;
SET LOCAL idle_in_transaction_session_timeout = '60s'
"""
BY_KEY: Final = """
SET LOCAL enable_seqscan = off;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off
"""
_PROJECTING: Final = f"{_SNAPSHOT}{BY_KEY}"
_EITHER: Final = """
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SET LOCAL search_path = <schema>, public;
SET LOCAL lock_timeout = '<lock_seconds>s';
SET LOCAL idle_in_transaction_session_timeout = '<idle_seconds>s';
"""
_WRITING: Final = f"{_EITHER} SET LOCAL synchronous_commit = local"
_EXCLUSIVE: Final = f"{_EITHER} SELECT pg_advisory_xact_lock(<lock>)"


@dataclass(frozen=True, slots=True)
class Begin:
    """A first message, and how many seconds a silent server is given: for it, and for each
    statement after it."""

    message: str
    answers: float
    works: float


@dataclass(frozen=True, slots=True)
class Begins:
    """The four kinds of transactions."""

    query: Begin
    projecting: Begin
    writing: Begin
    exclusive: Begin

    @classmethod
    def of(cls, schema: str, *, statement_seconds: float) -> "Begins":
        milliseconds = max(int(statement_seconds * 1000), 1)  # 0 would be no limit
        given = {
            "<schema>": schema,
            "<milliseconds>": str(milliseconds),
            "<lock>": str(_lock_of(schema)),
            "<lock_seconds>": str(_LOCK_SECONDS),
            "<idle_seconds>": str(_IDLE_SECONDS),
        }
        answers, locked = _ANSWER_SECONDS, _ANSWER_SECONDS + _LOCK_SECONDS
        return cls(
            query=Begin(_filled(_QUERY, given), answers, statement_seconds + answers),
            projecting=Begin(_filled(_PROJECTING, given), answers, _WORK_SECONDS),
            writing=Begin(_filled(_WRITING, given), answers, _WORK_SECONDS),
            exclusive=Begin(_filled(_EXCLUSIVE, given), locked, _WORK_SECONDS),
        )


def _filled(message: str, given: Mapping[str, str]) -> str:
    """Settings take no parameters. A schema's name was checked, all else is a number of ours."""
    for name, value in given.items():
        message = message.replace(name, value)
    return message


def _lock_of(schema: str) -> int:
    """Advisory locks belong to a database; the number stands for the schema in it."""
    digest = blake2b(f"diptych read {schema}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


class Connection:
    """A connection of one task at a time."""

    def __init__(self, driver: Driver, *, cores: Cores, shown: str) -> None:
        self.driver, self.shown = driver, shown
        self._cores = cores
        self._core: Any = None
        self._works = _WORK_SECONDS

    @property
    def lost(self) -> bool:
        return self.driver.is_closed()

    async def run(
        self, statement: sa.Executable, parameters: Parameters | None = None
    ) -> Sequence[sa.Row[Any]]:
        """Run a statement of SQLAlchemy; the rows, if it returns any.

        Raises: StoreError, or the statement's own error.
        """
        try:
            async with self.watched():
                if self._core is None:
                    self._core = await self._cores.over(self.driver)
                result = await self._core.execute(statement, parameters)
            return result.fetchall() if result.returns_rows else ()
        except DBAPIError as error:
            raise self._meaning_or_own(error) from error
        except asyncio.CancelledError:
            self._core = None  # SQLAlchemy takes the connection for lost; the driver knows better
            raise

    def meaning(self, error: Exception) -> DiptychError:
        if sqlstate(error) == "57014":
            return StorageBusy(f"{self.shown}: a statement took longer than statement_timeout")
        return translate(error, self.shown)

    def watched(self) -> AbstractAsyncContextManager[None]:
        """Ends the connection if the server is silent for too long: half of a network may be
        gone, or the server stopped; its own time-outs do not help then."""
        return cut_off(self.driver, self._works)

    async def begin(self, begin: Begin, first: Compiled | None = None) -> Sequence[Any]:
        """Begin, and run a first statement if there is one. Raises: the driver's errors."""
        self._works = begin.works
        async with cut_off(self.driver, begin.answers):
            await self.driver.execute(begin.message)
            return () if first is None else await self.driver.fetch(first[0], *first[1])

    async def commit(self) -> None:
        """Raises: StoreError: nothing was committed, or the connection was lost around it."""
        committing = asyncio.ensure_future(self.driver.execute("COMMIT"))
        try:
            async with self.watched():
                answer = await asyncio.shield(committing)
        except asyncio.CancelledError:
            await self._settle(committing)
            raise
        except Exception as error:
            raise self.meaning(error) from error
        if answer != "COMMIT":
            raise StoreError(f"{self.shown}: rolled back, since a statement before had failed")
        self._tell_core()

    async def end(self) -> None:
        """End a snapshot. It has nothing to lose, so an error only costs the connection."""
        try:
            async with cut_off(self.driver, _ANSWER_SECONDS):
                await self.driver.execute("COMMIT")
        except Exception:  # noqa: BLE001 - whatever it was, the answer is there already
            self.close()
        except BaseException:
            self.close()
            raise
        else:
            self._tell_core()

    async def roll_back(self) -> None:
        """End whatever was begun; a connection that does not answer is closed."""
        try:
            async with cut_off(self.driver, _ANSWER_SECONDS):
                await self.driver.execute("ROLLBACK")
        except Exception:  # noqa: BLE001 - closing ends a transaction too
            self.close()
        else:
            self._tell_core()

    def close(self) -> None:
        """At once, without a word."""
        self._core = None
        self.driver.terminate()

    async def say_goodbye(self) -> None:
        """Close it so that the server does not note a lost connection."""
        self._core = None
        await farewell(self.driver)

    def _meaning_or_own(self, error: DBAPIError) -> Exception:
        """What the database cannot do is a `StoreError`; a statement's own fault stays as it is."""
        cause = getattr(error.orig, "__cause__", None) or error.orig or error
        state = sqlstate(cause)
        if isinstance(cause, Exception) and (is_lost(cause) or {state, state[:2]} & {*_CANNOT}):
            return self.meaning(cause)
        return error

    async def _settle(self, committing: asyncio.Future[str]) -> None:
        deadline = asyncio.get_running_loop().time() + _ANSWER_SECONDS
        while not committing.done():
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                self.close()
            with suppress(asyncio.CancelledError):
                await asyncio.wait([committing], timeout=max(left, 0.1))
        if not committing.cancelled():
            committing.exception()  # or asyncio reports that nobody looked at it

    def _tell_core(self) -> None:
        if self._core is not None and self._core.in_transaction():
            sync: Any = self._core.sync_connection
            sync.rollback()  # sends nothing
