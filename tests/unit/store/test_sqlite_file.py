"""The log's file: how it is made, what is refused as a log, and what others may do to it."""

# ruff: noqa: ASYNC240 - these tests are alone on their event loop

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from diptych.errors import (
    ConfigurationError,
    SchemaMismatch,
    StorageCorrupt,
    StorageReadOnly,
    StoreError,
)
from diptych.messages import EventData
from diptych.sqlite_library import Connection, sqlite
from diptych.store.contract import ANY_VERSION, Append, CommandKey, CommandRecord, Load, Write
from diptych.store.sqlite.store import SqliteEventStore


def placed(stream: str = "order-1", data: bytes = b'{"total":12}') -> Append:
    write = Write(stream, (EventData("Placed", data, uuid4(), ("vip",)),), ANY_VERSION)
    return Append((write,), command=CommandRecord(CommandKey("", "", uuid4())))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


def other(path: Path) -> "closing[Connection]":
    """A connection as another program would open it, with the library of this process."""
    return closing(sqlite.connect(str(path), isolation_level=None))


async def a_log_at(path: Path) -> None:
    async with SqliteEventStore(path) as store:
        await store.append(placed())


async def refusal(path: Path, error: type[StoreError]) -> str:
    with pytest.raises(error) as caught:
        await SqliteEventStore(path).open()
    return str(caught.value)


async def test_the_file_and_its_companions_are_for_their_owner_alone(path: Path) -> None:
    async with SqliteEventStore(path) as store:
        await store.append(placed())
        files = sorted(path.parent.iterdir())
        assert [file.name for file in files] == ["log.db", "log.db-shm", "log.db-wal"]
        assert {oct(file.stat().st_mode & 0o777) for file in files} == {"0o600"}


async def test_a_closed_log_is_one_file(path: Path) -> None:
    await a_log_at(path)
    assert [file.name for file in path.parent.iterdir()] == ["log.db"]


async def test_the_folder_is_made_and_those_above_it_are_not(tmp_path: Path) -> None:
    await a_log_at(tmp_path / "data" / "log.db")
    message = await refusal(tmp_path / "typo" / "data" / "log.db", StorageReadOnly)
    assert "check that the folder above exists" in message
    assert not (tmp_path / "typo").exists()


async def test_the_log_may_be_made_by_several_at_once(path: Path) -> None:
    stores = [SqliteEventStore(path) for _ in range(5)]
    await asyncio.gather(*(store.open() for store in stores))
    assert len({store.log_id for store in stores}) == 1
    await asyncio.gather(*(store.append(placed()) for store in stores))
    assert (await stores[0].head()).position == 5
    await asyncio.gather(*(store.close() for store in stores))


async def test_an_empty_file_becomes_a_log(path: Path) -> None:
    path.touch()
    await a_log_at(path)


