"""The hostile log in memory: it misbehaves in every way that the contract allows, and no other."""

# ruff: noqa: ASYNC110 - what is waited for happens between two turns of the event loop

import asyncio
from uuid import uuid4

import pytest

from diptych.errors import DiptychError, OutcomeUnknown
from diptych.messages import EventData, RecordedEvent
from diptych.store.contract import (
    ANY_VERSION,
    START,
    Append,
    CommandKey,
    CommandRecord,
    Load,
    Write,
)
from diptych.store.memory import Hostile, MemoryEventStore
from diptych.store.subscription import follow
from diptych.testing.waiting import wait_until


def placed(stream: str = "order-1") -> Append:
    event = EventData("Placed", b"{}", uuid4())
    record = CommandRecord(CommandKey("", "", uuid4()))
    return Append((Write(stream, (event,), ANY_VERSION),), command=record)


async def positions_of(store: MemoryEventStore, count: int) -> list[int]:
    return [(await store.append(placed())).point.position for _ in range(count)]


async def test_a_tame_log_is_dense_and_a_hostile_one_strides() -> None:
    async with MemoryEventStore() as tame, MemoryEventStore(hostile=Hostile()) as hostile:
        assert (tame.dense, hostile.dense) == (True, False)
        assert await positions_of(tame, 5) == [1, 2, 3, 4, 5]
        found = await positions_of(hostile, 20)
        steps = {later - earlier for earlier, later in zip([0, *found], found, strict=False)}
        assert len(steps) > 2
        assert max(steps) <= Hostile().stride


async def test_the_same_seed_misbehaves_in_the_same_way() -> None:
    found: list[list[int]] = []
    for seed in (1, 1, 2):
        async with MemoryEventStore(hostile=Hostile(seed=seed)) as store:
            found.append(await positions_of(store, 20))
    assert found[0] == found[1] != found[2]


async def test_a_commit_takes_effect_before_it_is_visible_and_acknowledged() -> None:
    seen_early = 0
    async with MemoryEventStore(hostile=Hostile(late_visibility=6)) as store:
        for n in range(20):
            appending = asyncio.create_task(store.append(placed(f"order-{n}")))
            while not (await store.load(Load(f"order-{n}"))).version:
                await asyncio.sleep(0)
            loaded = await store.load(Load(f"order-{n}"))
            if (await store.head()).position < loaded.point.position:
                assert not appending.done()
                seen_early += 1
            acknowledged = await appending
            assert (await store.head()) == acknowledged.point
    assert seen_early > 5


async def test_who_knows_a_point_that_is_not_visible_yet_may_read_on_from_it() -> None:
    async with MemoryEventStore(hostile=Hostile(late_visibility=9, seed=3)) as store:
        appending = asyncio.create_task(store.append(placed()))
        while not (known := (await store.load(Load("order-1"))).point).position:
            await asyncio.sleep(0)
        page = await store.read(after=known)
        assert (list(page.events), page.scanned, page.head) == ([], known, known.position)
        await appending


async def test_pages_are_short_or_empty_and_add_up() -> None:
    async with MemoryEventStore(hostile=Hostile()) as store:
        for n in range(60):
            await store.append(placed("rare-1" if n % 20 == 0 else "order-1"))
        lengths: list[int] = []
        point, head = START, await store.head()
        while point != head:
            page = await store.read(after=point, categories=frozenset({"rare"}))
            lengths.append(len(page.events))
            point = page.scanned
        assert sum(lengths) == 3
        assert 0 in lengths


async def test_a_lost_answer_means_done_or_not_done_or_done_later() -> None:
    fates: set[str] = set()
    async with MemoryEventStore(hostile=Hostile(unknown_outcomes=1)) as store:
        for n in range(40):
            append = placed(f"order-{n}")
            assert append.command is not None
            with pytest.raises(OutcomeUnknown) as caught:
                await store.append(append)
            assert caught.value.command_id == append.command.key.command_id
            if await store.find(append.command.key):
                fates.add("now")
                continue
            for _ in range(30):
                await asyncio.sleep(0)
            fates.add("later" if await store.find(append.command.key) else "never")
    assert fates == {"now", "later", "never"}


async def test_no_follower_misses_or_repeats_an_event() -> None:
    hostile = Hostile(seed=4, late_visibility=5, unknown_outcomes=0.2)
    async with MemoryEventStore(hostile=hostile) as store:
        seen: list[RecordedEvent] = []

        async def run() -> None:
            async for page in follow(store, limit=4):
                seen.extend(page.events)

        async def write(writer: int) -> None:
            for _ in range(25):
                try:
                    await store.append(placed(f"order-{writer}"))
                except DiptychError:
                    await asyncio.sleep(0)

        following = asyncio.create_task(run())
        await asyncio.gather(*map(write, range(4)))
        await wait_until(lambda: not store._late)
        log = store._log.events
        await wait_until(lambda: len(seen) == len(log))
        following.cancel()
        assert seen == log


async def test_a_log_that_is_closed_and_opened_again_is_still_there() -> None:
    store = MemoryEventStore()
    async with store:
        first = await store.append(placed())
    async with store:
        assert await store.head() == first.point
        await store.moved(0)
    assert "nothing survives" in store.durability


async def test_a_close_that_was_given_up_leaves_no_follower_waiting() -> None:
    store = MemoryEventStore(hostile=Hostile(seed=1, late_visibility=30, short_pages=False))
    await store.open()
    follower = asyncio.create_task(store.moved(1000))
    append = asyncio.create_task(store.append(placed()))
    await asyncio.sleep(0)
    closing = asyncio.create_task(store.close())
    await asyncio.sleep(0)
    closing.cancel()
    async with asyncio.timeout(1):
        await asyncio.gather(append, follower)
