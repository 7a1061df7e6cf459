"""Time, ids and waiting in tests."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from diptych import Clock
from diptych.testing import START, FixedClock, SequentialIds, wait_until


def test_time_stands_still_until_it_is_told_to_pass() -> None:
    clock: Clock = FixedClock()
    assert [clock.now(), clock.now(), clock.jitter()] == [START, START, 0.0]
    fixed = FixedClock()
    fixed.advance(timedelta(hours=1))
    assert fixed.now() == START + timedelta(hours=1)


def test_time_may_pass_with_every_look() -> None:
    clock = FixedClock(datetime(2026, 5, 1, 2, tzinfo=UTC), step=timedelta(seconds=2))
    assert [clock.now().second for _ in range(3)] == [0, 2, 4]


def test_the_time_is_in_utc_whatever_zone_it_starts_in() -> None:
    start = datetime(2026, 5, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    assert FixedClock(start).now().isoformat() == "2026-05-01T00:00:00+00:00"
    with pytest.raises(ValueError, match="aware"):
        FixedClock(datetime(2026, 5, 1))  # noqa: DTZ001


def test_ids_count_and_are_version_seven() -> None:
    ids = SequentialIds()
    first, second = next(ids), next(ids)
    assert first == UUID("00000000-0000-7000-8000-000000000001")
    assert (first.version, second.int - first.int) == (7, 1)
    assert FixedClock().new_id() == first


async def test_waiting_ends_when_the_condition_holds() -> None:
    asked: list[int] = []
    await wait_until(lambda: bool(asked) or bool(asked.append(1)))

    async def settled() -> bool:
        return True

    await wait_until(settled)


async def test_waiting_in_vain_fails_and_names_the_condition() -> None:
    def never() -> bool:
        return False

    with pytest.raises(AssertionError, match=r"never is not true after 0\.02 s"):
        await wait_until(never, timeout=0.02)
