"""Reactions that fail: tried again, then stopped or set aside; nothing is lost or overtaken."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from diptych.app import Application
from diptych.errors import (
    HistoryDiverged,
    NotParked,
    NotStopped,
    RetriedElsewhere,
    StillParked,
    StoreError,
    UnknownReaction,
)
from diptych.failpoints import FailpointError, armed
from diptych.flow.side import FlowSide
from diptych.flow.status import ReactionState
from diptych.messages import EventData
from diptych.store.contract import ANY_VERSION, START, Append, EventStore, Write
from diptych.store.cursors import Discard, Failure, Limits, cursors_of
from diptych.store.memory import MemoryEventStore
from diptych.testing.conformance.steps import log_of
from diptych.testing.waiting import wait_until
from diptych.worker import Worker
from tests.integration.reactions import (
    Refused,
    World,
    in_order,
    mail,
    place,
    reacting,
    refusing,
    soon,
    status,
    until_saved,
    until_state,
)

BAD = ("order-1", 2)


def failing(times: int) -> Callable[[str, int], Awaitable[None]]:
    left = times

    async def refuse(stream: str, version: int) -> None:
        nonlocal left
        if (stream, version) == BAD and left:
            left -= 1
            raise Refused

    return refuse


async def test_what_fails_is_tried_again_before_anything_else_of_its_stream(
    reaction_store: EventStore,
) -> None:
    world = World(refuse=failing(2))
    await place(reaction_store, "order-1", 3)
    async with reacting(reaction_store, mail(world, attempts=3)) as side:
        await until_saved(side, reaction_store)
    assert world.done == [("order-1", 1), ("order-1", 2), ("order-1", 3)]
    assert world.attempts == [("order-1", version) for version in (1, 2, 2, 2, 3)]


async def test_an_event_that_fails_stops_its_reaction_and_no_other(
    reaction_store: EventStore,
) -> None:
    world, well = World(refuse=refusing(BAD)), World()
    other = mail(well)
    other.name = "other"
    await place(reaction_store, "order-1", 3)
    async with reacting(reaction_store, mail(world), other) as side:
        found = await until_state(side, ReactionState.STOPPED)
        await soon(lambda: len(well.done) == 3)
        assert world.done == [("order-1", 1)]
        positions = [event.position for event in await log_of(reaction_store)]
        assert (found.position, found.error_position) == tuple(positions[:2])
        assert (found.error_kind, found.error_type, found.attempts) == ("handle", "Placed", 2)
        assert found.error.startswith("Refused in refuse, reactions.py:")
        assert "secret" not in found.error
        assert found.mine


async def test_a_stopped_reaction_is_not_tried_by_others_and_is_tried_by_the_next(
    reaction_store: EventStore,
) -> None:
    world, waiting, heir = World(refuse=refusing(BAD)), World(), World()
    await place(reaction_store, "order-1", 3)
    async with reacting(reaction_store, mail(world)) as side:
        await until_state(side, ReactionState.STOPPED)
        async with reacting(reaction_store, mail(waiting), ttl=0.2):
            await asyncio.sleep(1.0)
        assert waiting.attempts == []
    async with reacting(reaction_store, mail(heir)) as side:
        await until_saved(side, reaction_store)
    assert heir.done == [("order-1", 2), ("order-1", 3)]


async def test_an_operator_lets_a_stopped_reaction_go_on_in_the_process_that_has_it(
    reaction_store: EventStore,
) -> None:
    world = World(refuse=refusing(BAD))
    await place(reaction_store, "order-1", 3)
    async with (
        reacting(reaction_store, mail(world)) as side,
        reacting(reaction_store, mail(World()), react=False) as operator,
    ):
        await until_state(side, ReactionState.STOPPED)
        world.refuse = None
        await operator.retry("mail", stream=None)
        await until_saved(side, reaction_store)
        assert world.of("order-1") == [1, 2, 3]
        with pytest.raises(NotStopped):
            await operator.retry("mail", stream=None)


async def test_an_operator_discards_the_event_that_stops_a_reaction_for_ever(
    reaction_store: EventStore,
) -> None:
    world = World(refuse=refusing(BAD))
    await place(reaction_store, "order-1", 3)
    async with (
        reacting(reaction_store, mail(world)) as side,
        reacting(reaction_store, mail(World()), react=False) as operator,
    ):
        await until_state(side, ReactionState.STOPPED)
        discard = await operator.discard("mail", stream=None, reason="a test order")
        assert (discard.stream, discard.first, discard.through) == ("order-1", 2, 2)
        await until_saved(side, reaction_store)
        assert world.of("order-1") == [1, 3]
        assert await operator.discarded("mail") == (discard,)
        with pytest.raises(NotStopped):
            await operator.discard("mail", stream=None, reason="twice")


async def test_the_stream_of_an_event_that_fails_is_set_aside_and_others_go_on(
    reaction_store: EventStore,
) -> None:
    world = World(refuse=refusing(BAD))
    await place(reaction_store, "order-1", 3)
    await place(reaction_store, "order-2", 2)
    async with reacting(reaction_store, mail(world, on_error="park")) as side:
        await until_saved(side, reaction_store)
        await place(reaction_store, "order-1", 1)
        await place(reaction_store, "order-2", 1)
        await until_saved(side, reaction_store)
        assert (world.of("order-1"), world.of("order-2")) == ([1], [1, 2, 3])
        found = await status(side)
        assert (found.state, found.parked_streams) == (ReactionState.REACTING, 1)
        (parked,) = await side.parked("mail")
        assert (parked.stream, parked.first, parked.through, parked.events) == ("order-1", 2, 4, 3)
        assert (parked.kind, parked.event_type, parked.attempts) == ("handle", "Placed", 2)
        assert "secret" not in parked.error


async def test_a_parked_stream_stays_parked_for_whoever_is_next(
    reaction_store: EventStore,
) -> None:
    first, second = World(refuse=refusing(BAD)), World()
    await place(reaction_store, "order-1", 3)
    async with reacting(reaction_store, mail(first, on_error="park")) as side:
        await until_saved(side, reaction_store)
    async with reacting(reaction_store, mail(second, on_error="park")) as side:
        await place(reaction_store, "order-1", 1)
        await place(reaction_store, "order-2", 1)
        await until_saved(side, reaction_store)
        (parked,) = await side.parked("mail")
    assert second.done == [("order-2", 1)]
    assert (parked.first, parked.through) == (2, 4)


async def test_what_is_parked_is_worked_off_in_order_and_then_goes_on(
    reaction_store: EventStore,
) -> None:
    """By an operator's process, while another runs the reaction."""
    world = World(refuse=refusing(BAD))
    reaction = mail(world, on_error="park")
    await place(reaction_store, "order-1", 4)
    async with (
        reacting(reaction_store, reaction) as side,
        reacting(reaction_store, reaction, react=False) as operator,
    ):
        await until_saved(side, reaction_store)
        world.refuse = None
        assert await operator.retry("mail", stream="order-1") == 3
        assert world.of("order-1") == [1, 2, 3, 4]
        await place(reaction_store, "order-1", 2)
        await until_saved(side, reaction_store)
        assert world.of("order-1") == [1, 2, 3, 4, 5, 6]
        assert await operator.parked("mail") == ()
        with pytest.raises(NotParked):
            await operator.retry("mail", stream="order-1")


