"""kill -9 at each hard step of the SQLite log: what was acknowledged is there, once, in order."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from uuid import UUID, uuid5

import pytest

from diptych.messages import EventData, RecordedEvent
from diptych.sqlite_library import sqlite
from diptych.store.contract import Append, Appended, CommandKey, CommandRecord, Write
from diptych.store.sqlite.store import SqliteEventStore

APPENDS = 12
WRITER = """
import asyncio, sys
from diptych.store.sqlite import committing
from tests.crash.test_sqlite_kill import write
committing.MEASURE_EVERY = committing.CHECKPOINT_PAGES = 1  # copy after each commit
asyncio.run(write(sys.argv[1]))
"""
_NAMES = UUID(int=7)


def append_number(number: int) -> Append:
    """Always the same: two events for a stream of its own, under a command id of its own."""
    ids = [uuid5(_NAMES, f"{number}.{place}") for place in range(3)]
    events = tuple(EventData("Placed", b'{"n":%d}' % number, each, ("all",)) for each in ids[:2])
    record = CommandRecord(CommandKey("", "writer", ids[2]), b"digest")
    return Append((Write(f"order-{number}", events, 0),), command=record)


async def write(path: str) -> None:
    """Runs in the process that is killed: says each number once it is acknowledged."""
    async with SqliteEventStore(path) as store:
        for first in range(0, APPENDS, 3):
            numbers = range(first, first + 3)
            await asyncio.gather(*(store.append(append_number(number)) for number in numbers))
            print(*numbers, flush=True)


def killed_writer(path: Path, failpoint: str) -> list[int]:
    """The numbers that were acknowledged before `failpoint` killed the process."""
    ended = subprocess.run(
        [sys.executable, "-c", WRITER, str(path)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "DIPTYCH_FAILPOINTS": failpoint,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    return [int(number) for number in ended.stdout.split()]


async def events_at(path: Path) -> list[RecordedEvent]:
    async with SqliteEventStore(path) as store:
        return list((await store.read()).events)


async def repeated_at(path: Path) -> list[Appended]:
    """Append everything again, as clients do that got no answer."""
    async with SqliteEventStore(path) as store:
        return [await store.append(append_number(number)) for number in range(APPENDS)]


@pytest.mark.parametrize(
    "failpoint",
    [
        "create.before_commit=kill",
        "append.before_begin=kill@2",
        "append.after_begin=kill@2",
        "append.before_commit=kill@3",
        "append.after_commit=kill@3",
        "checkpoint.before=kill",
        "checkpoint.after=kill",
    ],
)
def test_what_was_acknowledged_survives_a_kill_and_nothing_is_there_twice(
    tmp_path: Path, failpoint: str
) -> None:
    path = tmp_path / "log.db"
    acknowledged = killed_writer(path, failpoint)
    events = asyncio.run(events_at(path))
    written = [int(event.stream.removeprefix("order-")) for event in events]
    assert set(acknowledged) <= set(written)
    assert [event.position for event in events] == list(range(1, len(events) + 1))
    assert all(written.count(number) == 2 for number in written)
    repeated = asyncio.run(repeated_at(path))
    assert [n for n, outcome in enumerate(repeated) if outcome.repeated] == sorted(set(written))
    assert len(asyncio.run(events_at(path))) == 2 * APPENDS
    with closing(sqlite.connect(str(path))) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
