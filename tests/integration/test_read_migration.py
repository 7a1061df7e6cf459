"""From the read schema of the version before to this one, on both databases."""

import asyncio
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite as sqlite_dialect

from diptych.errors import SchemaMismatch
from diptych.failpoints import FailpointError, armed, fail
from diptych.read.database import ReadDatabase
from diptych.read.migration import MIGRATIONS, OLDEST
from diptych.read.schema import META, OWN_TABLES, SCHEMA_VERSION
from diptych.read.sqlite import file
from diptych.read.sqlite.connection import Connection
from diptych.read.sqlite.database import SqliteReadDatabase
from diptych.sqlite_library import sqlite
from diptych.store.memory import MemoryEventStore
from tests.integration.accounts import Account, Deposited, GetAccount, Opened, append, reading
from tests.integration.conftest import AnyDatabase

ADDED = {
    "diptych_revisions": ("kind", "served_at", "verified_at", "retired_at"),
    "diptych_checkpoints": (
        *("error_class", "error_type", "attempts", "failed_at"),
        *("parked_keys", "parked_events", "acts"),
    ),
}
NEW = (
    *("diptych_views", "diptych_parked_keys", "diptych_parked_events", "diptych_discards"),
    *("diptych_retries", "diptych_readers"),
)


async def back_to_version_2(database: ReadDatabase) -> None:
    """What version 2 wrote: this schema without what came with later ones."""
    drops = [f"ALTER TABLE {table} DROP COLUMN {name}" for table in ADDED for name in ADDED[table]]
    drops += [f"DROP TABLE {table}" for table in NEW]
    async with database.transaction(exclusive=True) as tx:
        for drop in drops:
            await tx.execute(sa.DDL(drop))
        await tx.execute(sa.update(META).values(schema_version=2))
        if isinstance(database.dialect, sqlite_dialect.dialect):
            await tx.execute(sa.text("PRAGMA user_version = 2"))


async def shape_of(database: ReadDatabase) -> dict[str, set[tuple[Any, ...]]]:
    """Names, types, defaults and keys of the columns of our tables, as the database has them."""
    if isinstance(database.dialect, sqlite_dialect.dialect):
        about = "SELECT name, upper(type), \"notnull\", dflt_value, pk FROM pragma_table_info('{}')"
    else:
        about = (
            "SELECT column_name, data_type, is_nullable, column_default, EXISTS (SELECT 1 FROM"
            " information_schema.key_column_usage k WHERE k.table_schema = c.table_schema AND"
            " k.table_name = c.table_name AND k.column_name = c.column_name AND"
            " k.constraint_name LIKE '%_pkey') FROM information_schema.columns c"
            " WHERE table_schema = current_schema() AND table_name = '{}'"
        )
    found = {}
    async with database.transaction() as tx:
        for table in OWN_TABLES:
            rows = await tx.execute(sa.text(about.format(table.name)))
            found[table.name] = {tuple(row) for row in rows}
    return found


async def test_a_migrated_database_is_like_a_new_one_and_goes_on_where_it_was(
    any_database: AnyDatabase, store: MemoryEventStore
) -> None:
    account_id = uuid4()
    await append(store, Opened(account_id, "Ann"), Deposited(account_id, 1))
    database = any_database()
    async with reading(store, database=database) as side:
        assert await side.query(GetAccount(account_id)) is not None
        new = await shape_of(database)
    await database.open(log_id=store.log_id)
    await back_to_version_2(database)
    assert await shape_of(database) != new
    await database.close()
    token = await append(store, Deposited(account_id, 2))
    async with reading(store, database=any_database()) as side:
        row = await side.query(GetAccount(account_id), at_least=token)
        assert isinstance(row, Account)
        assert (row.balance, row.deposits) == (3, 2)
        assert await shape_of(side._database) == new


async def test_a_failure_in_the_middle_of_a_migration_leaves_the_old_version(
    any_database: AnyDatabase, store: MemoryEventStore
) -> None:
    database = any_database()
    await database.open(log_id=store.log_id)
    await back_to_version_2(database)
    old = await shape_of(database)
    await database.close()
    for step in range(1, sum(map(len, MIGRATIONS.values())) + len(MIGRATIONS) + 1):
        with (
            armed("migration.before_commit", fail, on=step),
            pytest.raises(FailpointError),
        ):
            await database.open(log_id=store.log_id)
    with pytest.raises(SchemaMismatch, match="`diptych migrate`") as refused:
        await database.open(log_id=store.log_id, migrate=False)
    assert (refused.value.found, refused.value.supported) == (2, SCHEMA_VERSION)
    await database.open(log_id=store.log_id)
    assert await shape_of(database) != old
    await database.close()


async def test_several_that_open_at_once_migrate_once(
    any_database: AnyDatabase, store: MemoryEventStore
) -> None:
    first = any_database()
    await first.open(log_id=store.log_id)
    await back_to_version_2(first)
    await first.close()
    several = [any_database() for _ in range(4)]
    await asyncio.gather(*(each.open(log_id=store.log_id) for each in several))
    async with several[0].snapshot() as snapshot:
        rows = await snapshot.execute(sa.select(META.c.schema_version))
    assert rows[0].schema_version == SCHEMA_VERSION
    for each in several:
        await each.close()


async def test_a_version_that_was_never_released_is_refused(tmp_path: Path) -> None:
    async def opens() -> None:
        store = MemoryEventStore()
        await store.open()
        async with reading(store, path=tmp_path / "read.db"):
            pass

    await opens()
    db = sqlite.connect(tmp_path / "read.db")
    db.execute(f"PRAGMA user_version = {OLDEST - 1}")
    db.close()
    with pytest.raises(SchemaMismatch):
        await opens()


async def test_what_a_newer_program_has_migrated_meanwhile_is_left_as_it_is(
    tmp_path: Path, store: MemoryEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the file and the lock."""
    path, newer = tmp_path / "read.db", SCHEMA_VERSION + 1
    await _opened(path, store)
    looked = file._use_wal

    def migrated_meanwhile(writer: Connection) -> None:
        _set_version(path, newer, meta=newer)
        looked(writer)

    monkeypatch.setattr(file, "_use_wal", migrated_meanwhile)
    with pytest.raises(SchemaMismatch):
        await _opened(path, store)
    db = sqlite.connect(path)
    assert db.execute("PRAGMA user_version").fetchone() == (newer,)
    db.close()


async def test_a_version_that_was_set_back_is_found_in_the_tables(
    tmp_path: Path, store: MemoryEventStore
) -> None:
    path = tmp_path / "read.db"
    await _opened(path, store)
    _set_version(path, SCHEMA_VERSION - 1, meta=SCHEMA_VERSION)
    await _opened(path, store)
    await _opened(path, store, migrate=False)
    _set_version(path, SCHEMA_VERSION, meta=SCHEMA_VERSION + 1)
    with pytest.raises(SchemaMismatch):
        await _opened(path, store)


async def _opened(path: Path, store: MemoryEventStore, *, migrate: bool = True) -> None:
    database = SqliteReadDatabase(path)
    await database.open(log_id=store.log_id, migrate=migrate)
    await database.close()


def _set_version(path: Path, header: int, *, meta: int) -> None:
    db = sqlite.connect(path)
    db.execute("UPDATE diptych_meta SET schema_version = ?", (meta,))
    db.execute(f"PRAGMA user_version = {header}")
    db.commit()
    db.close()
