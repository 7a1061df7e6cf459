"""The one connection that appends: a batch, a transaction, an answer for each member."""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

from diptych.clock import Clock
from diptych.errors import OutcomeUnknown, StorageCorrupt
from diptych.failpoints import failpoint
from diptych.sqlite_library import Connection, primary_code, sqlite, translate
from diptych.store.contract import Append
from diptych.store.sqlite.appending import Answer, Batch
from diptych.store.sqlite.file import CAN_MEASURE_WAL, CHECKPOINT_PAGES, FileWatch

T = TypeVar("T")

_NOT_COMMITTED: Final = {sqlite.SQLITE_FULL, sqlite.SQLITE_BUSY, sqlite.SQLITE_READONLY}
"""What COMMIT fails with before it has written the last page of a transaction."""


MEASURE_EVERY: Final = 256
"""Appends after which the `-wal` file is looked at; looking takes 10 µs."""


class Committer:
    """Commits for one thread at a time.

    Whatever fails before COMMIT is rolled back, so it is a `StoreError`. An I/O error of COMMIT
    itself leaves open what a restart will find in the `-wal` file: `OutcomeUnknown`.
    """

    def __init__(self, db: Connection, path: Path, clock: Clock) -> None:
        self._db, self._path, self._clock = db, path, clock
        self._watch = FileWatch(path)
        self._patience = -1.0
        self._unmeasured = 0
        self.head = 0
        self.last_took = 0.0
        """Seconds that the last COMMIT took: mostly the disk's."""

    def close(self) -> None:
        self._db.close()

    def commit(self, appends: Sequence[Append], *, patience: float) -> list[Answer]:
        """Wait `patience` seconds at most for another process that appends.

        Raises: StoreError: nothing was committed. OutcomeUnknown.
        """
        with self._rolled_back():
            failpoint("append.before_begin")
            batch, answers = self._insert(appends, patience)
            failpoint("append.before_commit")
        self._commit()
        self.head = batch.head.position
        self._unmeasured += len(appends)
        return answers

    def transact(self, work: Callable[[Connection], T], *, patience: float, durable: bool) -> T:
        """Do `work`, which writes what is no event, in a transaction of its own. If it need not be
        `durable`, COMMIT does not wait for the disk.

        Raises: StoreError: nothing was committed. OutcomeUnknown.
        """
        if durable:
            return self._transact(work, patience)
        (level,) = self._db.execute("PRAGMA synchronous").fetchone()
        self._db.execute("PRAGMA synchronous = NORMAL")
        try:
            return self._transact(work, patience)
        finally:
            self._db.execute(f"PRAGMA synchronous = {level}")

    def _transact(self, work: Callable[[Connection], T], patience: float) -> T:
        with self._rolled_back():
            self._begin(patience)
            result = work(self._db)
            failpoint("cursors.before_commit")
        self._commit()
        failpoint("cursors.after_commit")
        return result

    @contextmanager
    def _rolled_back(self) -> Generator[None]:
        """Before COMMIT: whatever fails has changed nothing, and is told in our words."""
        try:
            if self._watch.broken:
                self._watch.check()
            yield
        except BaseException as error:
            self._roll_back()
            if isinstance(error, Exception):
                raise translate(error, self._path) from error
            raise

    def _insert(self, appends: Sequence[Append], patience: float) -> tuple[Batch, list[Answer]]:
        """Broken keys are what a batch that is not careful leaves to the tables to find."""
        try:
            return self._insert_all(appends, patience, careful=False)
        except sqlite.IntegrityError:
            self._roll_back()
            return self._insert_all(appends, patience, careful=True)

    def _insert_all(
        self, appends: Sequence[Append], patience: float, *, careful: bool
    ) -> tuple[Batch, list[Answer]]:
        self._begin(patience)
        failpoint("append.after_begin")
        batch = Batch(self._db, appends, recorded_at=self._clock.now(), careful=careful)
        answers = [batch.add(append) for append in appends]
        batch.flush()
        return batch, answers

    def checkpoint_due(self) -> bool:
        """Whether the `-wal` file has grown so far that it should be copied into the file.

        SQLite would do that inside a COMMIT, which then takes 20 to 200 ms; here it can be given to
        a thread. An older library cannot say how far it has grown, and does it by itself.
        """
        if not CAN_MEASURE_WAL or self._unmeasured < MEASURE_EVERY:
            return False
        self._unmeasured = 0
        try:
            _, pages, copied = self._db.execute("PRAGMA wal_checkpoint(NOOP)").fetchone()
        except sqlite.Error:
            return False  # the commit before it stands, and the next one will say what is wrong
        return bool(pages - copied >= CHECKPOINT_PAGES)

    def checkpoint(self) -> None:
        """Copy what no reader holds back. If that fails nothing is lost: the next one copies it.

        Raises: StoreError.
        """
        failpoint("checkpoint.before")
        try:
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite.Error as error:
            raise translate(error, self._path) from error
        failpoint("checkpoint.after")

    def _begin(self, patience: float) -> None:
        if patience != self._patience:
            self._db.execute(f"PRAGMA busy_timeout = {round(patience * 1000)}")
            self._patience = patience
        self._db.execute("BEGIN IMMEDIATE")

    def _commit(self) -> None:
        start = time.monotonic()
        try:
            self._db.execute("COMMIT")
            self.last_took = time.monotonic() - start
            failpoint("append.after_commit")
            self._watch.check()
        except StorageCorrupt as error:
            raise OutcomeUnknown from error
        except sqlite.Error as error:
            self._roll_back()
            if primary_code(error) in _NOT_COMMITTED:
                raise translate(error, self._path) from error
            raise OutcomeUnknown from error

    def _roll_back(self) -> None:
        """SQLite may have rolled back by itself (a full disk); going on would commit the rest."""
        if self._db.in_transaction:
            with suppress(sqlite.Error):
                self._db.execute("ROLLBACK")
