"""Where the SQLite log does its work: on the event loop what is quick, in threads what is not."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from msgspec.structs import replace

from diptych.errors import OutcomeUnknown, StoreClosed
from diptych.failpoints import armed, fail
from diptych.messages import EventData
from diptych.store.contract import (
    ANY_VERSION,
    START,
    Append,
    Appended,
    Condition,
    Criterion,
    Load,
    Write,
)
from diptych.store.sqlite import committing, pace
from diptych.store.sqlite.file import CAN_MEASURE_WAL
from diptych.store.sqlite.pace import Pace
from diptych.store.sqlite.store import SqliteEventStore
from diptych.testing.waiting import wait_until

LOOP, APPENDING, READING = "MainThread", "diptych-log-append", "diptych-log-read"


def placed(stream: str = "order-1", *, events: int = 1, size: int = 10) -> Append:
    happened = (EventData("Placed", b'"%s"' % (b"x" * size), uuid4()) for _ in range(events))
    return Append((Write(stream, tuple(happened), ANY_VERSION),))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteEventStore]:
    async with SqliteEventStore(tmp_path / "log.db") as store:
        yield store


@contextmanager
def threads_at(failpoint: str) -> Iterator[list[str]]:
    names: list[str] = []

    def note() -> None:
        names.append(threading.current_thread().name.partition("_")[0])

    with armed(failpoint, note, times=1000):
        yield names


async def test_a_commit_takes_place_on_the_event_loop(store: SqliteEventStore) -> None:
    with threads_at("append.before_commit") as threads:
        await store.append(placed())
    assert threads == [LOOP]


async def test_after_slow_commits_a_thread_commits(store: SqliteEventStore) -> None:
    store._log._appender._pace.took(0.5)
    with threads_at("append.before_commit") as threads:
        await store.append(placed())
    assert threads == [APPENDING]
    assert len((await store.read()).events) == 1


@pytest.mark.parametrize("append", [placed(events=2_000), placed(events=2, size=600_000)])
async def test_a_big_append_is_committed_by_a_thread(
    store: SqliteEventStore, append: Append
) -> None:
    with threads_at("append.before_commit") as threads:
        await store.append(append)
    assert threads == [APPENDING]


async def test_short_reads_take_place_on_the_event_loop(store: SqliteEventStore) -> None:
    await store.append(placed(events=100))
    with threads_at("load.before_read") as loads, threads_at("read.before_read") as reads:
        assert (await store.load(Load("order-1"))).version == 100
        assert len((await store.read()).events) == 100
    assert (loads, reads) == ([LOOP], [LOOP])


@pytest.mark.parametrize("append", [placed(events=600), placed(events=3, size=300_000)])
async def test_a_long_stream_is_read_by_a_thread(store: SqliteEventStore, append: Append) -> None:
    await store.append(append)
    with threads_at("load.before_read") as threads:
        loads = await asyncio.gather(*(store.load(Load("order-1")) for _ in range(3)))
    assert {len(loaded.events) for loaded in loads} == {len(append.writes[0].events)}
    assert set(threads) == {LOOP, READING}


async def test_who_is_far_behind_is_caught_up_by_a_thread(store: SqliteEventStore) -> None:
    await store.append(placed(events=600))
    with threads_at("read.before_read") as threads:
        page = await store.read(after=START, limit=400)
        assert len(page.events) == 400
        await store.read(after=page.scanned)
    assert threads == [LOOP, READING, LOOP]


async def test_a_read_that_moves_to_a_thread_leaves_no_old_snapshot_behind(
    store: SqliteEventStore,
) -> None:
    await store.append(placed(events=600))
    for version in range(601, 604):
        long, _ = await asyncio.gather(store.load(Load("order-1")), store.append(placed()))
        assert len(long.events) in {version - 1, version}
        assert (await store.load(Load("order-1", after=version - 2))).version == version
        assert (await store.head()).position == version


async def test_a_condition_without_tags_is_checked_by_a_thread(store: SqliteEventStore) -> None:
    condition = Condition((Criterion(types=frozenset({"Other"})),), START)
    with threads_at("append.before_commit") as threads:
        await store.append(replace(placed(), condition=condition))
    assert threads == [APPENDING]


async def test_a_page_is_bounded_in_bytes(store: SqliteEventStore) -> None:
    for n in range(20):
        await store.append(placed(f"order-{n}", size=999_000))
    page = await store.read()
    assert len(page.events) == 17
    assert page.scanned == (17, page.events[-1].event_id)
    assert len((await store.read(after=page.scanned)).events) == 3


@pytest.mark.skipif(not CAN_MEASURE_WAL, reason="this SQLite copies the -wal file by itself")
async def test_the_wal_file_is_copied_by_a_thread_and_appends_wait_there(
    store: SqliteEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committing, "MEASURE_EVERY", 1)
    monkeypatch.setattr(committing, "CHECKPOINT_PAGES", 1)
    release = threading.Event()
    with (
        threads_at("append.before_commit") as commits,
        armed("checkpoint.before", release.wait),
    ):
        await store.append(placed())
        waiting = asyncio.create_task(store.append(placed()))
        assert (await store.load(Load("order-1"))).version == 1
        await wait_until(lambda: store._log._appender._thread._work_queue.qsize() == 1)
        assert not waiting.done()
        release.set()
        assert (await waiting).point.position == 2
    assert commits == [LOOP, APPENDING]
    await wait_until(lambda: not store._log._appender._busy)
    committer = store._log._appender._committer
    _, pages, copied = committer._db.execute("PRAGMA wal_checkpoint(NOOP)").fetchone()
    assert copied == pages


@pytest.mark.skipif(not CAN_MEASURE_WAL, reason="this SQLite copies the -wal file by itself")
async def test_a_checkpoint_that_fails_is_tried_again_and_harms_nothing(
    store: SqliteEventStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(committing, "MEASURE_EVERY", 1)
    monkeypatch.setattr(committing, "CHECKPOINT_PAGES", 1)
    with armed("checkpoint.before", fail):
        await store.append(placed())
        await wait_until(lambda: not store._log._appender._busy)
    assert "will be tried again" in caplog.text
    await store.append(placed())
    assert (await store.load(Load("order-1"))).version == 2


async def test_two_never_commit_at_once_whoever_is_cancelled(store: SqliteEventStore) -> None:
    """At the end of `asyncio.run` every task is cancelled; what a thread began goes on."""
    release = threading.Event()
    with armed("append.before_commit", release.wait):
        appends = []
        for _ in range(2):
            before = asyncio.all_tasks()
            appends.append(asyncio.ensure_future(store.append(placed(events=2_000))))
            await asyncio.sleep(0.01)
            for inner in asyncio.all_tasks() - before - {appends[-1]}:
                inner.cancel()
            await asyncio.sleep(0.01)
        appends.append(asyncio.ensure_future(store.append(placed())))
        await asyncio.sleep(0.01)
        release.set()
        *unknown, last = await asyncio.gather(*appends, return_exceptions=True)
    assert [type(answer) for answer in unknown] == [OutcomeUnknown] * 2
    assert isinstance(last, Appended)
    assert (await store.load(Load("order-1"))).version == 4_001


async def test_closing_waits_for_what_a_thread_reads(store: SqliteEventStore) -> None:
    await store.append(placed(events=600))
    reading = asyncio.create_task(store.read())
    await asyncio.sleep(0)
    await store.close()
    assert len((await reading).events) == 600


async def test_a_close_that_was_given_up_goes_on_and_the_next_waits_for_it(
    store: SqliteEventStore,
) -> None:
    readers, release = store._log.readers, threading.Event()
    with armed("append.before_commit", release.wait):
        append = asyncio.create_task(store.append(placed(events=2_000)))
        await asyncio.sleep(0)
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(store.close(), 0.01)
        release.set()
        await store.close()
    assert append.done()
    assert (await append).point.position == 2_000
    with pytest.raises(StoreClosed):
        await readers.run(lambda reader, _: reader.moved())


def test_one_slow_piece_among_quick_ones_changes_nothing() -> None:
    steady = Pace()
    for seconds in (0.0003, 0.0003, 0.015, 0.0003):
        steady.took(seconds)
    assert steady.quick


def test_slow_pieces_spare_the_loop_for_a_hundred_times_what_they_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr(pace, "monotonic", lambda: now)
    slow = Pace()
    for _ in range(3):
        slow.took(0.007)
    assert not slow.quick
    now += 0.69
    assert not slow.quick
    now += 0.02
    assert slow.quick


def test_while_the_storage_stays_slow_one_piece_at_a_time_is_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr(pace, "monotonic", lambda: now)
    slow = Pace()
    tried = 0
    while now < 1010:
        if slow.quick:
            tried += 1
            slow.took(0.01)
        now += 0.001
    assert tried <= 12


def test_storage_that_is_quick_again_is_believed_after_a_few_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr(pace, "monotonic", lambda: now)
    slow = Pace()
    for _ in range(20):
        slow.took(0.01)
    for _ in range(15):
        now += 1.0
        slow.took(0.0003)
    assert slow.quick


def test_the_loop_is_spared_for_a_minute_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(pace, "monotonic", lambda: now)
    slow = Pace()
    slow.took(30)
    now += 60
    assert slow.quick
