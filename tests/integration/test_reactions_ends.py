"""How reactions end: without beginning anew, and without what was discarded meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta

import pytest

from diptych.clock import SystemClock
from diptych.errors import StorageUnavailable
from diptych.flow import calling
from diptych.flow.lease import Lease
from diptych.flow.reactor import Reactor
from diptych.flow.status import ReactionState
from diptych.store.contract import EventStore
from diptych.store.cursors import Cursor, cursors_of
from diptych.store.memory import MemoryEventStore
from diptych.store.memory_cursors import MemoryCursors
from diptych.testing.waiting import wait_until
from diptych.worker import Worker
from tests.integration.reactions import (
    QUICK,
    World,
    mail,
    place,
    reacting,
    refusing,
    settle,
    soon,
    status,
    until_saved,
    until_state,
)


async def test_a_stop_begins_nothing_that_was_waiting_for_its_turn(
    reaction_store: EventStore,
) -> None:
    world, gate = World(), asyncio.Event()

    async def hold(stream: str, version: int) -> None:
        await gate.wait()

    world.refuse = hold
    await place(reaction_store, "order-1")
    await place(reaction_store, "order-2")
    async with reacting(reaction_store, mail(world, concurrency=1)) as side:
        await soon(lambda: len(world.attempts) == 1)
        await asyncio.sleep(0.05)
        closing = asyncio.create_task(side.close())
        await asyncio.sleep(0.05)
        gate.set()
        await closing
    assert len(world.attempts) == 1


async def test_who_stops_keeps_the_cursor_until_what_has_begun_is_done(
    reaction_store: EventStore,
) -> None:
    """Also if that takes longer than a lease: else two would handle one event at once."""
    world, gate, heir = World(), asyncio.Event(), World()

    async def hold(stream: str, version: int) -> None:
        await gate.wait()

    world.refuse = hold
    await place(reaction_store, "order-1")
    async with (
        reacting(reaction_store, mail(world), grace=10 * QUICK) as side,
        reacting(reaction_store, mail(heir)),
    ):
        await soon(lambda: len(world.attempts) + len(heir.attempts) == 1)
        closing = asyncio.create_task(side.close())
        await asyncio.sleep(3 * QUICK)
        assert heir.attempts == []
        gate.set()
        await closing
        await place(reaction_store, "order-1")
        await soon(lambda: bool(heir.done))
    assert (world.done, heir.done) == ([("order-1", 1)], [("order-1", 2)])


async def test_what_is_discarded_behind_the_back_of_its_holder_is_not_handled(
    reaction_store: EventStore,
) -> None:
    """The holder was told that it is parked, and comes to it after the discard."""
    gate, world = asyncio.Event(), World()

    async def refuse(stream: str, version: int) -> None:
        if stream == "order-0":
            await gate.wait()
        await refusing(("order-1", 1))(stream, version)

    await place(reaction_store, "order-0")
    await place(reaction_store, "order-1", 2)
    reaction = mail(World(refuse=refuse), on_error="park")
    async with reacting(reaction_store, reaction, grace=0.1) as side:

        async def is_parked() -> bool:
            return (await status(side)).parked_events == 2

        await wait_until(is_parked, poll=0.02)
    cursors = cursors_of(reaction_store)
    held = await cursors.take("mail", Worker.here(), ttl=60.0)
    assert held is not None
    async with reacting(reaction_store, reaction, react=False) as side:
        await side.discard("mail", stream="order-1", reason="a test order")
    lease = Lease()
    lease.renewed(float("inf"))
    heir = mail(world, on_error="park")
    reactor = Reactor(heir, held, lease=lease, store=reaction_store, clock=SystemClock())
    running = asyncio.create_task(reactor.run())

    async def is_done() -> bool:
        (cursor,) = await cursors.look()
        head = await reaction_store.head()
        return cursor.point.position == head.position

    await wait_until(is_done, poll=0.02)
    reactor.end()
    await running
    assert world.done == [("order-0", 1)]


async def test_an_event_that_was_discarded_is_not_worked_off_with_its_stream(
    reaction_store: EventStore,
) -> None:
    """It could not join its stream, so the reaction stopped at it; later ones joined."""
    world = World(refuse=refusing(("order-1", 1)))
    await place(reaction_store, "order-1", 2)
    async with reacting(reaction_store, mail(world, on_error="park", parked_events=1)) as side:
        await until_state(side, ReactionState.STOPPED)
        await side.discard("mail", stream=None, reason="a test order")
        await until_saved(side, reaction_store)
    async with reacting(reaction_store, mail(world, on_error="park", parked_events=9)) as side:
        await place(reaction_store, "order-1")
        await until_saved(side, reaction_store)
        world.refuse = None
        assert await side.retry("mail", stream="order-1") == 2
        assert await side.parked("mail") == ()
    assert world.done == [("order-1", 1), ("order-1", 3)]


async def test_a_look_from_before_it_stopped_does_not_start_it_again(
    store: MemoryEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only an operator does, or the next process."""
    world = World(refuse=refusing(("order-1", 1)))
    look, slow = store.cursors.look, True

    async def look_slowly() -> Sequence[Cursor]:
        found = await look()
        if slow and found[0].alive:
            await asyncio.sleep(0.2)
        return found

    async with reacting(store, mail(world, attempts=1)) as side:
        await until_state(side, ReactionState.REACTING)
        monkeypatch.setattr(type(store.cursors), "look", lambda _: look_slowly())
        await asyncio.sleep(0.1)
        for _ in range(5):
            await place(store, "order-1")
            await asyncio.sleep(0.1)
        slow = False
        await until_state(side, ReactionState.STOPPED)
    assert world.attempts == [("order-1", 1)]


