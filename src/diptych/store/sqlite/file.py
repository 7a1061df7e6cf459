"""The log's file: creating it, opening it, and noticing when it was taken away."""

import errno
import os
import time
from pathlib import Path
from typing import Final, Literal

from diptych.clock import Clock
from diptych.errors import StorageCorrupt, StorageFull, StorageReadOnly, StoreError
from diptych.sqlite_library import Connection, connect, primary_code, sqlite, translate
from diptych.store.migrating import Migrated
from diptych.store.sqlite.creating import Identified, identify, refuse_foreign

Synchronous = Literal["FULL", "NORMAL"]

PATIENCE: Final = 5.0
"""Seconds to wait for another process that holds the lock."""

CAN_MEASURE_WAL: Final = sqlite.sqlite_version_info >= (3, 51, 0)
"""Whether `wal_checkpoint(NOOP)` tells how much there is to copy."""
CHECKPOINT_PAGES: Final = 10_000
"""Pages in the `-wal` file that make a checkpoint worth while: 40 MB."""

_APPENDING: Final = (
    "PRAGMA fullfsync = ON",  # macOS: fsync alone leaves data in the drive's cache
    f"PRAGMA wal_autocheckpoint = {2 * CHECKPOINT_PAGES if CAN_MEASURE_WAL else CHECKPOINT_PAGES}",
    f"PRAGMA journal_size_limit = {8192 * CHECKPOINT_PAGES}",
    "PRAGMA cache_size = -32000",
    "PRAGMA trusted_schema = OFF",
)
_READING: Final = (
    "PRAGMA query_only = ON",
    "PRAGMA wal_autocheckpoint = 0",
    "PRAGMA cache_size = -16000",
    "PRAGMA trusted_schema = OFF",
)


def open_to_append(
    path: Path, *, synchronous: Synchronous, clock: Clock, migrate: bool = True
) -> tuple[Connection, Identified]:
    """The connection that appends, and which log it is; creates the file if it is not there, and
    brings it up to date if it is of an older version and `migrate` is set.

    Raises: StoreError: it cannot be created, opened or written, or is no log of this version.
    """
    _make_folder(path.parent)
    _make_file(path)
    db = connect(path, timeout=PATIENCE)
    try:
        db.execute("BEGIN")
        refuse_foreign(db, path, migrate=migrate)
        db.execute("COMMIT")
        _use_wal(db, path)
        db.execute(f"PRAGMA synchronous = {synchronous}")
        for setting in _APPENDING:
            db.execute(setting)
        return db, identify(db, path, clock, migrate=migrate)
    except Exception as error:
        db.close()
        raise translate(error, path) from error


def migrate(path: Path, clock: Clock) -> Migrated:
    """Bring the log up to the schema of this version; it may be open meanwhile.

    Raises: StoreError: as `open_to_append`.
    """
    db, found = open_to_append(path, synchronous="FULL", clock=clock)
    db.close()
    return found.schema


def open_to_read(path: Path, *, timeout: float) -> Connection:
    """A connection for snapshots of a log that is open already."""
    db = connect(path, timeout=timeout)
    try:
        for setting in _READING:
            db.execute(setting)
    except sqlite.Error as error:
        db.close()
        raise translate(error, path) from error
    return db


class FileWatch:
    """Notices that the log's files are no longer those that were opened.

    A program that deletes or replaces the log or its `-wal` file leaves this process writing into
    a file without a name: every commit succeeds and all of them are lost at the end.
    """

    def __init__(self, path: Path) -> None:
        self._paths = (str(path), f"{path}-wal")
        self._opened = self._found()
        self.broken = False

    def check(self) -> None:
        """Raises: StorageCorrupt: a file was deleted or replaced since it was opened."""
        if self.broken or self._found() != self._opened:
            self.broken = True
            raise StorageCorrupt(
                f"{self._paths[0]}: the file or its -wal file was deleted or replaced while it was"
                " open; stop every process that uses it, find out which program did it, restart"
            )

    def _found(self) -> list[tuple[int, int] | None]:
        return [_inode(path) for path in self._paths]


def _inode(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - a quarter of the time of Path.stat
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir()
    except FileExistsError:
        return
    except OSError as error:
        raise _cannot(error, folder, "create the folder") from error
    _sync_folder(folder.parent)


def _make_file(path: Path) -> None:
    """Create it for this user alone; SQLite gives `-wal` and `-shm` the same mode.

    An existing file is not opened here: closing it would drop the locks of this process on it.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        if path.is_dir():
            raise StoreError(f"{path} is a folder: name a file in it") from None
    except OSError as error:
        raise _cannot(error, path, "create the file") from error


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _cannot(error: OSError, path: Path, what: str) -> StoreError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StorageFull(f"{path}: the disk is full; make room and start again")
    advice = "check that the folder above exists and that this user may write there"
    return StorageReadOnly(f"{path}: cannot {what} ({error.strerror}); {advice}")


def _use_wal(db: Connection, path: Path) -> None:
    """Changing the mode does not wait for other connections, so wait here."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite.OperationalError as error:
            if primary_code(error) != sqlite.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
            continue
        if mode != "wal":
            raise StoreError(f"{path}: this file system cannot hold a log; use a local disk")
        return
