"""The power is cut under a writer: with `synchronous=FULL` all that was acknowledged is there.

The same harness must see what weaker settings lose, else it would prove nothing.
"""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest

from diptych.messages import RecordedEvent
from diptych.sqlite_library import sqlite
from diptych.store.sqlite import store as sqlite_store
from diptych.store.sqlite.store import SqliteEventStore
from examples.postgres import wait_for
from tests.crash.test_sqlite_kill import append_number
from tests.servers.disk import Disk, make_disk, missing
from tests.servers.processes import is_stopped
from tests.soak import SOAK

ROUNDS: Final = 6 * SOAK
WEAK_ROUNDS: Final = 3
AT_ONCE: Final = 4
WRITER: Final = (
    "import asyncio, sys; from tests.crash.test_power_cut import write;"
    " asyncio.run(write(*sys.argv[1:]))"
)
TRACED: Final = 40


async def write(path: str, synchronous: Any, upto: str = "") -> None:
    """Runs in the process whose power fails: says each number once it is acknowledged."""
    sqlite_store._SURVIVES.setdefault(synchronous, "nothing: no user can set this")
    async with SqliteEventStore(path, synchronous=synchronous) as store:
        for first in range(0, int(upto), AT_ONCE) if upto else count(0, AT_ONCE):
            numbers = range(first, first + AT_ONCE)
            await asyncio.gather(*(store.append(append_number(number)) for number in numbers))
            os.write(1, b"%s\n" % " ".join(map(str, numbers)).encode())


def started(*words: str, before: tuple[str, ...] = ()) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [*before, sys.executable, "-c", WRITER, *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def cut_under_a_writer(disk: Disk, after: Path, *, synchronous: str, seconds: float) -> list[int]:
    """Cut the power some time after the first answer; the numbers that were acknowledged."""
    with disk.mounted() as folder:
        process = started(str(folder / "log.db"), synchronous)
        assert process.stdout is not None
        try:
            first = process.stdout.readline()
            time.sleep(seconds)
            process.send_signal(signal.SIGSTOP)
            wait_for(lambda: is_stopped(process.pid), timeout=30, what="the writer to stand still")
            disk.cut(after)
        finally:
            process.kill()
            rest, errors = process.communicate()
        assert first, errors.decode()
    *lines, _ = (first + rest).decode().split("\n")  # the last may be half a line
    return [int(number) for line in lines for number in line.split()]


async def whole_log(path: Path) -> list[RecordedEvent]:
    events: list[RecordedEvent] = []
    async with SqliteEventStore(path) as store:
        page = await store.read()
        while page.events:
            events.extend(page.events)
            page = await store.read(after=page.scanned)
    return events


def left_on(disk: Disk) -> list[int]:
    """The numbers of the appends that are there, each as a whole; none if there is no log."""
    with disk.mounted() as folder:
        path = folder / "log.db"
        if not path.exists():
            return []
        events = asyncio.run(whole_log(path))
        assert [event.position for event in events] == list(range(1, len(events) + 1))
        with closing(sqlite.connect(str(path))) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    written = [int(event.stream.removeprefix("order-")) for event in events]
    assert written == [number for number in dict.fromkeys(written) for _ in range(2)]
    return list(dict.fromkeys(written))


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[Disk]:
    """New disks, each on its own image in memory where there is some."""
    if (lacking := missing()) is not None:
        pytest.skip(f"the power is not cut: {lacking}")
    shared = Path("/dev/shm")  # a copy of an image takes milliseconds there
    folder = shared / f"diptych-{os.getpid()}-{tmp_path.name}" if shared.is_dir() else tmp_path
    folder.mkdir(exist_ok=True)

    def each() -> Iterator[Disk]:
        for number in count():
            try:
                yield make_disk(folder / f"{number}.img")
            except OSError as error:
                pytest.skip(f"the power is not cut: {error}")

    yield each()
    shutil.rmtree(folder)


def lost(disks: Iterator[Disk], *, synchronous: str, seed: int) -> int:
    """How many appends were acknowledged before the power failed, and are not there after it."""
    disk, seconds = next(disks), Random(seed).uniform(0.02, 0.25)
    after = disk.image.with_name(f"after-{disk.image.name}")
    acknowledged = cut_under_a_writer(disk, after, synchronous=synchronous, seconds=seconds)
    assert len(acknowledged) >= AT_ONCE
    left = left_on(Disk(after, after.with_suffix(".mounted")))
    for image in (disk.image, after):
        image.unlink()
    return len(set(acknowledged) - set(left))


@pytest.mark.soak
def test_a_power_cut_loses_nothing_that_was_acknowledged(disks: Iterator[Disk]) -> None:
    found = [lost(disks, synchronous="FULL", seed=seed) for seed in range(ROUNDS)]
    assert found == [0] * ROUNDS


@pytest.mark.parametrize("weak", ["NORMAL", "OFF"])
def test_what_weaker_settings_lose_is_seen(disks: Iterator[Disk], weak: str) -> None:
    assert all(lost(disks, synchronous=weak, seed=seed) for seed in range(WEAK_ROUNDS))


# The order of what the system is asked for

_CALL: Final = re.compile(
    r"^(?P<pid>\d+) +(?:<\.\.\. )?(?P<name>\w+)(?:\(\d+<(?P<path>[^>]*)>| resumed>)"
)


def answered_before_synced(trace: str) -> int:
    """How many answers were given while something written to the `-wal` file was not synced."""
    dirty, early = False, 0
    syncing: set[str] = set()
    for line in trace.splitlines():
        if (call := _CALL.match(line)) is None:
            continue
        pid, name, path = call["pid"], call["name"], call["path"] or ""
        if name == "pwrite64" and path.endswith("-wal"):
            dirty = True
        elif name in {"fsync", "fdatasync"}:
            if path.endswith("-wal"):
                syncing.add(pid)
            if pid in syncing and "unfinished" not in line:
                syncing.discard(pid)
                dirty = False
        elif name == "write" and "pipe:" in path:
            early += dirty
    return early


def traced(folder: Path, *, synchronous: str) -> str:
    path = folder / "trace"
    calls = "trace=pwrite64,fsync,fdatasync,write"
    strace = ("strace", "-f", "-y", "-e", calls, "-s", "0", "-o", str(path))
    with started(str(folder / "log.db"), synchronous, str(TRACED), before=strace) as process:
        output, errors = process.communicate(timeout=120)
    if process.returncode:
        pytest.skip(f"system calls are not traced: {errors.decode().strip()[-200:]}")
    assert len(output.split()) == TRACED
    return path.read_text()


@pytest.mark.skipif(shutil.which("strace") is None, reason="there is no strace")
def test_nothing_is_acknowledged_before_it_was_synced(tmp_path: Path) -> None:
    trace = traced(tmp_path, synchronous="FULL")
    assert trace.count("-wal>") >= 2 * TRACED / AT_ONCE
    assert answered_before_synced(trace) == 0


@pytest.mark.skipif(shutil.which("strace") is None, reason="there is no strace")
def test_an_answer_before_the_sync_is_seen(tmp_path: Path) -> None:
    assert answered_before_synced(traced(tmp_path, synchronous="NORMAL")) >= TRACED / AT_ONCE
