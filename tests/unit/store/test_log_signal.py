"""The wake-up: nobody sleeps through it, and nobody polls in vain."""

import asyncio

import pytest

from diptych.errors import StorageBusy
from diptych.store.subscription import LogSignal


async def test_who_is_behind_does_not_wait() -> None:
    signal = LogSignal()
    signal.announce(5)
    async with asyncio.timeout(1):
        await signal.moved(4)


async def test_an_announcement_wakes_those_it_concerns() -> None:
    signal = LogSignal()
    near, far = (asyncio.create_task(signal.moved(after)) for after in (3, 10))
    await asyncio.sleep(0)
    signal.announce(4)
    async with asyncio.timeout(1):
        await near
    assert not far.done()
    signal.announce(11)
    async with asyncio.timeout(1):
        await far


async def test_what_another_process_appended_is_found_by_the_poll() -> None:
    heads = iter([3, 3, 3, 4])

    async def poll() -> int:
        return next(heads)

    signal = LogSignal(poll=poll, interval=lambda: 0.0001)
    async with asyncio.timeout(1):
        await signal.moved(3)


async def test_the_poll_runs_only_while_somebody_waits() -> None:
    polls = 0

    async def poll() -> int:
        nonlocal polls
        polls += 1
        return polls

    signal = LogSignal(poll=poll, interval=lambda: 0.0001)
    async with asyncio.timeout(1):
        await signal.moved(2)
        seen = polls
        await asyncio.sleep(0.01)
    assert polls <= seen + 1


@pytest.mark.parametrize("error", [StorageBusy("locked"), MemoryError()])
async def test_a_poll_that_fails_wakes_the_reader_who_will_meet_the_error(
    error: Exception,
) -> None:
    async def poll() -> int:
        raise error

    signal = LogSignal(poll=poll, interval=lambda: 0.0001)
    async with asyncio.timeout(1):
        await signal.moved(0)


async def test_close_wakes_everybody() -> None:
    signal = LogSignal()
    waiting = asyncio.create_task(signal.moved(0))
    await asyncio.sleep(0)
    async with asyncio.timeout(1):
        await signal.close()
        await waiting


async def test_everybody_is_woken_to_look_for_themselves() -> None:
    signal = LogSignal()
    waiting = asyncio.create_task(signal.moved(5))
    await _turns(10)
    signal.look()
    async with asyncio.timeout(1):
        await waiting


async def test_what_was_announced_counts_no_more_when_the_log_may_be_another() -> None:
    signal = LogSignal(poll=_nothing, interval=lambda: 60)
    signal.announce(9)
    signal.look()
    waiting = asyncio.create_task(signal.moved(3))
    await _turns(10)
    assert not waiting.done()
    waiting.cancel()
    await signal.close()


async def _nothing() -> int:
    return 0


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
