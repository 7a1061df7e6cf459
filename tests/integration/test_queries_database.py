"""The read database's file: what is refused at start, and by which error."""

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa

from diptych.errors import (
    ConfigurationError,
    SchemaMismatch,
    StorageCorrupt,
    StorageReadOnly,
    StoreClosed,
    StoreError,
)
from diptych.read.schema import SCHEMA_VERSION
from diptych.read.sqlite.database import SqliteReadDatabase
from diptych.sqlite_library import sqlite
from diptych.store.sqlite.store import SqliteEventStore
from diptych.testing.waiting import wait_until

LOG = uuid4()


async def opens(path: Path) -> None:
    database = SqliteReadDatabase(path)
    try:
        await database.open(log_id=LOG)
    finally:
        await database.close()


async def test_folder_and_file_are_made_for_this_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "read.db"
    await opens(path)
    await opens(path)
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "read.db"
    path.write_bytes(b"this is no database" * 1_000)
    with pytest.raises(StorageCorrupt, match=r"read\.db"):
        await opens(path)
    assert path.read_bytes() == b"this is no database" * 1_000


async def test_a_file_that_is_damaged_inside_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "read.db"
    await opens(path)
    data = bytearray(path.read_bytes())
    data[100:] = b"\xff" * (len(data) - 100)
    path.write_bytes(bytes(data))
    with pytest.raises(StoreError):
        await opens(path)


async def test_the_file_of_another_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "read.db"
    await opens(path)
    db = sqlite.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(SchemaMismatch) as refused:
        await opens(path)
    assert (refused.value.found, refused.value.supported) == (99, SCHEMA_VERSION)


async def test_the_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    db = sqlite.connect(path)
    db.execute("CREATE TABLE theirs (a)")
    db.commit()
    db.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="not a read database"):
        await opens(path)
    assert path.read_bytes() == before


async def test_a_log_is_no_read_database(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    log = SqliteEventStore(path)
    await log.open()
    with pytest.raises(StoreError, match="not a read database"):
        await opens(path)
    await log.close()


async def test_a_folder_or_a_missing_parent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is a folder"):
        await opens(tmp_path)
    with pytest.raises(StorageReadOnly, match="cannot be created"):
        await opens(tmp_path / "a" / "b" / "read.db")
    (tmp_path / "file").touch()
    with pytest.raises(StorageReadOnly, match="cannot be created"):
        await opens(tmp_path / "file" / "read.db")


async def test_it_is_opened_once_and_closed_as_often_as_one_likes(tmp_path: Path) -> None:
    database = SqliteReadDatabase(tmp_path / "read.db")
    await database.open(log_id=LOG)
    with pytest.raises(ConfigurationError):
        await database.open(log_id=LOG)
    await database.close()
    await database.close()
    with pytest.raises(StoreClosed):
        async with database.snapshot():
            pass
    with pytest.raises(StoreClosed):
        async with database.transaction():
            pass
    await database.open(log_id=LOG)
    await database.close()


async def test_a_temporary_database_leaves_nothing_behind() -> None:
    database = SqliteReadDatabase()
    await database.open(log_id=LOG)
    assert database._open is not None
    path = database._open.path
    assert path.exists()
    await database.close()
    assert not path.parent.exists()


async def test_a_transaction_that_raises_is_rolled_back_and_the_next_one_works(
    tmp_path: Path,
) -> None:
    table = sa.Table("t", sa.MetaData(), sa.Column("a", sa.Integer, primary_key=True))
    database = SqliteReadDatabase(tmp_path / "read.db")
    await database.open(log_id=LOG)
    async with database.transaction() as tx:
        await tx.create(table)
    for error in (ValueError, asyncio.CancelledError):
        with pytest.raises(error):
            async with database.transaction() as tx:
                await tx.execute(sa.insert(table), [{"a": 1}, {"a": 2}])
                raise error
    with pytest.raises(sa.exc.IntegrityError):
        async with database.transaction() as tx:
            await tx.execute(sa.insert(table), [{"a": 1}, {"a": 1}])
    async with database.transaction() as tx:
        assert await tx.execute(sa.select(table)) == []
        await tx.execute(sa.insert(table).values(a=3))
    async with database.snapshot() as snapshot:
        assert [row.a for row in await snapshot.execute(sa.select(table))] == [3]
    await database.close()


async def test_closing_waits_for_the_transaction_that_is_under_way(tmp_path: Path) -> None:
    database = SqliteReadDatabase(tmp_path / "read.db")
    await database.open(log_id=LOG)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def write() -> None:
        async with database.transaction():
            begun.set()
            await go_on.wait()

    writing = asyncio.create_task(write())
    await begun.wait()
    closing = asyncio.create_task(database.close())
    await wait_until(lambda: database._open is None)
    assert not closing.done()
    go_on.set()
    await asyncio.gather(writing, closing)


async def test_the_write_ahead_log_is_copied_back_and_stays_small(tmp_path: Path) -> None:
    path = tmp_path / "read.db"
    table = sa.Table(
        "t", sa.MetaData(), sa.Column("a", sa.Integer, primary_key=True), sa.Column("b", sa.Text)
    )
    database = SqliteReadDatabase(path)
    await database.open(log_id=LOG)
    async with database.transaction() as tx:
        await tx.create(table)
    for start in range(0, 60_000, 3_000):
        async with database.transaction() as tx:
            rows = [{"a": start + index, "b": "x" * 200} for index in range(3_000)]
            await tx.execute(sa.insert(table), rows)
    assert (tmp_path / "read.db-wal").stat().st_size < 8_000_000
    assert path.stat().st_size > 8_000_000
    await database.close()
