"""The log in one SQLite file.

Theory of operation
-------------------
One connection appends. `GroupCommit` hands it a batch, `Committer` puts the batch into one
transaction that begins with `BEGIN IMMEDIATE`: SQLite's write lock is the lock of the log, across
processes, and is held until COMMIT. So positions are `last + 1`, have no holes, and are in commit
order. `Batch` decides each member against the tables and against the members before it.

Other connections read, each answer from one snapshot of the write-ahead log, and never wait for the
one that appends. Loads that arrive together are answered by one statement.

Where this runs is decided by measurement (ADR 0004). A commit or a short read takes less than the
way to a thread and back, so it runs on the event loop as long as it is quick (`Pace`). What is
long, slow of late, or must wait for another process runs in threads: one that appends, two that
read. Copying the `-wal` file into the log takes longer than all else, so it is given to the thread
that appends, and appends follow it there until it is done.

What can go wrong has three answers. What fails before COMMIT is rolled back: a `StoreError`, and
group commit tries the members alone. An error of COMMIT itself leaves open what a restart will find
in the `-wal` file: `OutcomeUnknown`. And before anything is acknowledged, the names of the files
must still lead to the files that were opened; if not, what was written is lost when this process
ends, so from then on everything is refused.

Followers of this process are woken by its commits. For commits of other processes `PRAGMA
data_version` is looked at every 5 ms, while somebody waits.
"""

import asyncio
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self
from uuid import UUID

from diptych.clock import Clock, SystemClock
from diptych.errors import ConfigurationError, InvalidInput, StoreClosed
from diptych.sqlite_library import sqlite
from diptych.store.batching import Answers, Batcher
from diptych.store.contract import (
    START,
    Append,
    Appended,
    CommandKey,
    Criterion,
    Load,
    Loaded,
    LogPage,
    Point,
    RecordedCommand,
)
from diptych.store.cursors import Cursors
from diptych.store.group_commit import Commits, GroupCommit
from diptych.store.limits import check_key, check_load, check_read
from diptych.store.migrating import Migrated
from diptych.store.sqlite.appender import Appender
from diptych.store.sqlite.committing import Committer
from diptych.store.sqlite.cursors import sqlite_cursors
from diptych.store.sqlite.file import Synchronous, migrate, open_to_append
from diptych.store.sqlite.readers import Readers
from diptych.store.sqlite.reading import PAGE_EVENTS, Wanted
from diptych.store.sqlite.snapshots import SqliteSnapshots
from diptych.store.subscription import LogSignal

_LOADS: Final = 64
"""Loads that share a snapshot: about half a millisecond."""
_SURVIVES: Final[dict[str, str]] = {
    "FULL": "an acknowledged append survives a killed process and a power cut",
    "NORMAL": "a killed process loses no acknowledged append; a power cut may take the last",
}


