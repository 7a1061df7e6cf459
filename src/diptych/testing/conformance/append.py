"""Appends: expected versions, several streams at once, positions, and what the outcome says."""

from itertools import pairwise

from diptych.errors import ConcurrencyError, OutcomeUnknown
from diptych.store.contract import ANY_VERSION, Append, Appended, EventStore, StreamVersion
from diptych.testing.conformance.steps import (
    Suite,
    add,
    happened,
    load,
    log_of,
    refused,
    settle,
    to,
)


class AppendConformance(Suite):
    async def test_the_events_of_a_new_stream_have_the_versions_from_one(
        self, store: EventStore
    ) -> None:
        await settle(store, add(to("order-1", happened(), happened(), happened())))
        loaded = await load(store, "order-1")
        assert [event.version for event in loaded.events] == [1, 2, 3]
        assert loaded.version == 3

    async def test_an_append_continues_its_stream(self, store: EventStore) -> None:
        first, second, third = happened("First"), happened("Second"), happened("Third")
        await settle(store, add(to("order-1", first, expecting=0)))
        await settle(store, add(to("order-1", second, third, expecting=1)))
        events = (await load(store, "order-1")).events
        assert [event.event_id for event in events] == [e.event_id for e in (first, second, third)]
        assert [event.version for event in events] == [1, 2, 3]

    async def test_a_stale_version_is_refused_and_writes_nothing(self, store: EventStore) -> None:
        await settle(store, add(to("order-1", happened(), happened())))
        async with refused(store, ConcurrencyError) as refusal:
            await settle(store, add(to("order-1", expecting=1)))
        error = refusal.value
        assert (error.stream, error.expected, error.actual) == ("order-1", 1, 2)

    async def test_a_version_that_is_not_reached_yet_is_refused(self, store: EventStore) -> None:
        await settle(store, add(to("order-1")))
        async with refused(store, ConcurrencyError) as refusal:
            await settle(store, add(to("order-1", expecting=2)))
        assert (refusal.value.expected, refusal.value.actual) == (2, 1)

    async def test_a_version_of_a_stream_that_does_not_exist_is_refused(
        self, store: EventStore
    ) -> None:
        async with refused(store, ConcurrencyError) as refusal:
            await settle(store, add(to("order-1", expecting=1)))
        assert (refusal.value.expected, refusal.value.actual) == (1, 0)

    async def test_version_zero_refuses_a_stream_that_exists(self, store: EventStore) -> None:
        await settle(store, add(to("order-1")))
        async with refused(store, ConcurrencyError) as refusal:
            await settle(store, add(to("order-1", expecting=0)))
        assert (refusal.value.expected, refusal.value.actual) == (0, 1)

    async def test_any_version_appends_whatever_the_version_is(self, store: EventStore) -> None:
        for _ in range(3):
            await settle(store, add(to("order-1", expecting=ANY_VERSION)))
        assert (await load(store, "order-1")).version == 3

    async def test_streams_with_similar_names_are_different_streams(
        self, store: EventStore
    ) -> None:
        names = ["order-1", "order-10", "order", "Order-1", "order_1", "order%1", "ordér-1"]
        names += ["orde\u0301r-1", "order-1'--"]
        for name in names:
            await settle(store, add(to(name, expecting=0)))
        for name in names:
            assert [event.stream for event in (await load(store, name)).events] == [name]

    async def test_an_append_writes_to_several_streams_in_order(self, store: EventStore) -> None:
        writes = [to(name, happened(), happened()) for name in ("b-1", "a-1", "c-1")]
        await settle(store, add(*writes))
        written = [(write.stream, event.event_id) for write in writes for event in write.events]
        assert [(event.stream, event.event_id) for event in await log_of(store)] == written

    async def test_one_stale_stream_refuses_the_whole_append(self, store: EventStore) -> None:
        names = ["a-1", "b-1", "c-1"]
        await settle(store, add(*map(to, names)))
        for stale in names:
            async with refused(store, ConcurrencyError) as refusal:
                await settle(store, add(*(to(n, expecting=7 if n == stale else 1) for n in names)))
            assert refusal.value.stream == stale
            assert [(await load(store, name)).version for name in names] == [1, 1, 1]

    async def test_the_outcome_names_each_stream_with_its_new_version(
        self, store: EventStore
    ) -> None:
        await settle(store, add(to("a-1", happened(), happened())))
        outcome = await settle(store, add(to("b-1"), to("a-1", happened(), happened())))
        assert outcome.streams == (StreamVersion("b-1", 1), StreamVersion("a-1", 4))

    async def test_the_outcome_points_at_its_last_event(self, store: EventStore) -> None:
        await settle(store, add(to("a-1")))
        outcome = await settle(store, add(to("a-1", happened(), happened()), to("b-1")))
        last = (await log_of(store))[-1]
        assert outcome.point == (last.position, last.event_id)

    async def test_a_first_outcome_is_not_marked_as_repeated(self, store: EventStore) -> None:
        assert not (await _answered(store, with_command=True)).repeated

    async def test_appends_without_a_command_are_never_taken_for_repeats(
        self, store: EventStore
    ) -> None:
        first = await _answered(store, with_command=False)
        second = await _answered(store, with_command=False)
        assert not first.repeated
        assert not second.repeated
        assert first.point.position < second.point.position

    async def test_an_append_is_there_for_everyone_who_asks_after_its_answer(
        self, store: EventStore
    ) -> None:
        for version in range(1, 6):
            outcome = await settle(store, add(to("order-1")))
            assert await store.head() == outcome.point
            assert (await load(store, "order-1")).version == version
            assert len(await log_of(store)) == version

    async def test_positions_increase_from_one_append_to_the_next(self, store: EventStore) -> None:
        for number in range(5):
            await settle(store, add(to(f"a-{number}"), to("b-1")))
        positions = [event.position for event in await log_of(store)]
        assert positions[0] >= 1
        assert all(earlier < later for earlier, later in pairwise(positions))

    async def test_a_dense_log_has_no_holes_even_after_refusals(self, store: EventStore) -> None:
        for version in range(5):
            await settle(store, add(to("order-1", expecting=version)))
            async with refused(store, ConcurrencyError):
                await settle(store, add(to("other-1"), to("order-1", expecting=version)))
        positions = [event.position for event in await log_of(store)]
        assert positions == sorted(set(positions))
        assert not store.dense or positions == [1, 2, 3, 4, 5]

    async def test_a_log_has_one_id(self, store: EventStore) -> None:
        before = store.log_id
        await settle(store, add(to("order-1")))
        assert store.log_id == before
        assert before.int != 0

    async def test_the_store_says_in_one_line_how_durable_it_is(self, store: EventStore) -> None:
        assert store.durability.strip()
        assert store.durability.isprintable()


async def _answered(store: EventStore, *, with_command: bool) -> Appended:
    """The answer to a new append; where answers may get lost, to the first that gets one."""
    while True:
        try:
            append = add(to("order-1"))
            return await store.append(append if with_command else Append(append.writes))
        except OutcomeUnknown:
            continue
