"""Reactions: each event at least once, in order for its stream, streams side by side."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import pytest

from diptych.app import Application
from diptych.codec import Events
from diptych.errors import ConfigurationError
from diptych.flow.reaction import Reaction, effect_id
from diptych.flow.status import ReactionState
from diptych.messages import RecordedEvent
from diptych.read.view import View
from diptych.store.contract import EventStore, Point
from diptych.store.cursors import cursors_of
from diptych.store.memory import MemoryEventStore
from diptych.testing.conformance.steps import log_of
from diptych.upcast import Upcast
from diptych.worker import Worker
from tests.integration.reactions import (
    Placed,
    Refused,
    Shipped,
    World,
    mail,
    order_events,
    place,
    reacting,
    soon,
    status,
    until_saved,
    until_state,
)


async def test_every_event_is_handled_in_the_order_of_its_stream(
    reaction_store: EventStore,
) -> None:
    world = World()
    for number in range(5):
        await place(reaction_store, f"order-{number}", 3)
    async with reacting(reaction_store, mail(world)) as side:
        await place(reaction_store, "order-1", 3)
        await until_saved(side, reaction_store)
        assert world.of("order-1") == [1, 2, 3, 4, 5, 6]
        assert [world.of(f"order-{n}") for n in (0, 2, 3, 4)] == [[1, 2, 3]] * 4
        found = await status(side)
        assert (found.state, found.mine, found.error) == (ReactionState.REACTING, True, "")


async def test_what_was_handled_is_not_handled_again_after_a_clean_stop(
    reaction_store: EventStore,
) -> None:
    world = World()
    for times in (4, 8, 12):
        async with reacting(reaction_store, mail(world)):
            await place(reaction_store, "order-1", 4)
            await soon(lambda all_of_it=times: len(world.done) >= all_of_it)
    assert world.of("order-1") == list(range(1, 13))


async def test_a_new_reaction_begins_behind_what_is_there_or_with_all_of_it(
    reaction_store: EventStore,
) -> None:
    late, early = World(), World()
    await place(reaction_store, "order-1", 2)
    since = mail(late, start="now")
    ever = Reaction("ever", events=[order_events], handle=early.handle, start="beginning")
    async with reacting(reaction_store, since, ever):
        await place(reaction_store, "order-1", 1)
        await soon(lambda: bool(late.done) and len(early.done) == 3)
    assert (late.of("order-1"), early.of("order-1")) == ([3], [1, 2, 3])


async def test_now_is_when_an_application_first_opened_with_it_and_not_when_it_first_ran(
    reaction_store: EventStore,
) -> None:
    world = World()
    async with reacting(reaction_store, mail(world, start="now"), react=False) as side:
        await place(reaction_store, "order-1", 2)
        assert (await status(side)).state is ReactionState.WAITING
    async with reacting(reaction_store, mail(world, start="now")):
        await soon(lambda: len(world.done) == 2)


async def test_events_of_others_are_passed_over_and_that_is_kept(store: MemoryEventStore) -> None:
    world = World()
    async with reacting(store, mail(world)) as side:
        await place(store, "invoice-1", 3, kind="Sent")
        assert (await status(side)).lag == timedelta(0)
        await place(store, "order-1")
        await soon(lambda: bool(world.done))
    (cursor,) = await cursors_of(store).look()
    assert cursor.point.position == 4


async def test_streams_do_not_wait_for_each_other_and_a_stream_waits_for_itself(
    reaction_store: EventStore,
) -> None:
    world, gate = World(), asyncio.Event()

    async def hold(stream: str, version: int) -> None:
        if stream == "order-1":
            await gate.wait()

    world.refuse = hold
    async with reacting(reaction_store, mail(world)) as side:
        await place(reaction_store, "order-1", 2)
        await place(reaction_store, "order-2", 2)
        await soon(lambda: world.of("order-2") == [1, 2])
        assert world.attempts.count(("order-1", 1)) == 1
        assert ("order-1", 2) not in world.attempts
        assert (await status(side)).position < 3
        gate.set()
        await until_saved(side, reaction_store)
        assert world.of("order-1") == [1, 2]


async def test_no_more_are_handled_at_once_than_may_be(store: MemoryEventStore) -> None:
    running, most, gate = 0, 0, asyncio.Event()

    async def count(stream: str, version: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await gate.wait()
        running -= 1

    world = World(refuse=count)
    for number in range(12):
        await place(store, f"order-{number}")
    async with reacting(store, mail(world, concurrency=3)):
        await soon(lambda: running == 3)
        gate.set()
        await soon(lambda: len(world.done) == 12)
    assert most == 3


async def test_only_one_process_runs_a_reaction_and_another_takes_over_when_it_ends(
    reaction_store: EventStore,
) -> None:
    one, other = World(), World()
    async with reacting(reaction_store, mail(other)) as heir:
        await until_state(heir, ReactionState.REACTING)
        async with reacting(reaction_store, mail(one)) as late:
            await place(reaction_store, "order-1", 3)
            await soon(lambda: len(other.done) == 3)
            assert not (await status(late)).mine
            await heir.close()
            await place(reaction_store, "order-1", 2)
            await soon(lambda: len(one.done) == 2)
    assert (other.of("order-1"), one.of("order-1")) == ([1, 2, 3], [4, 5])


async def test_who_has_lost_the_cursor_ends_what_it_is_doing(reaction_store: EventStore) -> None:
    world, gate = World(), asyncio.Event()
    cancelled: list[int] = []

    async def hang(stream: str, version: int) -> None:
        try:
            await gate.wait()
        except asyncio.CancelledError:
            cancelled.append(version)
            raise

    world.refuse = hang
    thief = Worker("thief", "host/1", "elsewhere 1 1")
    async with reacting(reaction_store, mail(world)) as side:
        await place(reaction_store, "order-1")
        await soon(lambda: bool(world.attempts))
        cursors = cursors_of(reaction_store)
        (mine,) = await cursors.look()
        assert mine.holder is not None
        held = await cursors.take("mail", thief, ttl=60.0, gone=mine.holder.id)
        assert held is not None
        await soon(lambda: cancelled == [1])
        assert await cursors.advance(held, Point(1))
        assert (await status(side)).holder == "host/1"
    assert world.done == []
    assert (await cursors.look())[0].point == Point(1)


async def test_a_clean_stop_waits_for_what_has_begun_and_begins_nothing(
    reaction_store: EventStore,
) -> None:
    world, gate = World(), asyncio.Event()

    async def hold(stream: str, version: int) -> None:
        await gate.wait()

    world.refuse = hold
    async with reacting(reaction_store, mail(world)) as side:
        await place(reaction_store, "order-1", 3)
        await soon(lambda: len(world.attempts) == 1)
        closing = asyncio.create_task(side.close())
        await asyncio.sleep(0.05)
        gate.set()
        await closing
    assert world.done == [("order-1", 1)]
    (cursor,) = await cursors_of(reaction_store).look()
    assert (cursor.point.position, cursor.holder) == ((await _positions(reaction_store))[0], None)


async def test_a_stop_does_not_wait_for_ever(store: MemoryEventStore) -> None:
    async def hang(stream: str, version: int) -> None:
        await asyncio.Event().wait()

    world = World(refuse=hang)
    async with reacting(store, mail(world), grace=0.1):
        await place(store, "order-1")
        await soon(lambda: bool(world.attempts))
    assert world.done == []


async def test_an_application_runs_reactions_that_dispatch_and_answers_without_them(
    store: MemoryEventStore,
) -> None:
    world = World()
    async with Application(log=store, reactions=[mail(world)]) as app:
        await place(store, "order-1", 2)
        await soon(lambda: len(world.done) == 2)
        (found,) = await app.operations.reactions()
        assert found.state is ReactionState.REACTING
    await store.open()
    async with Application(log=store, reactions=[mail(world)], project=False) as app:
        await place(store, "order-1", 1)
        (found,) = await app.operations.reactions()
        assert (found.state, found.lag > timedelta(0)) == (ReactionState.WAITING, True)
    assert len(world.done) == 2


@dataclass(frozen=True)
class Length:
    order: str
    events: int


def lengthen(row: Length | None, event: Placed | Shipped, recorded: RecordedEvent) -> Length:
    return Length(event.order, row.events + 1 if row else 1)


async def test_views_that_are_built_or_rebuilt_handle_nothing(store: MemoryEventStore) -> None:
    """Neither in the process that runs the reaction, nor in an operator's."""
    world = World()
    lengths = View("lengths", events=[order_events], row=Length, key="order", project=lengthen)
    async with Application(log=store, views=[lengths], reactions=[mail(world)]) as app:
        await place(store, "order-1", 3)
        await app.caught_up()
        await soon(lambda: len(world.done) == 3)
        await app.operations.rebuild(["lengths"])
        await app.operations.rebuild_key("lengths", "1")
        assert (await app.operations.audit("lengths")).rows == 1
        await place(store, "order-2")
        await soon(lambda: len(world.done) == 4)
    assert world.attempts == [("order-1", 1), ("order-1", 2), ("order-1", 3), ("order-2", 1)]
    await store.open()
    operator = Application(log=store, views=[lengths], reactions=[mail(world)])
    operator.operating = True
    async with operator:
        await place(store, "order-2")
        await operator.operations.rebuild(["lengths"])
    assert len(world.attempts) == 4