class SqliteEventStore:
    """A log in the file `path`, for any number of processes on one machine.

    The file is created, readable by its owner only, if it is not there; so is its folder, but not
    the folders above. `synchronous="NORMAL"` appends faster, and a power cut may take what was
    acknowledged last. An older log is brought up to the schema of this code when it is opened,
    unless `migrates` is set to False before. See `EventStore` for everything else.

    Raises: ConfigurationError: `path` or `synchronous` is not one of these.
    """

    dense = True

    def __init__(
        self,
        path: str | Path,
        *,
        clock: Clock | None = None,
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
    ) -> None:
        if not str(path) or str(path).startswith(":"):
            raise ConfigurationError("a SQLite log needs a file; MemoryEventStore needs none")
        if str(synchronous) not in _SURVIVES:
            raise ConfigurationError(f"synchronous is one of {', '.join(_SURVIVES)}")
        self._path = Path(path)
        self._synchronous: Synchronous = synchronous
        self._clock: Clock = clock or SystemClock()
        self.migrates = True
        self._opening = asyncio.Lock()
        self._opened: _OpenLog | None = None
        self._closing: asyncio.Task[None] | None = None

    @property
    def path(self) -> Path:
        """The file of the log."""
        return self._path

    @property
    def log_id(self) -> UUID:
        return self._log.log_id

    @property
    def durability(self) -> str:
        library = f"SQLite {sqlite.sqlite_version}, WAL, synchronous={self._synchronous}"
        return f"{library}: {_SURVIVES[self._synchronous]}"

    @property
    def commits(self) -> Commits:
        """How many appends went into how many transactions, in this process."""
        return self._log.group.commits

    @property
    def cursors(self) -> Cursors:
        return self._log.cursors

    async def open(self) -> None:
        """Raises: StoreError: the file cannot be used as a log; the message says what to do."""
        async with self._opening:
            if self._opened is None:
                start = partial(_Files, self._path, self._clock, self._synchronous)
                self._opened = _OpenLog(await asyncio.to_thread(start, migrate=self.migrates))

    async def migrate(self) -> Migrated:
        """Bring the schema up to that of this code, whatever `migrates` says; tell what it was.

        Raises: StoreError: as `open`.
        """
        return await asyncio.to_thread(migrate, _real(self._path), self._clock)

    async def close(self) -> None:
        log, self._opened = self._opened, None
        if log is not None:
            self._closing = asyncio.create_task(log.close())
        if self._closing is not None and not self._closing.done():
            # Who gives up leaves no connection open; who closes again waits for the same end.
            await asyncio.shield(self._closing)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def append(self, append: Append) -> Appended:
        return await self._log.group.append(append)

    async def load(self, load: Load) -> Loaded:
        check_load(load)
        return await self._log.load(load)

    async def find(self, command: CommandKey) -> RecordedCommand | None:
        check_key(command)
        return await self._log.readers.run(lambda reader, _: reader.find(command))

    async def read(
        self,
        *,
        after: Point = START,
        limit: int = 1000,
        categories: frozenset[str] | None = None,
        criteria: tuple[Criterion, ...] | None = None,
        tenant: str | None = None,
    ) -> LogPage:
        check_read(after, limit, criteria, tenant)
        wanted = Wanted(after, min(limit, PAGE_EVENTS), categories, criteria, tenant)
        try:
            return await self._log.readers.run(
                lambda reader, budget: reader.page(wanted, reach=budget.events)
            )
        except UnicodeError as error:
            raise InvalidInput("categories", "must be Unicode text") from error

    async def head(self) -> Point:
        return await self._log.readers.run(lambda reader, _: reader.head())

    async def moved(self, after: int) -> None:
        await self._log.signal.moved(after)

    @property
    def snapshots(self) -> SqliteSnapshots:
        return self._log.snapshots

    @property
    def _log(self) -> "_OpenLog":
        if self._opened is None:
            raise StoreClosed(f"{self._path}: the log is not open")
        return self._opened


class _OpenLog:
    """A log that is open, for one event loop."""

    def __init__(self, files: "_Files") -> None:
        self.log_id, self.readers = files.log_id, files.readers
        self.signal = LogSignal(poll=self._head)
        self._appender = Appender(files.committer, self.signal)
        self.snapshots = SqliteSnapshots(self.readers, self._appender)
        self.group = GroupCommit(self._appender.commit)
        self.cursors = sqlite_cursors(self._appender, self.readers)
        self._loads = Batcher(self._load, max_items=_LOADS, failed=_failed)
        self._loaded_this_turn = False

    async def load(self, load: Load) -> Loaded:
        """The first load of a turn of the event loop is answered at once, the others together."""
        if self._loaded_this_turn:
            return await self._loads.submit(load)
        self._loaded_this_turn = True
        asyncio.get_running_loop().call_soon(self._next_turn)
        loaded = await self.readers.run(lambda reader, budget: reader.loads([load], budget))
        return loaded[0]

    async def close(self) -> None:
        await self.group.close()
        await self._loads.close()
        await self.signal.close()
        await asyncio.to_thread(self._release)

    def _release(self) -> None:
        self.readers.close()
        self._appender.close()

    def _next_turn(self) -> None:
        self._loaded_this_turn = False

    def _load(self, loads: Sequence[Load]) -> Answers[Loaded]:
        return self.readers.now_or_later(lambda reader, budget: reader.loads(loads, budget))

    async def _head(self) -> int:
        return await self.readers.run(lambda reader, _: reader.moved())


class _Files:
    """The connections. Opening them blocks."""

    def __init__(
        self, path: Path, clock: Clock, synchronous: Synchronous, *, migrate: bool
    ) -> None:
        real = _real(path)
        db, found = open_to_append(real, synchronous=synchronous, clock=clock, migrate=migrate)
        self.log_id = found.log_id
        try:
            self.committer = Committer(db, real, clock)
            self.readers = Readers(real)
        except BaseException:
            db.close()
            raise


def _real(path: Path) -> Path:
    """SQLite follows links, so `-wal` stands beside the file that a link points to."""
    return Path(os.path.realpath(path))


def _failed(error: BaseException) -> Exception:
    return error if isinstance(error, Exception) else StoreClosed("closed while reading")
