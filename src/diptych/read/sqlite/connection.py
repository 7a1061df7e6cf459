"""One SQLite connection on the event loop: short work here, long work in a thread.

Theory of operation
-------------------
A row by its key is read in a few microseconds, less than handing the work to a thread costs. So
reading work begins on the event loop under a budget: SQLite counts its own steps and gives up
after `_STEPS` of them in one statement, which is about two milliseconds. Work that was given up
is begun again in a thread, in the same snapshot, without a budget: therefore it must only read.
What is cancelled while a thread reads is given up at the next count, and the connection is free
when that thread is done, not before.

Writing work is not repeated. It stays on the event loop, in slices that the caller makes: a
thread that writes would give the interpreter away at each row, and on a busy loop wait for it up
to 5 ms each time. Only what is one step of one statement, however many rows it writes, may be done
in a thread (`diptych.read.sqlite.writing`). What blocks for long is done elsewhere: the lock is
waited for by asking again (`patiently`), not by sleeping inside SQLite, and the write-ahead log is
copied back in a thread.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from diptych.errors import StorageBusy, StoreClosed, StoreError
from diptych.sqlite_library import Connection as Driver
from diptych.sqlite_library import connect, primary_code, sqlite, translate

T = TypeVar("T")

_STEPS: Final = 50_000
_PATIENCE: Final = 5.0
_FIRST_PAUSE: Final = 0.001
_LONGEST_PAUSE: Final = 0.02

_COMMON: Final = (
    "PRAGMA synchronous = NORMAL",  # rows and checkpoint fall back together
    "PRAGMA temp_store = MEMORY",
    "PRAGMA trusted_schema = OFF",
)
_READING: Final = (*_COMMON, "PRAGMA cache_size = -16000", "PRAGMA query_only = ON")
_WRITING: Final = (
    *_COMMON,
    "PRAGMA cache_size = -64000",
    "PRAGMA wal_autocheckpoint = 20000",  # only if our own copying does not keep up
    "PRAGMA journal_size_limit = 67108864",
)


_CANNOT: Final = {
    sqlite.SQLITE_BUSY,
    sqlite.SQLITE_LOCKED,
    sqlite.SQLITE_NOMEM,
    sqlite.SQLITE_READONLY,
    sqlite.SQLITE_IOERR,
    sqlite.SQLITE_CORRUPT,
    sqlite.SQLITE_FULL,
    sqlite.SQLITE_CANTOPEN,
    sqlite.SQLITE_NOTADB,
}


class Cores:
    """Makes SQLAlchemy connections over driver connections that are open already.

    One engine for all of them, so that each statement is compiled once.
    """

    def __init__(self) -> None:
        self._next: Driver | None = None
        self._engine = sa.create_engine(
            "sqlite://", module=sqlite, creator=self._take, poolclass=sa.NullPool
        )
        # The first connection is asked what it can do, and then rolled back.
        self.over(connect(":memory:")).close()

    @property
    def dialect(self) -> sa.Dialect:
        return self._engine.dialect

    def over(self, driver: Driver) -> sa.Connection:
        self._next = driver
        return self._engine.connect()

    def _take(self) -> Any:
        return self._next


class Connection:
    """A connection of one task at a time."""

    def __init__(self, path: Path, *, cores: Cores, threads: Executor, writes: bool) -> None:
        self.path = path
        # The settings look at the file, and do so while another process may be making it.
        self.driver = connect(path, timeout=_PATIENCE)
        self._cores, self._threads = cores, threads
        self._core: sa.Connection | None = None
        self._before = 0
        try:
            for setting in _WRITING if writes else _READING:
                self.driver.execute(setting)
            self.driver.execute("PRAGMA busy_timeout = 0")  # whoever waits, waits on the loop
        except sqlite.Error as error:
            self.driver.close()
            raise self.meaning(error) from error

    @property
    def core(self) -> sa.Connection:
        if self._core is None:
            self._core = self._cores.over(self.driver)
        return self._core

    def meaning(self, error: BaseException) -> StoreError:
        return translate(error, self.path)

    def meaning_or_own(self, error: DBAPIError) -> Exception:
        """What the database cannot do is a `StoreError`; a statement's own fault stays as it is."""
        cause = error.orig or error
        return self.meaning(cause) if primary_code(cause) in _CANNOT else error

    async def read(self, work: Callable[[], T]) -> T:
        """Do `work`, which only reads, here or in a thread.

        Raises: whatever `work` raises; driver errors as they are.
        """
        self.driver.set_progress_handler(_enough, _STEPS)
        try:
            return work()
        except (sqlite.OperationalError, DBAPIError) as error:
            if not _was_interrupted(error):
                raise
        finally:
            self.driver.set_progress_handler(None, 0)
        return await self._read_in_thread(work)

    async def _read_in_thread(self, work: Callable[[], T]) -> T:
        """`interrupt()` would not do: it passes by a statement that is just about to begin."""
        cancelled = threading.Event()
        self.driver.set_progress_handler(cancelled.is_set, _STEPS)
        try:
            return await self.in_thread(work, on_cancel=cancelled.set)
        finally:
            self.driver.set_progress_handler(None, 0)

    async def in_thread(
        self, work: Callable[[], T], *, on_cancel: Callable[[], None] | None = None
    ) -> T:
        """Do `work` in a thread. A cancelled caller still waits until the thread is done."""
        try:
            future = asyncio.get_running_loop().run_in_executor(self._threads, work)
        except RuntimeError as error:  # the threads were shut down
            raise StoreClosed("the read database is closed") from error
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if on_cancel is not None:
                on_cancel()
            while not future.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([future])
            if not future.cancelled():
                future.exception()  # or asyncio reports that nobody looked at it
            raise

    async def patiently(self, work: Callable[[], T]) -> T:
        """Do `work` again while another process holds the lock, for up to five seconds.

        Raises: StorageBusy: it was held all that time. StoreError: another error of the driver.
        """
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + _PATIENCE, _FIRST_PAUSE
        while True:
            try:
                return work()
            except (sqlite.Error, DBAPIError) as error:
                meaning = self.meaning(getattr(error, "orig", error))
                if not isinstance(meaning, StorageBusy) or loop.time() > deadline:
                    raise meaning from error
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    @property
    def changes(self) -> int:
        """How many rows the transaction has changed."""
        return self.driver.total_changes - self._before

    def begin(self) -> None:
        self._before = self.driver.total_changes
        self.driver.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Raises: StoreError: nothing was committed."""
        try:
            self.driver.execute("COMMIT")
        except sqlite.Error as error:
            raise self.meaning(error) from error
        self._tell_core()

    def roll_back(self) -> None:
        """SQLite may have done it by itself: on a full disk it does."""
        if self.driver.in_transaction:
            self.driver.execute("ROLLBACK")
        self._tell_core()

    def _tell_core(self) -> None:
        if self._core is not None and self._core.in_transaction():
            self._core.rollback()

    def close(self) -> None:
        if self._core is not None:
            self._core.close()
        self.driver.close()


def _enough() -> int:
    return 1


def _was_interrupted(error: Exception) -> bool:
    cause = getattr(error, "orig", error)
    return getattr(cause, "sqlite_errorname", "") == "SQLITE_INTERRUPT"
