"""When the disk, another program or a failpoint gets in the way: what is said, and what is kept."""

# ruff: noqa: ASYNC240 - these tests are alone on their event loop

import asyncio
import resource
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from diptych.errors import (
    ConditionFailed,
    HistoryDiverged,
    OutcomeUnknown,
    StorageBusy,
    StorageCorrupt,
    StorageFull,
    StoreError,
)
from diptych.failpoints import armed, fail
from diptych.messages import EventData
from diptych.sqlite_library import Connection, sqlite
from diptych.store.contract import (
    ANY_VERSION,
    START,
    Append,
    Appended,
    CommandKey,
    CommandRecord,
    Condition,
    Criterion,
    ExpectedVersion,
    Load,
    Point,
    Write,
)
from diptych.store.sqlite import appender
from diptych.store.sqlite.committing import Committer
from diptych.store.sqlite.store import SqliteEventStore
from diptych.testing.clock import FixedClock
from diptych.testing.waiting import wait_until

BEFORE_COMMIT = ["append.before_begin", "append.after_begin", "append.before_commit"]


def placed(
    stream: str = "order-1", *, size: int = 10, expecting: ExpectedVersion = ANY_VERSION
) -> Append:
    event = EventData("Placed", b'"%s"' % (b"x" * size), uuid4(), ("vip",))
    record = CommandRecord(CommandKey("", "", uuid4()))
    return Append((Write(stream, (event,), expecting),), command=record)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteEventStore]:
    async with SqliteEventStore(path) as store:
        yield store


def committer_of(store: SqliteEventStore) -> Committer:
    return store._log._appender._committer


async def ids_in(store: SqliteEventStore) -> list[UUID]:
    return [event.event_id for event in (await store.read(limit=100_000)).events]


async def append_until_full(store: SqliteEventStore, *, size: int) -> list[UUID]:
    """The ids of the events that were acknowledged before the disk was full."""
    acknowledged: list[UUID] = []
    for n in range(100_000):
        try:
            done = await store.append(placed(f"order-{n}", size=size))
        except StorageFull:
            return acknowledged
        assert done.point.event_id
        acknowledged.append(done.point.event_id)
    raise AssertionError("the disk never got full")


async def test_a_full_disk_loses_nothing_and_ends_when_there_is_room(
    store: SqliteEventStore,
) -> None:
    db = committer_of(store)._db
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages + 30}")
    acknowledged = await append_until_full(store, size=2000)
    assert await ids_in(store) == acknowledged
    answers = await asyncio.gather(
        *(store.append(placed(size=5000)) for _ in range(5)), return_exceptions=True
    )
    for answer in answers:
        assert isinstance(answer, StorageFull)
        assert "appends too as soon as there is room" in str(answer)
        assert isinstance(answer.__cause__, sqlite.Error)
    db.execute("PRAGMA max_page_count = 100000")
    later = await store.append(placed("order-later"))
    assert later.point.position == len(acknowledged) + 1
    assert (await store.load(Load("order-later"))).version == 1


