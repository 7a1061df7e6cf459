"""kill -9 while a view is rebuilt under load: of who rebuilds, of who projects, anywhere."""

import asyncio
import os
import random
import signal
from pathlib import Path
from typing import Final

import pytest

from diptych.operations import Operations
from diptych.testing.waiting import wait_until
from tests.crash.rebuilding import PAGES, POINTS, Load, Place, ended, killed, projects, rebuilds
from tests.integration.accounts import all_accounts, expected_accounts, head_token
from tests.soak import SOAK

ROUNDS: Final = int(os.environ.get("DIPTYCH_KILLS", 50 * SOAK))


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return Place(f"sqlite:///{tmp_path}/log.db", f"sqlite:///{tmp_path}/read.db")
    url: str = request.getfixturevalue("postgres_url")
    return Place(f"{url}?schema=log", f"{url}?schema=read")


@pytest.mark.soak
@pytest.mark.timeout(120 + 4 * ROUNDS)
async def test_kills_at_any_point_end_in_the_fold_over_the_log(place: Place) -> None:
    """Each second round kills the process that projects, too."""
    chance = random.Random(4)
    async with place.opened(project=False) as (store, side):
        load = Load(store, side, chance)
        await load.open_accounts(60, deposits=150)
        worker = projects(place)
        writing = asyncio.create_task(load.run())
        flips = 0
        for number in range(ROUNDS):
            builder = rebuilds(place, failpoint_of(number, chance))
            if number >= len(POINTS):
                await asyncio.sleep(chance.uniform(0.0, 0.6))
                builder.kill()
            await ended(builder)
            flips += builder.exitcode == 0
            assert builder.exitcode == -signal.SIGKILL or number >= len(POINTS)
            if number % 2:
                await killed(worker)
                worker = projects(place)
            assert not writing.done(), writing.exception()
        asked = load.asked
        await Operations(side).rebuild(["accounts"])
        await wait_until(lambda: load.asked > asked)
        load.ends = True
        await writing
        assert await all_accounts(side, await head_token(store)) == await expected_accounts(store)
        statuses = [each.status for each in await Operations(side).revisions()]
        assert statuses.count("serving") == 1
        assert statuses.count("building") == 0
        assert statuses.count("retired") > flips
        await killed(worker)


def failpoint_of(number: int, chance: random.Random) -> str:
    """Each of them once, the first or a later time; then none, but a kill at any moment."""
    if number >= len(POINTS):
        return ""
    hit = chance.randint(1, 2) if POINTS[number] in PAGES else 1
    return f"{POINTS[number]}=kill@{hit}"
