"""kill -9 of a process that appends to a PostgreSQL log: at each hard step, and anywhere."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from diptych.messages import RecordedEvent
from diptych.store.contract import Appended
from diptych.store.postgres.store import PostgresEventStore
from diptych.testing.conformance.steps import log_of, opened
from tests.crash.test_sqlite_kill import APPENDS, append_number

WRITER = """
import asyncio, sys
from tests.crash.test_postgres_kill import write
asyncio.run(write(sys.argv[1], int(sys.argv[2])))
"""
MANY = 100_000


async def write(url: str, count: int) -> None:
    """Runs in the process that is killed: says each number once it is acknowledged."""
    async with PostgresEventStore(url) as store:
        for first in range(0, count, 3):
            numbers = range(first, first + 3)
            await asyncio.gather(*(store.append(append_number(number)) for number in numbers))
            print(*numbers, flush=True)


def started(url: str, count: int, failpoint: str = "") -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, url, str(count)],
        env={**environment, "DIPTYCH_FAILPOINTS": failpoint},
        stdout=subprocess.PIPE,
        text=True,
    )


def acknowledged_by(writer: subprocess.Popen[str]) -> list[int]:
    """What it said until it was killed."""
    said, _ = writer.communicate(timeout=60)
    assert writer.returncode == -signal.SIGKILL
    lines = said.splitlines(keepends=True)
    return [int(n) for line in lines if line.endswith("\n") for n in line.split()]


async def events_at(url: str) -> list[RecordedEvent]:
    async with opened(PostgresEventStore(url)) as store:
        return await log_of(store)


async def repeated_at(url: str, count: int) -> list[Appended]:
    """Append everything again, as clients do that got no answer."""
    async with opened(PostgresEventStore(url)) as store:
        return [await store.append(append_number(number)) for number in range(count)]


async def demand_all_once(url: str, acknowledged: list[int]) -> None:
    """Everything acknowledged is there once and whole, and a repeat of anything changes nothing."""
    events = await events_at(url)
    written = [int(event.stream.removeprefix("order-")) for event in events]
    assert set(acknowledged) <= set(written)
    assert [event.position for event in events] == list(range(1, len(events) + 1))
    assert all(written.count(number) == 2 for number in set(written))
    asked = max(APPENDS, *written) + 1 if written else APPENDS
    repeated = await repeated_at(url, asked)
    assert [n for n, outcome in enumerate(repeated) if outcome.repeated] == sorted(set(written))
    assert len(await events_at(url)) == 2 * asked


@pytest.mark.parametrize(
    "failpoint",
    [
        "create.before_commit=kill",
        "append.before_send=kill@2",
        "append.after_commit=kill@2",
        "append.after_commit=kill@3",
    ],
)
async def test_what_was_acknowledged_survives_a_kill_and_nothing_is_there_twice(
    postgres_url: str, failpoint: str
) -> None:
    writer = started(postgres_url, APPENDS, failpoint)
    await demand_all_once(postgres_url, await asyncio.to_thread(acknowledged_by, writer))


@pytest.fixture
def busy_writer(postgres_url: str) -> Iterator[subprocess.Popen[str]]:
    writer = started(postgres_url, MANY)
    yield writer
    writer.kill()
    writer.wait()


async def test_a_process_that_is_killed_anywhere_leaves_nothing_half_done(
    postgres_url: str, busy_writer: subprocess.Popen[str]
) -> None:
    assert busy_writer.stdout is not None
    told = [await asyncio.to_thread(busy_writer.stdout.readline) for _ in range(8)]
    busy_writer.kill()
    acknowledged = [int(number) for line in told for number in line.split()]
    await demand_all_once(
        postgres_url, acknowledged + await asyncio.to_thread(acknowledged_by, busy_writer)
    )
