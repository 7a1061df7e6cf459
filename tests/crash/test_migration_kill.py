"""kill -9 of a process that migrates a log: the log is of the old version or of the new one."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from diptych.backends import migrate_log, open_log
from diptych.clock import SystemClock
from diptych.testing.conformance.steps import log_of, opened
from tests.golden.logs import events_of, postgres_log, sqlite_log
from tests.servers.postgres import PostgresServer

MIGRATE = """
import asyncio, sys
from diptych.backends import migrate_log, open_log
from diptych.clock import SystemClock
asyncio.run(migrate_log(open_log(sys.argv[1], SystemClock())))
"""


def kill_at(failpoint: str, url: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", MIGRATE, url],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "DIPTYCH_FAILPOINTS": f"{failpoint}=kill",
        },
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr


async def migrated_at_last(url: str) -> None:
    store = open_log(url, SystemClock())
    assert await migrate_log(store) == (1, 2)
    async with opened(store):
        assert len(await log_of(store)) == len(list(events_of(1)))


@pytest.mark.parametrize("failpoint", ["migrate.before_step", "migrate.before_commit"])
def test_a_killed_migration_of_a_file_can_be_run_again(tmp_path: Path, failpoint: str) -> None:
    url = sqlite_log(1, tmp_path / "log.db")
    kill_at(failpoint, url)
    asyncio.run(migrated_at_last(url))


@pytest.mark.parametrize("failpoint", ["migrate.before_step", "migrate.before_commit"])
def test_a_killed_migration_in_postgresql_can_be_run_again(
    postgres: PostgresServer, postgres_url: str, failpoint: str
) -> None:
    url = postgres_log(1, postgres_url, postgres)
    kill_at(failpoint, url)
    asyncio.run(migrated_at_last(url))