async def test_what_fails_again_stays_parked_and_what_was_done_before_it_does_not(
    reaction_store: EventStore,
) -> None:
    world = World(refuse=refusing(BAD))
    reaction = mail(world, on_error="park")
    await place(reaction_store, "order-1", 4)
    async with reacting(reaction_store, reaction) as side:
        await until_saved(side, reaction_store)
        world.refuse = refusing(("order-1", 3))
        with pytest.raises(StillParked) as refused:
            await side.retry("mail", stream="order-1")
        positions = [event.position for event in await log_of(reaction_store)]
        assert refused.value.position == positions[2]
        (parked,) = await side.parked("mail")
        assert (parked.first, parked.through, parked.position) == (3, 4, positions[2])
        world.refuse = None
        assert await side.retry("mail", stream="order-1") == 2
    assert world.of("order-1") == [1, 2, 3, 4]


async def test_events_that_come_while_a_stream_is_worked_off_are_not_overtaken(
    reaction_store: EventStore,
) -> None:
    world, gate = World(refuse=refusing(BAD)), asyncio.Event()
    reaction = mail(world, on_error="park", timeout=timedelta(seconds=10))
    await place(reaction_store, "order-1", 3)

    async def hold(stream: str, version: int) -> None:
        await gate.wait()

    async with reacting(reaction_store, reaction) as side:
        await until_saved(side, reaction_store)
        world.refuse = hold
        working = asyncio.create_task(side.retry("mail", stream="order-1"))
        await soon(lambda: world.attempts[-1] == BAD)
        await place(reaction_store, "order-1", 2)
        await until_saved(side, reaction_store)
        gate.set()
        assert await working == 4
        await place(reaction_store, "order-1", 1)
        await until_saved(side, reaction_store)
    assert world.of("order-1") == [1, 2, 3, 4, 5, 6]


