"""`SqliteReadDatabase`: views in one SQLite file, with one writer and any number of readers."""

import asyncio
import logging
import tempfile
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from uuid import UUID

import sqlalchemy as sa

from diptych.errors import ConfigurationError, StoreClosed
from diptych.read.blocker import Blocker
from diptych.read.database import Snapshot, Transaction, Wanted
from diptych.read.sqlite.blockers import writers
from diptych.read.sqlite.connection import Connection, Cores
from diptych.read.sqlite.file import make_file, prepare_file
from diptych.read.sqlite.pool import Pool
from diptych.read.sqlite.reading import SqliteSnapshot, begin
from diptych.read.sqlite.statements import Statements, search_condition, search_term
from diptych.read.sqlite.writing import SqliteTransaction
from diptych.read.table import ViewTable
from diptych.sqlite_library import sqlite

_CHANGES_TO_COMMIT: Final = 500
"""Changed rows from which a commit takes more than a millisecond or two."""

_CHANGES_TO_COPY: Final = 5_000
"""Changed rows after which the write-ahead log is copied back: some tens of megabytes of it."""

_PROJECTING: Final = 2
"""Connections that projectors read through, so that no query keeps them waiting."""

_log = logging.getLogger(__name__)


class SqliteReadDatabase:
    """Views and their checkpoints in one SQLite file (WAL, synchronous=NORMAL).

    Without a path the file is temporary and deleted on close. `readers` is how many queries may
    have a snapshot at a time; others wait for their turn.
    """

    def __init__(self, path: str | Path | None = None, *, readers: int = 8) -> None:
        if readers < 1:
            raise ConfigurationError("SqliteReadDatabase(readers=) must be at least 1")
        self.path = None if path is None else Path(path)
        self._readers = readers
        self._cores = Cores()
        self._statements = Statements(self._cores.dialect)
        self._open: _Open | None = None

    def __repr__(self) -> str:
        return f"SqliteReadDatabase({str(self.path or 'temporary')!r})"

    @property
    def dialect(self) -> sa.Dialect:
        return self._cores.dialect

    async def open(self, *, log_id: UUID, migrate: bool = True) -> None:
        if self._open is not None:
            raise ConfigurationError(f"{self!r} is open already")
        opened = _Open(self.path, cores=self._cores, readers=self._readers)
        try:
            await opened.writer.patiently(
                lambda: prepare_file(opened.writer, log_id=log_id, migrate=migrate)
            )
        except BaseException:
            await opened.close()
            raise
        self._open = opened

    async def close(self) -> None:
        opened, self._open = self._open, None
        if opened is not None:
            async with opened.lock:
                await opened.close()

    @property
    def report(self) -> str:
        where = self.path or "a temporary file"
        return (
            f"SQLite {sqlite.sqlite_version}, {where} (WAL, synchronous=NORMAL);"
            f" {self._readers} connections for queries, {_PROJECTING + 1} for projections"
        )

    @asynccontextmanager
    async def transaction(
        self,
        *,
        exclusive: bool = False,  # noqa: ARG002
        leasing: bool = False,  # noqa: ARG002
    ) -> AsyncGenerator[Transaction]:
        """Each is exclusive: SQLite has one writer."""
        opened = self._opened()
        async with opened.lock:
            writer = opened.writer
            await writer.patiently(writer.begin)
            try:
                yield SqliteTransaction(writer, self._statements)
                await opened.commit()
            except BaseException:
                writer.roll_back()
                raise
            await opened.copy_back()

    @asynccontextmanager
    async def snapshot(
        self,
        wanted: Sequence[Wanted] = (),
        *,
        projecting: bool = False,
        leasing: bool = False,
    ) -> AsyncGenerator[Snapshot]:
        opened = self._opened()
        pool = opened.projecting if projecting or leasing else opened.pool
        standings = self._statements.standings(tuple(wanted)) if wanted else None
        connection = await pool.take()
        try:
            found = await connection.patiently(lambda: begin(connection, standings))
            snapshot = SqliteSnapshot(connection, self._statements, found)
            try:
                yield snapshot
            finally:
                try:
                    await snapshot.end()
                finally:
                    connection.roll_back()
        except BaseException:
            pool.give(connection, sound=not connection.driver.in_transaction)
            raise
        pool.give(connection)

    async def glance(self, *, anyway: bool = False) -> Mapping[int, int] | None:  # noqa: ARG002
        opened = self._opened()
        watch = opened.watch.driver
        try:
            (version,) = watch.execute("PRAGMA data_version").fetchone()
            if version == opened.seen:
                return None
            opened.seen = version
            return dict(watch.execute(self._statements.positions).fetchall())
        except sqlite.Error as error:
            raise opened.watch.meaning(error) from error

    def listen(self, heard: Callable[[], None]) -> None:
        """Nothing is said between processes: a glance costs two microseconds."""

    async def blockers(self, tables: Sequence[str]) -> Sequence[Blocker]:  # noqa: ARG002
        """One lock is for all tables."""
        return await asyncio.to_thread(writers, self._opened().path)

    async def queries_ended(self, *, seconds: float) -> bool:  # noqa: ARG002
        """A snapshot has the tables that were there when it began."""
        return True

    def matches(self, table: ViewTable) -> sa.ColumnElement[bool]:
        return search_condition(table)

    def term(self, words: Sequence[str]) -> str:
        return search_term(words)

    def _opened(self) -> "_Open":
        if self._open is None:
            raise StoreClosed("the read database is not open")
        return self._open


class _Open:
    """The connections of an open database. `seen` is the data version at the last glance."""

    def __init__(self, path: Path | None, *, cores: Cores, readers: int) -> None:
        self._folder = tempfile.TemporaryDirectory() if path is None else None
        self.path = path or Path(self._folder.name if self._folder else "") / "read.db"
        make_file(self.path)
        self._threads = ThreadPoolExecutor(readers + _PROJECTING + 1, "diptych-read")
        self._cores = cores
        self.lock = asyncio.Lock()
        self.seen: int | None = None
        self.writer = self._connect(writes=True)
        self.pool = Pool(self._connect, limit=readers)
        self.projecting = Pool(self._connect, limit=_PROJECTING)
        self._copied = 0

    @property
    def watch(self) -> Connection:
        if self._watch is None:
            self._watch = self._connect()
        return self._watch

    _watch: Connection | None = None

    def _connect(self, *, writes: bool = False) -> Connection:
        return Connection(self.path, cores=self._cores, threads=self._threads, writes=writes)

    async def commit(self) -> None:
        """A large one in a thread: it writes all changed pages, in one call."""
        if self.writer.changes < _CHANGES_TO_COMMIT:
            self.writer.commit()
        else:
            await self.writer.in_thread(self.writer.commit)

    async def copy_back(self) -> None:
        """Let the write-ahead log be reused. It is synced, so it is done in a thread."""
        changes = self.writer.driver.total_changes
        if changes - self._copied < _CHANGES_TO_COPY:
            return
        self._copied = changes
        driver = self.writer.driver
        try:
            await self.writer.in_thread(
                lambda: driver.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            )
        except sqlite.Error as error:
            _log.warning("the write-ahead log grows: %s", self.writer.meaning(error))

    async def close(self) -> None:
        self.pool.close()
        self.projecting.close()
        for connection in (self._watch, self.writer):
            if connection is not None:
                await self.writer.in_thread(connection.close)
        self._threads.shutdown(wait=False)
        if self._folder is not None:
            self._folder.cleanup()