async def test_a_link_leads_to_the_log_and_its_companions(path: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    path.symlink_to(tmp_path / "elsewhere" / "real.db")
    await a_log_at(tmp_path / "elsewhere" / "real.db")
    async with SqliteEventStore(path) as store:
        await store.append(placed())
        assert (tmp_path / "elsewhere" / "real.db-wal").exists()


async def test_events_can_be_read_with_any_sqlite(path: Path) -> None:
    await a_log_at(path)
    with other(path) as db:
        rows = db.execute("SELECT category, data ->> 'total', tags FROM events").fetchall()
        assert rows == [("order", 12, '["vip"]')]
        assert db.execute("PRAGMA application_id").fetchone() == (0x44697074,)


@pytest.mark.parametrize(
    "change",
    ["UPDATE events SET type = 'Other'", "DELETE FROM events", "DELETE FROM events WHERE 1"],
)
async def test_events_cannot_be_changed_by_hand(path: Path, change: str) -> None:
    await a_log_at(path)
    with other(path) as db, pytest.raises(sqlite.IntegrityError, match="events are never"):
        db.execute(change)


async def test_a_folder_is_not_a_log(tmp_path: Path) -> None:
    assert "name a file in it" in await refusal(tmp_path, StoreError)


async def test_a_path_below_a_file_is_refused_with_advice(path: Path) -> None:
    path.touch()
    message = await refusal(path / "log.db", StorageReadOnly)
    assert "Not a directory" in message
    assert "this user may write there" in message


async def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    path.write_bytes(b"nothing that SQLite knows " * 200)
    assert "is not a SQLite database" in await refusal(path, StorageCorrupt)
    assert path.read_bytes() == b"nothing that SQLite knows " * 200


async def test_a_damaged_log_is_reported_as_damaged(path: Path) -> None:
    async with SqliteEventStore(path) as store:
        for n in range(200):
            await store.append(placed(f"order-{n}", b'{"x":"%s"}' % (b"y" * 500)))
    whole = bytearray(path.read_bytes())
    whole[4096 * 16 :] = b"\xff" * (len(whole) - 4096 * 16)  # behind the pages of the schema
    path.write_bytes(whole)
    async with SqliteEventStore(path) as store:
        with pytest.raises(StorageCorrupt, match="restore it from a backup") as caught:
            await store.read()
        assert isinstance(caught.value.__cause__, sqlite.DatabaseError)


async def test_the_database_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    with other(path) as db:
        db.execute("CREATE TABLE songs (title TEXT)")
    before = path.read_bytes()
    assert "give the log a file of its own" in await refusal(path, StoreError)
    assert path.read_bytes() == before


async def test_another_schema_version_is_refused_and_left_alone(path: Path) -> None:
    await a_log_at(path)
    with other(path) as db:
        db.execute("PRAGMA user_version = 7")
    before = path.read_bytes()
    with pytest.raises(SchemaMismatch) as caught:
        await SqliteEventStore(path).open()
    assert (caught.value.found, caught.value.supported) == (7, 2)
    assert path.read_bytes() == before


async def test_a_folder_that_cannot_be_written_is_refused_with_advice(tmp_path: Path) -> None:
    with unwritable(tmp_path):
        message = await refusal(tmp_path / "log.db", StorageReadOnly)
    assert "check that the folder above exists and that this user may write there" in message


async def test_a_log_in_a_folder_that_cannot_be_written_is_refused(path: Path) -> None:
    await a_log_at(path)
    with unwritable(path.parent):
        assert "this user may write" in await refusal(path, StorageReadOnly)
    async with SqliteEventStore(path) as store:
        assert (await store.load(Load("order-1"))).version == 1


@pytest.mark.parametrize("path", ["", ":memory:"])
def test_a_log_without_a_file_is_a_mistake_of_the_programmer(path: str) -> None:
    with pytest.raises(ConfigurationError, match="MemoryEventStore"):
        SqliteEventStore(path)


def test_a_level_of_durability_that_is_none_is_a_mistake_of_the_programmer() -> None:
    with pytest.raises(ConfigurationError, match="FULL, NORMAL"):
        SqliteEventStore("log.db", synchronous="OFF")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("level", "number", "words"),
    [("FULL", 2, "a killed process and a power cut"), ("NORMAL", 1, "a power cut may take")],
)
async def test_the_level_of_durability_is_set_and_said(
    path: Path, level: str, number: int, words: str
) -> None:
    async with SqliteEventStore(path, synchronous=level) as store:  # type: ignore[arg-type]
        assert f"synchronous={level}" in store.durability
        assert words in store.durability
        committer = store._log._appender._committer  # type: ignore[union-attr]
        assert committer._db.execute("PRAGMA synchronous").fetchone() == (number,)


@contextmanager
def unwritable(folder: Path) -> Iterator[None]:
    """Root ignores modes, so root takes the immutable attribute instead."""
    if os.geteuid():
        before = folder.stat().st_mode
        folder.chmod(0o500)
        lift = lambda: folder.chmod(before)  # noqa: E731
    else:
        _attribute("+i", folder)
        lift = lambda: _attribute("-i", folder)  # noqa: E731
    try:
        yield
    finally:
        lift()


def _attribute(change: str, folder: Path) -> None:
    try:
        subprocess.run(["chattr", change, str(folder)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"running as root, and the file system has no immutable attribute: {error}")