async def test_an_operator_who_comes_second_takes_over_what_is_retried(
    reaction_store: EventStore,
) -> None:
    """The first may be dead. If it lives it ends; both have handled the event of that moment."""
    world, gate = World(refuse=refusing(BAD)), asyncio.Event()
    reaction = mail(world, on_error="park", timeout=timedelta(seconds=10))
    await place(reaction_store, "order-1", 4)

    async def hold(stream: str, version: int) -> None:
        await gate.wait()

    async with reacting(reaction_store, reaction) as side:
        await until_saved(side, reaction_store)
        world.refuse = hold
        before = len(world.attempts)
        first = asyncio.create_task(side.retry("mail", stream="order-1"))
        await soon(lambda: len(world.attempts) > before)
        world.refuse = None
        assert await side.retry("mail", stream="order-1") == 3
        gate.set()
        with pytest.raises(RetriedElsewhere, match="order-1"):
            await first
    assert world.of("order-1") == [1, 2, 3, 4, 2]


async def test_what_is_parked_and_the_log_does_not_have_cannot_be_retried(
    store: MemoryEventStore,
) -> None:
    await place(store, "order-1", 2)
    async with reacting(store, mail(World()), react=False) as side:
        cursors = cursors_of(store)
        held = await cursors.take("mail", Worker.here(), ttl=60.0)
        assert held is not None
        lost = Failure("handle", "it was", datetime.now(UTC), 7, stream="order-1", version=7)
        await cursors.park(held, lost, limits=Limits(9, 9))
        with pytest.raises(HistoryDiverged, match="order-1"):
            await side.retry("mail", stream="order-1")
        assert len(await side.parked("mail")) == 1


async def test_what_is_parked_is_discarded_for_ever(reaction_store: EventStore) -> None:
    world = World(refuse=refusing(BAD))
    await place(reaction_store, "order-1", 3)
    async with reacting(reaction_store, mail(world, on_error="park")) as side:
        await until_saved(side, reaction_store)
        discard = await side.discard("mail", stream="order-1", reason="a test order")
        assert isinstance(discard, Discard)
        assert (discard.first, discard.through, discard.reason) == (2, 3, "a test order")
        await place(reaction_store, "order-1", 1)
        await until_saved(side, reaction_store)
        with pytest.raises(NotParked):
            await side.discard("mail", stream="order-1", reason="twice")
        assert await side.discarded("mail") == (discard,)
    assert world.of("order-1") == [1, 4]