async def test_a_big_append_on_a_nearly_full_disk_does_not_take_its_neighbours_with_it(
    store: SqliteEventStore,
) -> None:
    db = committer_of(store)._db
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages + 30}")
    sizes = (10, 900_000, 10)
    answers = await asyncio.gather(
        *(store.append(placed(f"order-{n}", size=size)) for n, size in enumerate(sizes)),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [Appended, StorageFull, Appended]


async def test_a_real_full_disk_loses_nothing_and_ends_when_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        async with SqliteEventStore(disk.folder / "log.db") as store:
            acknowledged = await append_until_full(store, size=20_000)
            assert await ids_in(store) == acknowledged
            disk.grow()
            await store.append(placed("order-later"))
        async with SqliteEventStore(disk.folder / "log.db") as store:
            assert (await ids_in(store))[:-1] == acknowledged


async def test_an_error_of_the_disk_at_commit_leaves_the_outcome_open(
    store: SqliteEventStore, path: Path
) -> None:
    await store.append(placed())
    append = placed("order-2", size=100_000)
    assert append.command is not None
    size = Path(f"{path}-wal").stat().st_size
    with largest_file(size), pytest.raises(OutcomeUnknown) as caught:
        await store.append(append)
    assert caught.value.command_id == append.command.key.command_id
    assert (await store.append(append)).point.position == 2
    assert [event.stream for event in (await store.read()).events] == ["order-1", "order-2"]


@pytest.mark.parametrize("name", BEFORE_COMMIT)
async def test_what_fails_before_the_commit_is_rolled_back(
    store: SqliteEventStore, name: str
) -> None:
    with armed(name, fail), pytest.raises(StoreError) as caught:
        await store.append(placed())
    assert type(caught.value) is StoreError
    assert await ids_in(store) == []
    assert (await store.append(placed(expecting=0))).point.position == 1


@pytest.mark.parametrize("name", BEFORE_COMMIT)
async def test_after_a_rollback_each_member_gets_another_chance(
    store: SqliteEventStore, name: str
) -> None:
    with armed(name, fail):
        await asyncio.gather(*(store.append(placed(f"order-{n}")) for n in range(5)))
    assert len(await ids_in(store)) == 5


async def test_what_fails_after_the_commit_is_there_and_unknown(store: SqliteEventStore) -> None:
    append = placed()
    with armed("append.after_commit", fail), pytest.raises(OutcomeUnknown):
        await store.append(append)
    again = await store.append(append)
    assert again.repeated
    assert len(await ids_in(store)) == 1


@pytest.mark.parametrize("name", ["load.before_read", "read.before_read"])
async def test_a_read_that_fails_leaves_its_connection_usable(
    store: SqliteEventStore, name: str
) -> None:
    await store.append(placed())
    with armed(name, fail), pytest.raises(Exception, match="armed failpoint"):
        await (store.load(Load("order-1")) if name.startswith("load") else store.read())
    assert (await store.load(Load("order-1"))).version == 1
    assert len(await ids_in(store)) == 1


@pytest.mark.parametrize("suffix", ["", "-wal"])
async def test_a_log_whose_file_was_deleted_acknowledges_nothing_more(
    path: Path, suffix: str
) -> None:
    async with SqliteEventStore(path) as store:
        await store.append(placed())
        Path(f"{path}{suffix}").unlink()
        with pytest.raises(OutcomeUnknown):
            await store.append(placed())
        for _ in range(2):
            with pytest.raises(StorageCorrupt, match="deleted or replaced while it was open"):
                await store.append(placed())


@pytest.mark.skipif(sqlite.__name__ == "sqlite3", reason="there is only one SQLite library here")
async def test_a_second_sqlite_library_in_this_process_is_noticed(
    store: SqliteEventStore, path: Path
) -> None:
    """Its close drops this process's locks and takes the `-wal` file for nobody's."""
    await store.append(placed())
    with closing(sqlite3.connect(path)) as stranger:
        assert stranger.execute("SELECT count(*) FROM events").fetchone() == (1,)
    with pytest.raises(OutcomeUnknown):
        await store.append(placed())
    with pytest.raises(StorageCorrupt, match="deleted or replaced"):
        await store.append(placed())


async def test_an_append_waits_in_a_thread_for_another_process_that_appends(
    store: SqliteEventStore, path: Path
) -> None:
    with locked(path) as unlock:
        waiting = asyncio.create_task(store.append(placed()))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not waiting.done()
        assert (await store.load(Load("order-1"))).version == 0
        unlock()
        assert (await waiting).point.position == 1


async def test_who_holds_the_lock_for_too_long_is_an_error_and_nothing_is_written(
    store: SqliteEventStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appender, "PATIENCE", 0.02)
    with locked(path) as unlock:
        with pytest.raises(StorageBusy, match="let one process write") as caught:
            await store.append(placed())
        assert isinstance(caught.value.__cause__, sqlite.OperationalError)
        unlock()
    assert await ids_in(store) == []
    await store.append(placed())


async def test_times_never_run_backwards_when_the_clock_does(path: Path) -> None:
    for hour in (3, 1, 2):
        clock = FixedClock(FixedClock().now().replace(hour=hour))
        async with SqliteEventStore(path, clock=clock) as store:
            await store.append(placed())
            assert {event.recorded_at.hour for event in (await store.read()).events} == {3}


async def test_text_that_is_not_unicode_is_refused_for_its_member_alone(
    store: SqliteEventStore,
) -> None:
    bad = Append((Write("order-2", (EventData("Placed", b"\xff", uuid4()),), 0),))
    answers = await asyncio.gather(
        store.append(placed()), store.append(bad), store.append(placed()), return_exceptions=True
    )
    assert str(answers[1]) == "data: must be JSON in UTF-8"
    assert len(await ids_in(store)) == 2


async def test_a_repeat_gets_the_first_outcome_whatever_it_would_append(
    store: SqliteEventStore,
) -> None:
    first = placed()
    appended = await store.append(first)
    bad = EventData("Placed", b"\xff", uuid4())
    again = replace(first, writes=(Write("order-1", (bad,), ANY_VERSION),))
    assert await store.append(again) == replace(appended, repeated=True)


async def test_a_condition_sees_what_stands_before_it_in_its_batch(store: SqliteEventStore) -> None:
    once = Condition((Criterion(tags=frozenset({"vip"})),), START)
    appends = [replace(placed(f"order-{n}"), condition=once) for n in range(3)]
    answers = await asyncio.gather(*map(store.append, appends), return_exceptions=True)
    assert [type(answer) for answer in answers] == [Appended, ConditionFailed, ConditionFailed]
    assert len(await ids_in(store)) == 1


async def test_a_log_that_was_replaced_is_told_from_the_one_that_was_read(
    tmp_path: Path,
) -> None:
    points: list[Point] = []
    for name in ("one.db", "other.db"):
        async with SqliteEventStore(tmp_path / name) as store:
            points.append((await store.append(placed())).point)
    async with SqliteEventStore(tmp_path / "other.db") as store:
        with pytest.raises(HistoryDiverged):
            await store.read(after=points[0])
        assert (await store.read(after=points[1])).scanned == points[1]


async def test_a_follower_hears_of_another_program_that_appends(
    store: SqliteEventStore, path: Path
) -> None:
    waiting = asyncio.create_task(store.moved(0))
    async with SqliteEventStore(path) as another:
        await another.append(placed())
        await wait_until(waiting.done, timeout=1)


@contextmanager
def locked(path: Path) -> Iterator[Callable[[], object]]:
    """Hold the log's write lock, as another process would, until the yielded call."""
    with closing(sqlite.connect(str(path), isolation_level=None, check_same_thread=False)) as db:
        holder: Connection = db
        holder.execute("BEGIN IMMEDIATE")
        yield lambda: holder.execute("ROLLBACK")


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let every write beyond `size` bytes of a file fail, as on a disk with errors."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@dataclass(frozen=True)
class Disk:
    folder: Path

    def grow(self) -> None:
        subprocess.run(["mount", "-o", "remount,size=16m", str(self.folder)], check=True)


@contextmanager
def small_disk(folder: Path) -> Iterator[Disk]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small disk can be mounted by root only, where mounting is allowed: {error}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