async def test_a_call_that_goes_on_after_it_was_cancelled_holds_nobody_up(
    store: MemoryEventStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody can end it. Its event has failed, others of its reaction go on, and so does a stop."""
    monkeypatch.setattr(calling, "_LONGEST_CANCEL", 0.05)
    world = World(refuse=ignoring(over := asyncio.Event(), "order-1"))
    await place(store, "order-1", 2)
    await place(store, "order-2", 2)
    short = timedelta(milliseconds=20)
    try:
        async with reacting(store, mail(world, on_error="park", timeout=short)) as side:
            await until_saved(side, store)
            (parked,) = await side.parked("mail")
            assert parked.error.startswith("GoesOn: it took too long")
            assert (parked.stream, parked.attempts) == ("order-1", 1)
        assert world.done == [("order-2", 1), ("order-2", 2)]
        assert "goes on: it is left alone" in caplog.text
    finally:
        over.set()
        await settle()


async def test_who_lost_a_cursor_and_cannot_end_what_it_does_keeps_its_other_reactions(
    store: MemoryEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calling, "_LONGEST_CANCEL", 4 * QUICK)
    world, well = World(refuse=ignoring(over := asyncio.Event(), "order-1")), World()
    other = mail(well)
    other.name = "other"
    thief = Worker("thief", "host/1", "elsewhere 1 1")
    await place(store, "order-1")
    cursors = cursors_of(store)
    try:
        async with reacting(store, mail(world), other, grace=0.1):
            await soon(lambda: bool(world.attempts) and bool(well.done))
            stolen, kept = await cursors.look()
            assert stolen.holder is not None
            await cursors.take("mail", thief, ttl=60.0, gone=stolen.holder.id)
            await asyncio.sleep(2 * QUICK)
            now = (await cursors.look())[1]
            assert (now.epoch, now.alive) == (kept.epoch, True)
    finally:
        over.set()
        await settle()


def ignoring(over: asyncio.Event, stream: str) -> Callable[[str, int], Awaitable[None]]:
    """What happens to one stream does not end when it is cancelled."""

    async def hang(name: str, version: int) -> None:
        while name == stream and not over.is_set():
            with suppress(asyncio.CancelledError):
                await over.wait()

    return hang


async def test_a_log_that_is_away_is_said_to_be_once_and_to_be_back_once(
    store: MemoryEventStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world, looks = World(), 0

    async def away(_: object) -> Sequence[Cursor]:
        nonlocal looks
        looks += 1
        raise StorageUnavailable("the log is away")

    async with reacting(store, mail(world), ttl=0.1):
        with monkeypatch.context() as patched:
            patched.setattr(MemoryCursors, "look", away)
            await soon(lambda: looks > 10)
        await place(store, "order-1")
        await soon(lambda: bool(world.done))
        await soon(lambda: "within reach again" in caplog.text)
    assert caplog.text.count("cursors are out of reach") == 1
