"""The read database's file: made if it is not there, refused if it is not ours."""

import os
from pathlib import Path
from typing import Final
from uuid import UUID

import sqlalchemy as sa

from diptych.errors import HistoryDiverged, StorageReadOnly, StoreError
from diptych.failpoints import failpoint
from diptych.read.migration import require_version, steps
from diptych.read.schema import META, OWN_TABLES, SCHEMA_VERSION
from diptych.read.sqlite.connection import Connection

APPLICATION_ID: Final = 0x44697072  # "Dipr", in the header of the file


def make_file(path: Path) -> None:
    """Create folder and file, for this user alone, if they are not there.

    Raises: StorageReadOnly, StoreError: they cannot be created.
    """
    try:
        path.parent.mkdir(exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except OSError as error:
        if path.is_dir():
            raise StoreError(f"{path} is a folder: name a file in it") from None
        if path.is_file():
            return
        raise StorageReadOnly(
            f"{path}: cannot be created ({error.strerror}); check that the folder above exists,"
            " has room, and that this user may write there"
        ) from error


def prepare_file(writer: Connection, *, log_id: UUID, migrate: bool) -> None:
    """Create our tables in a new file; check those of an old one, or `migrate` them to this
    version. Takes the write lock.

    Raises:
        StoreError, SchemaMismatch: it is not a read database, or one of another version.
        HistoryDiverged: it follows another log.
    """
    _refuse_foreign(writer, migrate=migrate)
    _use_wal(writer)
    writer.driver.execute("BEGIN IMMEDIATE")
    try:
        if not _pragma(writer, "application_id"):
            _create(writer, log_id)
        followed = writer.core.execute(sa.select(META.c.log_id)).scalar_one()
        if followed != log_id:
            what = f"read database {writer.path}, which follows log {followed},"
            raise HistoryDiverged(what, position=0)
        _migrate(writer, migrate=migrate)
        writer.commit()
    finally:
        writer.roll_back()


def _migrate(writer: Connection, *, migrate: bool) -> None:
    """Another program may have migrated it since it was looked at, also to a newer version; and
    the number in the header may be too low, as older programs set theirs without a look.

    Raises: SchemaMismatch.
    """
    header = _pragma(writer, "user_version")
    found = max(header, writer.core.execute(sa.select(META.c.schema_version)).scalar_one())
    require_version(found, what=str(writer.path), migrate=migrate)
    for statement in steps(found):
        writer.core.execute(statement)
        failpoint("migration.before_commit")
    if header != SCHEMA_VERSION:
        writer.driver.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _create(writer: Connection, log_id: UUID) -> None:
    for table in OWN_TABLES:
        table.create(writer.core)
    meta = sa.insert(META).values(only=1, schema_version=SCHEMA_VERSION, log_id=log_id)
    writer.core.execute(meta)
    writer.driver.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    writer.driver.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _use_wal(writer: Connection) -> None:
    (mode,) = writer.driver.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StoreError(f"{writer.path}: this file system cannot hold it; use a local disk")


def _refuse_foreign(writer: Connection, *, migrate: bool) -> None:
    """Look before anything in the file is changed."""
    application = _pragma(writer, "application_id")
    (tables,) = writer.driver.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and (application or tables):
        raise StoreError(
            f"{writer.path} is not a read database: give the views a file of their own"
        )
    if tables:
        require_version(_pragma(writer, "user_version"), what=str(writer.path), migrate=migrate)


def _pragma(writer: Connection, name: str) -> int:
    (value,) = writer.driver.execute(f"PRAGMA {name}").fetchone()
    return int(value)
