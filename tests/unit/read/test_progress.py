"""Progress: what is reported of something long, and when."""

import asyncio
from datetime import timedelta

import pytest

from diptych.read import progress
from diptych.read.progress import Meter, Progress


async def test_the_beginning_and_the_end_are_reported_and_what_is_between_now_and_then() -> None:
    told: list[Progress] = []
    meter = Meter("building", told.append)
    for done in range(101):
        meter.at(done, 100)
    assert [each.done for each in told] == [0, 100]
    assert (told[0].time_left, told[-1].time_left) == (None, timedelta(0))
    assert (told[-1].what, told[-1].share) == ("building", 1.0)


async def test_the_time_left_is_what_the_pace_of_late_takes_for_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "_EVERY", 0.01)
    told: list[Progress] = []
    meter = Meter("building", told.append)
    meter.at(0, 1000)
    await asyncio.sleep(0.02)
    meter.at(10, 1000)
    last = told[-1]
    assert 0 < last.per_second <= 500
    assert last.time_left == timedelta(seconds=990 / last.per_second)


async def test_nothing_at_all_is_done_at_once() -> None:
    told: list[Progress] = []
    Meter("building", told.append).at(0, 0)
    assert told[0].share == 1.0


async def test_nobody_needs_to_listen() -> None:
    Meter("building", None).at(1, 2)
