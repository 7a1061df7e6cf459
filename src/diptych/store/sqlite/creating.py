"""The schema of the log's file: creating it, bringing it up to date, refusing what is no log.

A new log is made as version 1 and brought up to date like an old one, so that both are the same.
All of it is one transaction that excludes every other writer; it is quick, because migrations add
tables and leave the events alone. Programs that have the log open with an older version of this
code go on; they only cannot open it again.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID

from diptych.clock import Clock
from diptych.errors import SchemaMismatch, StoreError
from diptych.failpoints import failpoint
from diptych.sqlite_library import Connection
from diptych.store.migrating import Migrated
from diptych.store.sqlite.rows import microseconds, uuid_of
from diptych.store.sqlite.statements import MIGRATIONS, SCHEMA, SCHEMA_VERSION, SQL

APPLICATION_ID: Final = 0x44697074  # "Dipt", in the header of the file


class Identified(NamedTuple):
    log_id: UUID
    schema: Migrated


def refuse_foreign(db: Connection, path: Path, *, migrate: bool) -> int:
    """Look, in one snapshot, before anything in the file is changed; give its schema version.

    Raises: StoreError: it is another program's, or of a version that cannot be used.
    """
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != APPLICATION_ID and (application or tables):
        raise StoreError(f"{path} is another program's database: give the log a file of its own")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    oldest = 1 if migrate else SCHEMA_VERSION
    if tables and not oldest <= version <= SCHEMA_VERSION:
        raise SchemaMismatch(str(path), found=version, supported=SCHEMA_VERSION)
    return int(version) if tables else 0


def identify(db: Connection, path: Path, clock: Clock, *, migrate: bool) -> Identified:
    """Which log it is, once it has the tables of this version. Finds out if it can be written."""
    db.execute("BEGIN IMMEDIATE")
    found = refuse_foreign(db, path, migrate=migrate)
    if not found:
        _create(db, clock)
    for number, migration in enumerate(MIGRATIONS[max(found, 1) - 1 :], start=max(found, 1) + 1):
        failpoint("migrate.before_step")
        _run(db, migration.values())
        db.execute(f"PRAGMA user_version = {number}")
    (log_id,) = db.execute(SQL["log_id"]).fetchone()
    failpoint("create.before_commit" if not found else "migrate.before_commit")
    db.execute("COMMIT")
    return Identified(uuid_of(log_id), Migrated(found, SCHEMA_VERSION))


def _create(db: Connection, clock: Clock) -> None:
    """Schema version 1."""
    _run(db, SCHEMA.values())
    db.execute(SQL["insert_meta"], (clock.new_id().bytes, microseconds(clock.now())))
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _run(db: Connection, statements: Iterable[str]) -> None:
    for statement in statements:
        db.execute(statement)