async def test_what_was_discarded_is_not_handled_after_a_crash_that_comes_before_it_was_passed(
    reaction_store: EventStore,
) -> None:
    """The cursor still stands before it, as another stream holds it back."""
    gate = asyncio.Event()

    async def refuse(stream: str, version: int) -> None:
        if stream == "order-0":
            await gate.wait()
        await refusing(("order-1", 1))(stream, version)

    world, heir = World(refuse=refuse), World()
    await place(reaction_store, "order-0")
    await place(reaction_store, "order-1", 2)
    async with reacting(reaction_store, mail(world, on_error="park"), grace=0.1) as side:
        await wait_until(lambda: _parked(side, events=2), poll=0.02)
        await side.discard("mail", stream="order-1", reason="a test order")
        assert (await status(side)).position == 0
    async with reacting(reaction_store, mail(heir, on_error="park")) as side:
        await until_saved(side, reaction_store)
    assert heir.done == [("order-0", 1)]


@pytest.mark.parametrize(
    ("limits", "version"), [({"parked_streams": 1}, 1), ({"parked_events": 2}, 2)]
)
async def test_more_than_may_be_parked_stops_the_reaction(
    reaction_store: EventStore, limits: dict[str, int], version: int
) -> None:
    world = World(refuse=refusing(BAD, ("order-2", 1)))
    await place(reaction_store, "order-1", 3)
    async with reacting(reaction_store, mail(world, on_error="park", **limits)) as side:
        await until_saved(side, reaction_store)
        await place(reaction_store, "order-2")
        found = await until_state(side, ReactionState.STOPPED)
        assert (found.error_kind, found.parked_streams, found.parked_events) == ("full", 1, 2)
        world.refuse = None
        assert await side.retry("mail", stream="order-1") == 2
        await side.retry("mail", stream=None)
        await until_saved(side, reaction_store)
    assert (world.of("order-1"), world.of("order-2")) == ([1, 2, 3], [1])


@pytest.mark.parametrize(
    ("event_type", "data", "kind"),
    [("Vanished", b"{}", "unknown type"), ("Placed", b'{"number":"x"}', "decode")],
)
async def test_what_cannot_be_decoded_fails_at_once(
    reaction_store: EventStore, event_type: str, data: bytes, kind: str
) -> None:
    world = World()
    await _append(reaction_store, "order-1", event_type, data)
    await place(reaction_store, "order-2")
    async with reacting(reaction_store, mail(world, on_error="park")) as side:
        await until_saved(side, reaction_store)
        (parked,) = await side.parked("mail")
        assert (parked.kind, parked.event_type, parked.attempts) == (kind, event_type, 1)
    assert world.done == [("order-2", 1)]


async def test_a_call_that_takes_too_long_has_failed(store: MemoryEventStore) -> None:
    async def hang(stream: str, version: int) -> None:
        await asyncio.Event().wait()

    world = World(refuse=hang)
    await place(store, "order-1")
    async with reacting(store, mail(world, timeout=timedelta(milliseconds=20))) as side:
        found = await until_state(side, ReactionState.STOPPED)
        assert found.error.startswith("TimeoutError")
    assert len(world.attempts) == 2


async def test_an_error_that_looks_like_a_cancellation_is_a_failure(
    store: MemoryEventStore,
) -> None:
    async def give_up(stream: str, version: int) -> None:
        raise asyncio.CancelledError

    world = World(refuse=give_up)
    await place(store, "order-1")
    async with reacting(store, mail(world)) as side:
        found = await until_state(side, ReactionState.STOPPED)
        assert found.error.startswith("CancelledError")


async def test_a_pause_lets_what_has_begun_end_and_begins_nothing(
    reaction_store: EventStore,
) -> None:
    world = World()
    async with (
        reacting(reaction_store, mail(world)) as side,
        reacting(reaction_store, mail(World()), react=False) as operator,
    ):
        await place(reaction_store, "order-1", 2)
        await soon(lambda: len(world.done) == 2)
        await operator.pause("mail", reason="the mail server moves")
        await place(reaction_store, "order-1", 2)
        found = await status(side)
        assert (found.state, found.holder) == (ReactionState.PAUSED, "")
        assert found.paused_reason == "the mail server moves"
        assert found.lag > timedelta(0)
        assert await operator.resume("mail")
        assert not await operator.resume("mail")
        await until_saved(side, reaction_store)
    assert world.of("order-1") == [1, 2, 3, 4]