async def test_an_effect_id_is_the_same_for_each_delivery_and_another_for_each_reaction(
    store: MemoryEventStore,
) -> None:
    await place(store, "order-1", 2)
    first, second = (await store.read()).events
    assert effect_id("mail", first) == effect_id("mail", first)
    assert len({effect_id(n, each) for n in ("mail", "bill") for each in (first, second)}) == 4


async def _positions(store: EventStore) -> list[int]:
    return [event.position for event in await log_of(store)]


async def _handled(event: object, recorded: object) -> None: ...


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"events": []}, "one family of each category"),
        ({"events": [order_events, order_events]}, "one family of each category"),
        ({"handle": lambda event, recorded: None}, "async def"),
        ({"start": "tomorrow"}, '"now" or "beginning"'),
        ({"on_error": "skip"}, '"stop" or "park"'),
        ({"attempts": 0}, "begin at 1"),
        ({"concurrency": 0}, "begin at 1"),
        ({"parked_streams": 0}, "begin at 1"),
        ({"timeout": timedelta(0)}, "timeout above 0"),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_declared(wrong: dict[str, object], says: str) -> None:
    given: dict[str, object] = {"events": [order_events], "handle": _handled, **wrong}
    with pytest.raises(ConfigurationError, match=says):
        Reaction("mail", **given)  # type: ignore[arg-type]


