"""Several real processes on one log and one read database: as safe as one, on both databases."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from diptych.testing.waiting import wait_until
from tests.integration.processes import Process, Setting, processes


@pytest.fixture(params=["sqlite", "postgresql"])
def setting(request: pytest.FixtureRequest, tmp_path: Path) -> Setting:
    """A log and a read database that are not there yet."""
    if request.param == "sqlite":
        return Setting(f"sqlite:///{tmp_path}/log.db", f"sqlite:///{tmp_path}/read.db")
    url: str = request.getfixturevalue("postgres_url")
    return Setting(url, url)


async def holds(*those: Process) -> list[int]:
    return [await each.do("holds") for each in those]


def shares(*those: Process, total: list[int]) -> Callable[[], Awaitable[bool]]:
    async def are_as_expected() -> bool:
        return sorted(await holds(*those)) == total

    return are_as_expected


async def holder_first(*those: Process) -> list[Process]:
    held = await holds(*those)
    return [each for _, each in sorted(zip(held, those, strict=True), key=lambda pair: -pair[0])]


async def test_processes_that_open_fresh_databases_at_once_share_them(setting: Setting) -> None:
    """Two web workers, a projector and a script: each reads what it wrote, whoever projects it."""
    web = replace(setting, project=False)
    async with processes(web, web, setting, setting) as started:
        account = await started[0].do("open_account")
        seen = await asyncio.gather(*[each.do("deposit", account, 15) for each in started])
        assert all(own == sorted(own) for own in seen)
        assert max(own[-1] for own in seen) == 60
        assert [await each.do("deposits", account) for each in started] == [60] * 4
        for each in started:
            assert await each.do("agrees")
            assert await each.do("ready")


async def test_views_and_partitions_are_shared_and_taken_over_from_a_process_that_is_killed(
    setting: Setting,
) -> None:
    split = replace(setting, partitions=4, copies=2)
    async with processes(split, split) as (one, other):
        await wait_until(shares(one, other, total=[3, 3]), poll=0.05)
        accounts = [await one.do("open_account") for _ in range(8)]
        for number, account in enumerate(accounts):
            process = (one, other)[number % 2]
            assert await process.do("deposit", account, 3) == [1, 2, 3]
        await one.kill()
        for account in accounts:
            assert await other.do("deposit", account, 2) == [4, 5]
        assert await holds(other) == [6]
        assert await other.do("agrees")


async def test_a_holder_that_is_killed_in_mid_load_loses_and_repeats_nothing(
    setting: Setting,
) -> None:
    async with processes(setting, setting, setting) as started:
        victim, worker, observer = await holder_first(*started)
        account = await observer.do("open_account")
        dying = asyncio.create_task(victim.do("deposit", account, 10_000))
        working = asyncio.create_task(worker.do("deposit", account, 30))

        async def some_are_there() -> bool:
            return bool(await observer.do("deposits", account) >= 10)

        await wait_until(some_are_there)
        await victim.kill()
        with pytest.raises(EOFError):
            await dying
        seen = await working
        assert seen == sorted(set(seen))
        assert len(seen) == 30
        assert await observer.do("agrees")
        assert sorted(await holds(worker, observer)) == [0, 1]


async def test_a_process_that_slept_for_longer_than_its_lease_has_no_effect_when_it_wakes(
    setting: Setting,
) -> None:
    async with processes(setting, setting) as started:
        zombie, heir = await holder_first(*started)
        account = await heir.do("open_account")
        assert await zombie.do("deposit", account, 3) == [1, 2, 3]
        zombie.signal(signal.SIGSTOP)
        assert await heir.do("deposit", account, 3) == [4, 5, 6]
        assert await holds(heir) == [1]
        zombie.signal(signal.SIGCONT)
        assert await zombie.do("deposit", account, 3) == [7, 8, 9]
        await wait_until(shares(zombie, heir, total=[0, 1]), poll=0.05)
        for each in (zombie, heir):
            assert await each.do("agrees")


async def test_the_next_start_after_a_crash_of_everything_goes_on_at_once(setting: Setting) -> None:
    """No lease is waited for: the processes that held them are seen to be gone."""
    forever = replace(setting, lease_ttl=3_600)
    async with processes(forever, forever) as started:
        account = await started[0].do("open_account")
        assert await started[1].do("deposit", account, 3) == [1, 2, 3]
        for each in started:
            await each.kill()
    async with processes(forever) as (again,):
        assert await holds(again) == [1]
        assert await again.do("deposit", account, 1) == [4]


async def test_a_restart_of_each_process_in_turn_stops_nothing(setting: Setting) -> None:
    """As a deploy does it: end one, which gives back what it holds, and start the next."""
    async with processes(setting) as (steady,):
        account, expected = await steady.do("open_account"), 0
        for _ in range(3):
            async with processes(setting) as (newcomer,):
                for each in (steady, newcomer):
                    expected += 2
                    assert await each.do("deposit", account, 2) == [expected - 1, expected]
        assert await steady.do("agrees")


STEPS = [
    "register.before_commit",
    "leases.before_commit",
    "projector.after_read@5",
    "projector.before_write@5",
    "projector.before_checkpoint@5",
    "projector.before_commit@5",
    "projector.after_commit@5",
]


@pytest.mark.parametrize(
    ("setting", "failpoint"),
    [*(("sqlite", step) for step in STEPS), *(("postgresql", step) for step in STEPS[1::4])],
    indirect=["setting"],
)
async def test_a_kill_at_any_step_is_taken_up_by_the_next_process(
    setting: Setting, failpoint: str
) -> None:
    """Its lease would last for an hour, but the next one sees that it is gone."""
    name, _, hit = failpoint.partition("@")
    killed = replace(setting, lease_ttl=3_600, failpoints=f"{name}=kill@{hit or 1}")
    with pytest.raises(EOFError):
        victim = await Process.start(killed)
        await victim.do("deposit", await victim.do("open_account"), 1_000)
    async with processes(replace(killed, failpoints="")) as (heir,):
        assert await heir.do("agrees")
        account = await heir.do("open_account")
        assert await heir.do("deposit", account, 2) == [1, 2]
        assert await heir.do("agrees")
