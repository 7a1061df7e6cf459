"""kill -9 around a snapshot: what was acknowledged is there, and the state is the fold of it."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from diptych import Application
from tests.unit.write.account import Deposit, NotEnough, Withdraw
from tests.unit.write.test_snapshots import keeping

WRITER = """
import asyncio, sys
from tests.crash.test_snapshot_kill import write
asyncio.run(write(sys.argv[1]))
"""
STEPS = ["snapshot.before_encode", "snapshot.before_keep", "snapshot.after_keep"]


def bank(url: str) -> Application:
    return Application(log=url, write=[keeping(5)], project=False)


async def write(url: str) -> None:
    """Runs in the process that is killed: says each deposit once it is acknowledged."""
    async with bank(url) as app:
        for number in range(1, 100):
            await app.dispatch(Deposit("a", 1))
            print(number, flush=True)
            await asyncio.sleep(0.005)


def killed_at(failpoint: str, url: str) -> int:
    """How many deposits were acknowledged."""
    ended = subprocess.run(
        [sys.executable, "-c", WRITER, url],
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
    return len(ended.stdout.split())


async def balance(url: str, at_least: int) -> int:
    async with bank(url) as app:
        found = (await app.log.head()).position
        assert at_least <= found <= at_least + 1
        with pytest.raises(NotEnough):
            await app.dispatch(Withdraw("a", found + 1))
        await app.dispatch(Withdraw("a", found))
        await app.dispatch(Deposit("a", found))
    return found


@pytest.mark.parametrize("log", ["sqlite", "postgres"])
@pytest.mark.parametrize("step", STEPS)
def test_a_kill_around_a_snapshot_loses_nothing(
    request: pytest.FixtureRequest, tmp_path: Path, log: str, step: str
) -> None:
    url = f"sqlite:///{tmp_path / 'log.db'}"
    if log == "postgres":
        url = request.getfixturevalue("postgres_url")
    asyncio.run(balance(url, killed_at(f"{step}=kill@2", url)))