def test_a_name_that_cannot_be_or_is_taken_is_refused(store: MemoryEventStore) -> None:
    with pytest.raises(ConfigurationError, match="name"):
        Reaction("", events=[order_events], handle=_handled)
    twice = [mail(World()), mail(World())]
    with pytest.raises(ConfigurationError, match="two reactions have one name"):
        Application(log=store, reactions=twice)


async def test_an_old_event_that_is_several_today_is_handled_as_these_and_one_that_is_none_as_none(
    store: MemoryEventStore,
) -> None:
    seen: list[tuple[object, int]] = []
    failures = [True]

    async def handle(event: object, recorded: RecordedEvent) -> None:
        if isinstance(event, Shipped) and failures:
            failures.pop()
            raise Refused
        seen.append((event, recorded.version))

    both = [("Placed", {"order": "1", "number": 1}), ("Shipped", {"order": "1"})]
    family = Events(
        "order",
        Placed,
        Shipped,
        upcasters=[
            Upcast("PlacedAndShipped", ("Placed", "Shipped"), change=lambda _: both),
            Upcast("Touched", ()),
        ],
    )
    for kind in ("PlacedAndShipped", "Touched", "Placed"):
        await place(store, "order-1", kind=kind)
    reaction = Reaction("mail", events=[family], handle=handle, start="beginning")
    async with reacting(store, reaction) as side:
        await until_saved(side, store)
    assert seen == [(Placed("1", 1), 1), (Shipped("1"), 1), (Placed("1", 1), 3)]
