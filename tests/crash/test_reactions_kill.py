"""kill -9 of processes that run a reaction: each event is handled, in order for its stream."""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from diptych.backends import open_log
from diptych.clock import SystemClock
from diptych.failpoints import FailpointError, armed, fail
from diptych.flow.side import FlowSide
from diptych.store.contract import EventStore
from diptych.testing.waiting import wait_until
from tests.crash.reacting import TTL, reaction
from tests.integration.reactions import in_order, place, reacting, status
from tests.servers import forks
from tests.servers.forks import Forked
from tests.soak import SOAK

STREAMS = ("order-a", "order-b", "order-bad")


@pytest.fixture(params=["sqlite", "postgresql"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a log that is not there yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/log.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@asynccontextmanager
async def appending(log: str) -> AsyncIterator[EventStore]:
    store = open_log(log, SystemClock())
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def started(log: str, world: Path, failpoint: str = "") -> AsyncIterator[Forked]:
    environment = {**os.environ, "DIPTYCH_FAILPOINTS": failpoint}
    child = forks.start("tests.crash.reacting", log, str(world), environment=environment)
    try:
        yield child
    finally:
        child.kill()
        await asyncio.to_thread(child.communicate)


async def runs(child: Forked) -> None:
    async with asyncio.timeout(30):
        assert await asyncio.to_thread(child.stdout.readline) == "runs\n"


def handled(world: Path) -> list[tuple[int, str, int]]:
    """Process, stream and version of what was handled, in the order in which it was."""
    lines = world.read_text().split("\n")[:-1] if world.exists() else []
    parts = [line.split(" ") for line in lines]
    return [(int(process), stream, int(version)) for process, stream, version in parts]


async def is_done(side: FlowSide) -> bool:
    return (await status(side)).lag == timedelta(0)


async def demand_all(log: str, world: Path, versions: int) -> None:
    """Let a last process finish; then each event was handled, in order, or is set aside in order
    and can be worked off."""
    async with appending(log) as store, started(log, world) as last:
        await runs(last)
        async with reacting(store, reaction(world, refuse=False), react=False) as operator:
            await wait_until(lambda: is_done(operator), timeout=30, poll=0.02)
            (parked,) = await operator.parked("mail")
            assert (parked.first, parked.through) == (2, versions)
            assert {v for _, name, v in handled(world) if name == "order-bad"} == {1}
            assert await operator.retry("mail", stream="order-bad") == versions - 1
    done = [(stream, version) for _, stream, version in handled(world)]
    assert set(done) == {(name, v) for name in STREAMS for v in range(1, versions + 1)}
    assert in_order(done)


STEPS = [
    "reaction.after_read=kill@2",
    "reaction.before_handle=kill@5",
    "reaction.after_handle=kill@5",
    "reaction.before_save=kill@2",
    "reaction.after_park=kill",
    "cursors.before_commit=kill@4",
    "cursors.after_commit=kill@5",
]


@pytest.mark.parametrize(
    ("log", "failpoint"),
    [*(("sqlite", step) for step in STEPS), *(("postgresql", step) for step in STEPS[2::2])],
    indirect=["log"],
)
async def test_a_kill_at_any_step_loses_nothing(log: str, tmp_path: Path, failpoint: str) -> None:
    world, versions = tmp_path / "world", 0
    async with appending(log) as store, started(log, world, failpoint) as victim:
        await runs(victim)
        while victim.returncode is None:
            versions += 1
            for stream in STREAMS:
                await place(store, stream)
            assert versions < 200, "it was not killed"
            await asyncio.sleep(0.02)
        assert victim.returncode == -signal.SIGKILL
        for stream in STREAMS:
            await place(store, stream, 2)
    await demand_all(log, world, versions + 2)


@pytest.mark.soak
async def test_kills_anywhere_lose_nothing(log: str, tmp_path: Path) -> None:
    world, versions, chance = tmp_path / "world", 0, random.Random(7)
    async with appending(log) as store:
        for _ in range(5 * SOAK):
            async with started(log, world) as victim:
                await runs(victim)
                until = asyncio.get_running_loop().time() + chance.uniform(0.01, 0.3)
                while asyncio.get_running_loop().time() < until:
                    versions += 1
                    for stream in STREAMS:
                        await place(store, stream)
                victim.kill()
    await demand_all(log, world, versions)


async def test_who_slept_for_longer_than_its_lease_begins_nothing_when_it_wakes(
    log: str, tmp_path: Path
) -> None:
    world = tmp_path / "world"

    def by(child: Forked) -> int:
        return len([pid for pid, _, _ in handled(world) if pid == child.pid])

    async with appending(log) as store, started(log, world) as sleeper:
        await runs(sleeper)
        await place(store, "order-a")
        await wait_until(lambda: by(sleeper) == 1)
        async with started(log, world) as heir:
            await runs(heir)
            sleeper.send_signal(signal.SIGSTOP)
            await place(store, "order-b", 3)
            await wait_until(lambda: by(heir) == 3, timeout=10 * TTL)
            before = by(sleeper)
            sleeper.send_signal(signal.SIGCONT)
            for _ in range(30):
                await place(store, "order-a")
                await asyncio.sleep(0.02)
            await wait_until(lambda: by(heir) == 33)
            assert by(sleeper) == before
    assert in_order([(stream, version) for _, stream, version in handled(world)])


async def test_an_operator_who_is_killed_in_mid_work_leaves_the_rest_to_the_next(
    log: str, tmp_path: Path
) -> None:
    world = tmp_path / "world"
    async with appending(log) as store:
        await place(store, "order-bad", 5)
        async with started(log, world) as child:
            await runs(child)
            async with reacting(store, reaction(world, refuse=False), react=False) as operator:
                await wait_until(lambda: is_done(operator), timeout=30, poll=0.02)
                with (
                    armed("reaction.before_work_off", fail, on=3),
                    pytest.raises(FailpointError),
                ):
                    await operator.retry("mail", stream="order-bad")
                (left,) = await operator.parked("mail")
                assert (left.first, left.through) == (4, 5)
                assert await operator.retry("mail", stream="order-bad") == 2
    assert [version for _, _, version in handled(world)] == [1, 2, 3, 4, 5]