async def test_a_log_that_does_not_answer_fails_no_event(store: MemoryEventStore) -> None:
    """What is asked of the cursor is asked again; nothing is lost and nothing is parked."""
    world = World(refuse=refusing(BAD))
    await place(store, "order-1", 3)

    def broken() -> None:
        raise StoreError("the log is away")

    with armed("reaction.before_save", broken, times=3), armed("reaction.after_read", broken):
        async with reacting(store, mail(world, on_error="park")) as side:
            await until_saved(side, store)
            (parked,) = await side.parked("mail")
    assert (world.of("order-1"), parked.events) == ([1], 2)


STEPS = [
    "reaction.after_read",
    "reaction.before_handle",
    "reaction.after_handle",
    "reaction.after_park",
    "reaction.before_save",
]


@pytest.mark.parametrize("step", STEPS)
async def test_an_error_at_any_step_loses_nothing_and_overtakes_nothing(
    reaction_store: EventStore, step: str
) -> None:
    world = World(refuse=refusing(BAD))
    for number in range(3):
        await place(reaction_store, f"order-{number}", 4)

    def broken() -> None:
        raise FailpointError

    with armed(step, broken, on=1, times=2):
        async with reacting(reaction_store, mail(world, on_error="park"), ttl=0.2) as side:
            await until_saved(side, reaction_store)
            (parked,) = await side.parked("mail")
            assert (parked.first, parked.through) == (2, 4)
    assert in_order(world.done)
    assert [sorted(set(world.of(f"order-{n}"))) for n in (0, 2)] == [[1, 2, 3, 4]] * 2
    assert set(world.of("order-1")) == {1}


async def test_a_restored_log_is_not_gone_on_with(store: MemoryEventStore) -> None:
    await place(store, "order-1", 2)
    cursors = cursors_of(store)
    await cursors.register("mail", (await store.head())._replace(position=99))
    async with reacting(store, mail(World())) as side:
        found = await until_state(side, ReactionState.STOPPED)
        assert (found.error_kind, found.error_position) == ("diverged", 99)
        with pytest.raises(NotStopped):
            await side.discard("mail", stream=None, reason="it is no event")


async def test_a_reaction_that_is_not_there_is_said_to_be_so(store: MemoryEventStore) -> None:
    await cursors_of(store).register("former", START)
    async with reacting(store, mail(World())) as side:
        for call in (side.parked("former"), side.pause("former", reason=""), side.resume("x")):
            with pytest.raises(UnknownReaction, match="mail"):
                await call


async def _append(store: EventStore, stream: str, event_type: str, data: bytes) -> None:

    event = EventData(event_type, data, uuid4())
    await store.append(Append((Write(stream, (event,), ANY_VERSION),)))


async def _parked(side: FlowSide, *, events: int) -> bool:

    return sum(each.events for each in await side.parked("mail")) == events


async def test_an_operator_does_all_of_it_through_an_application_that_does_not_react(
    store: MemoryEventStore,
) -> None:
    world = World(refuse=refusing(BAD))
    reaction = mail(world, on_error="park")
    await place(store, "order-1", 4)
    operator = Application(log=store, reactions=[reaction], project=False)
    async with reacting(store, reaction) as side, operator:
        await until_saved(side, store)
        acts = operator.operations.reaction("mail")
        (parked,) = await acts.parked()
        assert (parked.stream, parked.events, (await acts.status()).parked_events) == (
            "order-1",
            3,
            3,
        )
        with pytest.raises(StillParked):
            await acts.retry("order-1")
        discard = await acts.discard("order-1", reason="a test order")
        assert await acts.discarded() == (discard,)
        await acts.pause(reason="the mail server moves")
        assert (await acts.status()).state is ReactionState.PAUSED
        assert await acts.resume()
        with pytest.raises(NotStopped):
            await acts.retry()
        with pytest.raises(UnknownReaction, match="mail"):
            operator.operations.reaction("bill")
        await store.open()
