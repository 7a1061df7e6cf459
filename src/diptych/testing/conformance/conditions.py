"""Append conditions: append only if nothing that matches came after what the decision saw."""

from uuid import uuid4

from diptych.errors import ConcurrencyError, ConditionFailed, HistoryDiverged
from diptych.messages import EventData
from diptych.store.contract import Append, Criterion, EventStore, Point
from diptych.testing.conformance.steps import (
    Suite,
    about,
    add,
    command,
    happened,
    load,
    refused,
    settle,
    to,
    unless,
)


class ConditionConformance(Suite):
    async def test_an_event_that_matches_refuses_the_append_and_nothing_is_written(
        self, store: EventStore
    ) -> None:
        await settle(store, add(to("seat-1", happened("Booked"))))
        booked = (await store.head()).position
        await settle(store, add(to("seat-2", happened("Freed"))))
        async with refused(store, ConditionFailed) as refusal:
            await settle(store, add(to("seat-3"), condition=unless(about("Booked"))))
        assert (refusal.value.after, refusal.value.position) == (0, booked)

    async def test_an_event_at_or_before_after_does_not_count(self, store: EventStore) -> None:
        await settle(store, add(to("seat-1", happened("Booked"))))
        seen = (await settle(store, add(to("seat-1", happened("Booked"))))).point
        condition = unless(about("Booked"), after=seen)
        await settle(store, add(to("seat-2", happened("Booked")), condition=condition))
        assert (await load(store, "seat-2")).version == 1

    async def test_the_first_event_after_after_counts(self, store: EventStore) -> None:
        seen = (await settle(store, add(to("seat-1", happened("Booked"))))).point
        await settle(store, add(to("seat-1", happened("Booked"))))
        async with refused(store, ConditionFailed) as refusal:
            await settle(store, add(to("seat-2"), condition=unless(about("Booked"), after=seen)))
        assert refusal.value.after == seen.position

    async def test_the_types_of_a_criterion_are_alternatives(self, store: EventStore) -> None:
        assert await _refuses(store, about("Booked", "Freed"), happened("Freed"))
        assert not await _refuses(store, about("Booked", "Freed"), happened("Painted"))

    async def test_all_tags_of_a_criterion_must_be_there(self, store: EventStore) -> None:
        wanted = about(tags=("row:a", "seat:1"))
        assert not await _refuses(store, wanted, happened(tags=("row:a",)))
        assert not await _refuses(store, wanted, happened(tags=("seat:1", "row:b")))
        assert await _refuses(store, wanted, happened(tags=("row:a", "seat:1", "row:b")))

    async def test_the_tags_of_two_events_do_not_add_up(self, store: EventStore) -> None:
        events = happened(tags=("row:a",)), happened(tags=("seat:1",))
        assert not await _refuses(store, about(tags=("row:a", "seat:1")), *events)

    async def test_a_criterion_wants_its_type_and_its_tags(self, store: EventStore) -> None:
        wanted = about("Booked", tags=("seat:1",))
        assert not await _refuses(store, wanted, happened("Freed", tags=("seat:1",)))
        assert not await _refuses(store, wanted, happened("Booked", tags=("seat:2",)))
        assert await _refuses(store, wanted, happened("Booked", tags=("seat:1",)))

    async def test_a_criterion_without_types_and_tags_matches_every_event(
        self, store: EventStore
    ) -> None:
        assert await _refuses(store, about(), happened("Anything"))

    async def test_criteria_are_alternatives(self, store: EventStore) -> None:
        await settle(store, add(to("seat-1", happened("Freed"))))
        condition = unless(about("Booked"), about("Freed", tags=("seat:1",)), about("Freed"))
        async with refused(store, ConditionFailed):
            await settle(store, add(to("seat-2"), condition=condition))

    async def test_a_condition_without_criteria_always_holds(self, store: EventStore) -> None:
        await settle(store, add(to("seat-1")))
        await settle(store, add(to("seat-2"), condition=unless()))
        assert (await load(store, "seat-2")).version == 1

    async def test_a_condition_looks_at_every_category(self, store: EventStore) -> None:
        await settle(store, add(to("hall-1", happened("Closed", tags=("hall:1",)))))
        async with refused(store, ConditionFailed):
            condition = unless(about("Closed", tags=("hall:1",)))
            await settle(store, add(to("seat-1"), condition=condition))

    async def test_a_condition_does_not_see_other_tenants(self, store: EventStore) -> None:
        for tenant in ("", "south"):
            await settle(store, add(to("seat-1", happened("Booked")), tenant=tenant))
        append = add(to("seat-1"), condition=unless(about("Booked")), tenant="north")
        await settle(store, append)
        assert (await load(store, "seat-1", tenant="north")).version == 1

    async def test_a_condition_sees_its_own_tenant(self, store: EventStore) -> None:
        await settle(store, add(to("seat-1", happened("Booked")), tenant="north"))
        async with refused(store, ConditionFailed):
            append = add(to("seat-2"), condition=unless(about("Booked")), tenant="north")
            await settle(store, append)

    async def test_a_condition_does_not_look_at_the_events_of_its_own_append(
        self, store: EventStore
    ) -> None:
        writes = to("seat-1", happened("Booked"), happened("Booked")), to("b-1", happened("Booked"))
        await settle(store, add(*writes, condition=unless(about("Booked"))))
        assert (await load(store, "seat-1")).version == 2

    async def test_expected_versions_are_checked_beside_a_condition_that_holds(
        self, store: EventStore
    ) -> None:
        async with refused(store, ConcurrencyError):
            append = add(to("seat-1", expecting=3), condition=unless(about("Booked")))
            await settle(store, append)

    async def test_versions_are_looked_at_in_the_order_of_the_writes_then_the_condition(
        self, store: EventStore
    ) -> None:
        await settle(store, add(to("seat-1", happened("Booked"))))
        writes = to("seat-9"), to("seat-3", expecting=3), to("seat-2", expecting=2)
        async with refused(store, ConcurrencyError) as refusal:
            await settle(store, add(*writes, condition=unless(about("Booked"))))
        assert refusal.value.stream == "seat-3"

    async def test_a_condition_after_an_event_that_matches_nothing_is_sound(
        self, store: EventStore
    ) -> None:
        await settle(store, add(to("seat-1", happened("Booked")), tenant="south"))
        seen = await store.head()
        await settle(store, add(to("seat-1"), condition=unless(about("Freed"), after=seen)))
        await settle(store, add(to("seat-2"), condition=unless(after=Point(seen.position))))
        assert (await load(store, "seat-2")).version == 1

    async def test_a_condition_after_another_event_than_the_log_has_is_refused(
        self, store: EventStore
    ) -> None:
        await settle(store, add(to("seat-1")))
        position = (await store.head()).position
        for wrong in (Point(position, uuid4()), Point(position + 1, uuid4())):
            async with refused(store, HistoryDiverged) as refusal:
                append = add(to("seat-2"), condition=unless(about("Booked"), after=wrong))
                await settle(store, append)
            assert refusal.value.position == wrong.position

    async def test_a_failed_condition_leaves_no_record_of_the_command(
        self, store: EventStore
    ) -> None:
        await settle(store, add(to("seat-1", happened("Booked"))))
        record = command()
        async with refused(store, ConditionFailed):
            condition = unless(about("Booked"))
            await settle(store, add(to("seat-2"), condition=condition, record=record))
        assert await store.find(record.key) is None

    async def test_a_failed_condition_refuses_a_record_of_nothing(self, store: EventStore) -> None:
        await settle(store, add(to("seat-1", happened("Booked"))))
        record = command()
        async with refused(store, ConditionFailed):
            await settle(store, Append((), unless(about("Booked")), record))
        assert await store.find(record.key) is None


async def _refuses(store: EventStore, criterion: Criterion, *events: EventData) -> bool:
    """Whether a condition with `criterion`, after the log so far, fails once `events` are there."""
    after = await store.head()
    await settle(store, add(to("seat-1", *events)))
    try:
        await settle(store, add(to("seat-2"), condition=unless(criterion, after=after)))
    except ConditionFailed:
        return True
    return False
