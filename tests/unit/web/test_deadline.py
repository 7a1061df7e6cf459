"""A deadline bounds many tasks by one time, and takes nothing else for its own doing."""

import asyncio

import pytest

from diptych.web.deadline import Deadline, Limited


async def for_ever() -> None:
    await asyncio.get_running_loop().create_future()


async def over(deadline: Deadline, *, began: float | None = None) -> Limited:
    limited = deadline.limit(began=began)
    with pytest.raises(TimeoutError), limited:
        await for_ever()
    return limited


async def test_who_takes_too_long_is_ended_and_told_so() -> None:
    limited = await over(Deadline(0.02))
    assert limited.over
    assert not asyncio.current_task().cancelling()  # type: ignore[union-attr]


async def test_many_are_ended_and_the_next_ones_too() -> None:
    deadline = Deadline(0.02)
    for _ in range(3):
        found = await asyncio.gather(*(over(deadline) for _ in range(20)))
        assert all(each.over for each in found)
        await asyncio.sleep(0.03)  # until nobody is in there, and the timer has gone


async def test_who_is_quick_enough_is_left_alone() -> None:
    deadline = Deadline(0.05)
    for _ in range(20):
        with deadline.limit() as limited:
            await asyncio.sleep(0.005)
        assert not limited.over


async def test_a_time_that_began_earlier_is_up_earlier() -> None:
    deadline, now = Deadline(0.5), asyncio.get_running_loop().time()
    await over(deadline, began=now - 10)
    assert asyncio.get_running_loop().time() - now < 0.4


async def test_a_cancellation_by_somebody_else_stays_one() -> None:
    deadline = Deadline(10)

    async def waiting() -> None:
        with deadline.limit():
            await for_ever()

    task = asyncio.create_task(waiting())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_of_what_it_bounds_goes_through() -> None:
    with pytest.raises(KeyError), Deadline(10).limit():
        raise KeyError


def test_one_deadline_serves_one_event_loop_after_the_other() -> None:
    deadline = Deadline(0.02)
    for _ in range(2):
        asyncio.run(over(deadline))
