"""Several openings of one log at once, as several processes have it."""

import asyncio
from collections.abc import AsyncGenerator

import pytest_asyncio
from msgspec.structs import replace

from diptych.errors import ConcurrencyError
from diptych.messages import RecordedEvent
from diptych.store.contract import EventStore
from diptych.store.subscription import follow
from diptych.testing.conformance.steps import (
    NewStore,
    Suite,
    add,
    at_once,
    happened,
    load,
    log_of,
    opened,
    outcomes,
    settle,
    to,
    turns,
    until,
)

_HINT_SECONDS = 1.0


class SharedSuite(Suite):
    @pytest_asyncio.fixture
    async def other(self, store: EventStore, new_store: NewStore) -> AsyncGenerator[EventStore]:
        async with opened(new_store()) as other:
            assert other.log_id == store.log_id
            yield other


class SharedConformance(SharedSuite):
    """For durable stores whose log may be open more than once at a time."""

    async def test_what_one_opening_appends_is_there_for_the_other(
        self, store: EventStore, other: EventStore
    ) -> None:
        for version in range(6):
            writer, reader = (store, other) if version % 2 else (other, store)
            outcome = await settle(writer, add(to("order-1", expecting=version)))
            for opening in (reader, writer):
                assert (await load(opening, "order-1")).point == outcome.point
                assert await opening.head() == outcome.point

    async def test_of_racers_on_two_openings_exactly_one_wins(
        self, store: EventStore, other: EventStore
    ) -> None:
        for version in range(6):
            racers = [add(to("order-1", expecting=version)) for _ in range(6)]
            calls = (settle((store, other)[n % 2], append) for n, append in enumerate(racers))
            answers = await at_once(*calls)
            assert len(outcomes(answers)) == 1
            assert sum(isinstance(answer, ConcurrencyError) for answer in answers) == 5

    async def test_a_command_that_is_repeated_at_another_opening_takes_effect_once(
        self, store: EventStore, other: EventStore
    ) -> None:
        append = add(to("order-1", expecting=0))
        first = await settle(store, append)
        assert await settle(other, append) == replace(first, repeated=True)
        twins = add(to("order-2", expecting=0))
        answers = await at_once(settle(store, twins), settle(other, twins))
        assert len({answer.point for answer in outcomes(answers)}) == 1
        assert len(await log_of(store)) == 2

    async def test_an_append_by_another_opening_wakes_who_waits(
        self, store: EventStore, other: EventStore
    ) -> None:
        waiting = asyncio.create_task(store.moved((await store.head()).position))
        await turns(10)
        await settle(other, add(to("order-1")))
        async with asyncio.timeout(_HINT_SECONDS):
            await waiting

    async def test_no_follower_misses_what_two_openings_write(
        self, store: EventStore, other: EventStore
    ) -> None:
        seen: list[RecordedEvent] = []

        async def run() -> None:
            async for page in follow(store, limit=3):
                seen.extend(page.events)

        following = asyncio.create_task(run())
        await at_once(*(_write((store, other)[n % 2], n) for n in range(4)))
        log = await log_of(other)
        await until(lambda: len(seen) >= len(log))
        following.cancel()
        assert seen == log
        assert len(log) == 80


async def _write(store: EventStore, writer: int) -> None:
    for _ in range(10):
        await settle(store, add(to(f"order-{writer}", happened()), to("shared-1", happened())))
        await turns(writer)
