"""The one SQLite library of this process, its connections, and what its errors mean.

Every SQLite file that Diptych opens, the log and the read side's, goes through the `sqlite` module
named here. POSIX locks belong to the process: if two libraries in one process open the same file,
closing it in one drops the locks of the other, and the write-ahead log can be deleted under it.
`docs/adr/0003-one-sqlite-library.md` says which library it is, and why.
"""

import logging
import sqlite3
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Final, cast

from diptych.errors import (
    ConfigurationError,
    StorageBusy,
    StorageCorrupt,
    StorageFull,
    StorageReadOnly,
    StoreClosed,
    StoreError,
)

try:
    from pysqlite3 import dbapi2 as _bundled
except ImportError:  # no wheel for this platform
    _bundled = None

Version = tuple[int, int, int]

OLDEST: Final[Version] = (3, 37, 0)
"""The first SQLite with STRICT tables."""

_SAFE: Final[Version] = (3, 51, 3)
_SAFE_BRANCHES: Final = ((3, 44, 6), (3, 50, 7))
_log = logging.getLogger(__name__)

Connection = sqlite3.Connection
Cursor = sqlite3.Cursor
"""What these are to a type checker: both libraries share this interface."""


def choose(bundled: ModuleType | None, standard: ModuleType) -> ModuleType:
    """The bundled library, unless the standard library's is newer."""
    if bundled is None or bundled.sqlite_version_info < standard.sqlite_version_info:
        return standard
    return bundled


sqlite: Final = choose(_bundled, sqlite3)
"""The DB-API module to use for every SQLite file (SQLAlchemy: `module=sqlite`)."""


def connect(path: str | Path, *, timeout: float = 5.0) -> Connection:
    """A connection that begins and ends its transactions itself and may move between threads.

    Raises: StoreError: the file cannot be opened. ConfigurationError: this SQLite is too old.
    """
    check_version(sqlite.sqlite_version_info)
    try:
        connection = sqlite.connect(
            str(path), timeout=timeout, isolation_level=None, check_same_thread=False
        )
    except sqlite.Error as error:
        raise translate(error, path) from error
    return cast("Connection", connection)


@cache
def check_version(found: Version) -> None:
    """Refuse a SQLite that is too old; warn, once, of one that may damage a file.

    Raises: ConfigurationError: it is older than `OLDEST`.
    """
    name = ".".join(map(str, found))
    if found < OLDEST:
        raise ConfigurationError(f"SQLite {name} is too old: pip install pysqlite3")
    if can_corrupt(found):
        _log.warning(
            "SQLite %s may damage a file that several processes write (fixed in 3.51.3):"
            " let one process write, or pip install pysqlite3",
            name,
        )


def can_corrupt(version: Version) -> bool:
    """Whether it has the WAL-reset bug (https://sqlite.org/wal.html#walresetbug).

    A checkpoint that races with a writer in another connection loses what that writer commits.
    """
    patched = any(fixed[:2] == version[:2] and version >= fixed for fixed in _SAFE_BRANCHES)
    return version < _SAFE and not patched


def primary_code(error: BaseException) -> int:
    """SQLite's primary result code of a driver error; 0 if it has none."""
    return int(getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def translate(error: BaseException, path: str | Path) -> StoreError:
    """What a driver's error means to an operator. The caller raises it `from error`."""
    if isinstance(error, StoreError):
        return error
    kind, advice = _MEANINGS.get(primary_code(error), (StoreError, ""))
    if isinstance(error, sqlite.ProgrammingError) and "closed" in str(error):
        kind, advice = StoreClosed, "the store was closed"
    return kind(f"{path}: {advice or error}")


_MEANINGS: Final[dict[int, tuple[type[StoreError], str]]] = {
    sqlite3.SQLITE_BUSY: (
        StorageBusy,
        "another process held the lock for too long: let one process write, or find the one stuck",
    ),
    sqlite3.SQLITE_LOCKED: (StorageBusy, "locked by another connection of this process"),
    sqlite3.SQLITE_FULL: (
        StorageFull,
        "the disk is full; reads go on, and appends too as soon as there is room",
    ),
    sqlite3.SQLITE_READONLY: (
        StorageReadOnly,
        "cannot be written; give this user write access to the file and its folder",
    ),
    sqlite3.SQLITE_PERM: (StorageReadOnly, "access denied; check the owner of file and folder"),
    sqlite3.SQLITE_CANTOPEN: (
        StorageReadOnly,
        "cannot be opened; check that the folder exists and that this user may write in it",
    ),
    sqlite3.SQLITE_IOERR: (StoreError, "the disk reported an error; check its health and space"),
    sqlite3.SQLITE_CORRUPT: (StorageCorrupt, "is damaged; stop, and restore it from a backup"),
    sqlite3.SQLITE_NOTADB: (
        StorageCorrupt,
        "is not a SQLite database; check the path, or restore it from a backup",
    ),
}
