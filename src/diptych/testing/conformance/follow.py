"""Waiting for the log to move: woken by the append, asleep otherwise."""

import asyncio
from contextlib import suppress

from diptych.store.contract import EventStore
from diptych.testing.conformance.steps import Suite, add, deadline, settle, to, turns

_PROMPT = 0.05
"""Seconds; a store of this process that polls would need a shorter interval than is sensible."""


class FollowConformance(Suite):
    async def test_who_is_behind_the_head_does_not_wait(self, store: EventStore) -> None:
        first = await settle(store, add(to("order-1")))
        await settle(store, add(to("order-1")))
        async with deadline():
            await store.moved(0)
            await store.moved(first.point.position)

    async def test_an_append_wakes_everyone_who_waits(self, store: EventStore) -> None:
        head = (await settle(store, add(to("order-1")))).point.position
        waiting = [asyncio.create_task(store.moved(head)) for _ in range(10)]
        await turns(10)
        await settle(store, add(to("order-1")))
        async with deadline():
            await asyncio.gather(*waiting)

    async def test_a_waiter_is_woken_by_the_append_and_not_by_a_poll(
        self, store: EventStore
    ) -> None:
        delays = sorted([await _delay(store) for _ in range(9)])
        assert delays[len(delays) // 2] < _PROMPT

    async def test_a_waiter_that_gives_up_leaves_the_others_waiting(
        self, store: EventStore
    ) -> None:
        head = (await store.head()).position
        patient, other = (asyncio.create_task(store.moved(head)) for _ in range(2))
        await turns(10)
        other.cancel()
        with suppress(asyncio.CancelledError):
            await other
        await settle(store, add(to("order-1")))
        async with deadline():
            await patient

    async def test_a_quiet_log_lets_its_followers_sleep(self, store: EventStore) -> None:
        head = (await settle(store, add(to("order-1")))).point.position
        woken = 0

        async def count() -> None:
            nonlocal woken
            while True:
                await store.moved(head)
                woken += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        await turns(400)
        counting.cancel()
        assert woken <= 40


async def _delay(store: EventStore) -> float:
    """Seconds from the answer to an append until a waiter of this process knows."""
    loop = asyncio.get_running_loop()
    waiting = asyncio.create_task(store.moved((await store.head()).position))
    await turns(10)
    await settle(store, add(to("order-1")))
    answered = loop.time()
    async with deadline():
        await waiting
    return loop.time() - answered
