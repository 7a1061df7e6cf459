"""Turns: one at a time for each key, in order, and no turn is lost."""

import asyncio

from diptych.write.turns import Turns


async def take(turns: Turns, key: str) -> None:
    if not turns.begin(key):
        await turns.wait(key)


async def test_holders_of_one_key_follow_each_other_in_order() -> None:
    turns, seen = Turns(), []

    async def work(name: int) -> None:
        await take(turns, "a")
        try:
            seen.append(name)
            await asyncio.sleep(0)
            assert seen[-1] == name
        finally:
            turns.release("a")

    await asyncio.gather(*map(work, range(20)))
    assert seen == list(range(20))
    assert not turns.busy


async def test_other_keys_do_not_wait() -> None:
    turns = Turns()
    await take(turns, "a")
    async with asyncio.timeout(1):
        await take(turns, "b")
    turns.release("a")
    turns.release("b")
    assert not turns.busy


async def test_a_cancelled_waiter_passes_its_turn_on() -> None:
    turns = Turns()
    await take(turns, "a")
    gave_up, patient = (asyncio.create_task(take(turns, "a")) for _ in range(2))
    await asyncio.sleep(0)
    gave_up.cancel()
    await asyncio.sleep(0)
    turns.release("a")
    async with asyncio.timeout(1):
        await patient
    turns.release("a")
    assert not turns.busy


async def test_a_turn_that_comes_together_with_a_cancellation_is_passed_on() -> None:
    turns = Turns()
    await take(turns, "a")
    unlucky, patient = (asyncio.create_task(take(turns, "a")) for _ in range(2))
    await asyncio.sleep(0)
    turns.release("a")
    unlucky.cancel()
    async with asyncio.timeout(1):
        await patient
    turns.release("a")
    assert not turns.busy
