"""Reading the log: pages, filters, how far a page looked, and points that must fit."""

from itertools import product
from uuid import uuid4

import pytest

from diptych.errors import HistoryDiverged
from diptych.messages import EventData, RecordedEvent
from diptych.store.contract import START, Criterion, EventStore, Point, category_of
from diptych.store.limits import MAX_APPEND_EVENTS
from diptych.testing.conformance.steps import Suite, about, add, happened, load, log_of, settle, to


class ReadConformance(Suite):
    async def test_an_empty_log_reads_as_an_empty_page_at_its_head(self, store: EventStore) -> None:
        page = await store.read()
        assert (list(page.events), page.scanned, page.head) == ([], START, 0)

    async def test_the_log_is_read_in_the_order_of_its_positions(self, store: EventStore) -> None:
        log = await _mixed(store)
        assert [event.position for event in log] == sorted({event.position for event in log})
        assert len(log) == 40

    async def test_after_is_exclusive(self, store: EventStore) -> None:
        log = await _mixed(store)
        for place in (0, 17, 39):
            assert await log_of(store, after=_point(log[place])) == log[place + 1 :]

    async def test_a_page_has_at_most_limit_events_and_tells_the_last(
        self, store: EventStore
    ) -> None:
        log = await _mixed(store)
        page = await store.read(after=_point(log[4]), limit=3)
        assert 1 <= len(page.events) <= 3
        assert list(page.events) == log[5 : 5 + len(page.events)]
        assert (page.scanned, page.head) == (_point(page.events[-1]), log[-1].position)

    async def test_a_page_after_the_head_is_empty_and_stays_there(self, store: EventStore) -> None:
        last = (await _mixed(store))[-1]
        for categories in (None, frozenset({"none"})):
            page = await store.read(after=_point(last), categories=categories)
            assert (list(page.events), page.scanned) == ([], _point(last))
            assert page.head == last.position

    async def test_pages_of_big_events_add_up_to_the_log(self, store: EventStore) -> None:
        for n in range(12):
            await settle(store, add(to(f"order-{n}", happened(data=b'"%s"' % (b"x" * 900_000)))))
        assert [event.stream for event in await log_of(store)] == [f"order-{n}" for n in range(12)]

    async def test_pages_of_any_size_add_up_to_the_log(self, store: EventStore) -> None:
        log = await _mixed(store)
        for limit in (1, 2, 7, 39, 40, 41):
            assert await log_of(store, limit=limit) == log

    async def test_a_category_is_what_stands_before_the_first_dash(self, store: EventStore) -> None:
        names = ["order-1", "orders-1", "order", "order-x-2", "orde-1", "Order-1", "order_1-1"]
        await settle(store, add(*map(to, names)))
        found = await log_of(store, categories=frozenset({"order"}))
        assert [event.stream for event in found] == ["order-1", "order", "order-x-2"]

    async def test_a_read_of_several_categories_keeps_the_order_of_the_log(
        self, store: EventStore
    ) -> None:
        wanted = frozenset({"a", "c"})
        expected = [e for e in await _mixed(store) if category_of(e.stream) in wanted]
        assert await log_of(store, categories=wanted) == expected

    async def test_a_read_by_criteria_finds_what_meets_any_of_them(self, store: EventStore) -> None:
        log = await _mixed(store)
        for criteria in _CRITERIA:
            expected = [event for event in log if _meets(event, criteria)]
            assert await log_of(store, criteria=criteria) == expected

    async def test_empty_filters_match_nothing_and_still_get_to_the_head(
        self, store: EventStore
    ) -> None:
        await _mixed(store)
        assert await log_of(store, criteria=()) == []
        assert await log_of(store, categories=frozenset()) == []

    async def test_all_filters_must_be_met_on_pages_of_any_size(self, store: EventStore) -> None:
        log = await _mixed(store)
        some = frozenset({"a", "b"})
        for criteria, tenant, limit in product(_CRITERIA, ("", "north"), (1, 2, 5)):
            found = await log_of(
                store, limit=limit, categories=some, criteria=criteria, tenant=tenant
            )
            assert found == [
                event
                for event in log
                if _meets(event, criteria)
                and event.tenant == tenant
                and category_of(event.stream) in some
            ]

    async def test_a_filtered_read_passes_over_what_does_not_match(self, store: EventStore) -> None:
        await settle(store, add(to("noise-1", *(happened("Noise") for _ in range(300)))))
        await settle(store, add(to("order-1", happened("Wanted"))))
        await settle(store, add(to("noise-1", *(happened("Noise") for _ in range(300)))))
        await settle(store, add(to("order-1", happened("Wanted"))))
        await settle(store, add(to("noise-1", happened("Noise"))))
        for limit in (1, 2, 100):
            by_type = await log_of(store, limit=limit, criteria=(about("Wanted"),))
            by_category = await log_of(store, limit=limit, categories=frozenset({"order"}))
            assert [event.version for event in by_type] == [1, 2]
            assert by_category == by_type

    async def test_a_filtered_read_finds_what_is_rare_in_a_long_log(
        self, store: EventStore
    ) -> None:
        for size in (MAX_APPEND_EVENTS, 500):
            noise = EventData("Noise", b"{}", uuid4())
            await settle(store, add(to("noise-1", *[noise] * size)))
            await settle(store, add(to("order-1", happened("Wanted", tags=("rare",)))))
        rare = (await load(store, "order-1")).events
        assert await log_of(store, categories=frozenset({"order"})) == rare
        assert await log_of(store, criteria=(about("Wanted"),), limit=1) == rare
        assert await log_of(store, criteria=(about(tags=("rare",)), about("Unheard"))) == rare
        assert await log_of(store, criteria=(about("Noise", tags=("rare",)),)) == []

    async def test_a_filtered_page_tells_how_far_it_looked(self, store: EventStore) -> None:
        await settle(store, add(to("noise-1", *(happened() for _ in range(5)))))
        points = [START, *map(_point, await log_of(store))]
        after, pages = START, 0
        while after.position < points[-1].position:
            page = await store.read(after=after, categories=frozenset({"order"}), limit=2)
            assert page.scanned in points
            assert page.head == points[-1].position
            after, pages = page.scanned, pages + 1
            assert pages <= 5

    async def test_a_filtered_page_never_looks_past_an_event_that_it_leaves_out(
        self, store: EventStore
    ) -> None:
        await _mixed(store)
        page = await store.read(limit=2, categories=frozenset({"b"}))
        rest = await log_of(store, after=page.scanned, categories=frozenset({"b"}))
        assert [*page.events, *rest] == await log_of(store, categories=frozenset({"b"}))

    async def test_a_point_with_the_right_event_is_accepted_whether_or_not_it_matches(
        self, store: EventStore
    ) -> None:
        for event in await _mixed(store):
            after = _point(event)
            await store.read(after=after, limit=1)
            await store.read(after=after, limit=1, categories=frozenset({"none"}))

    async def test_a_point_without_an_event_id_is_not_compared(self, store: EventStore) -> None:
        log = await _mixed(store)
        assert await log_of(store, after=Point(log[9].position)) == log[10:]

    async def test_a_page_after_a_place_that_the_log_has_not_reached_is_empty(
        self, store: EventStore
    ) -> None:
        log = await _mixed(store)
        page = await store.read(after=Point(log[-1].position + 5))
        assert list(page.events) == []
        assert page.scanned.position == log[-1].position + 5
        assert page.head == log[-1].position

    async def test_a_point_with_another_event_is_refused(self, store: EventStore) -> None:
        for event in (await _mixed(store))[::13]:
            with pytest.raises(HistoryDiverged) as refusal:
                await store.read(after=Point(event.position, uuid4()))
            assert refusal.value.position == event.position

    async def test_a_point_beyond_the_head_is_refused(self, store: EventStore) -> None:
        await _mixed(store)
        beyond = (await store.head()).position + 1
        with pytest.raises(HistoryDiverged) as refusal:
            await store.read(after=Point(beyond, uuid4()))
        assert refusal.value.position == beyond

    async def test_a_point_is_compared_in_filtered_reads_too(self, store: EventStore) -> None:
        await _mixed(store)
        position = (await store.head()).position
        for wrong in (Point(position, uuid4()), Point(position + 1, uuid4())):
            with pytest.raises(HistoryDiverged):
                await store.read(after=wrong, categories=frozenset({"a"}))
            with pytest.raises(HistoryDiverged):
                await store.read(after=wrong, criteria=(about("Opened"),), tenant="north")

    async def test_the_head_of_an_empty_log_is_the_start(self, store: EventStore) -> None:
        assert await store.head() == START

    async def test_the_head_is_the_last_event(self, store: EventStore) -> None:
        log = await _mixed(store)
        assert await store.head() == _point(log[-1])


_CRITERIA: list[tuple[Criterion, ...]] = [
    (about("Opened"),),
    (about("Opened", "Closed"),),
    (about(tags=("odd:1",)),),
    (about("Opened", tags=("odd:1",)),),
    (about(tags=("odd:1", "third:0")),),
    (about("Closed", tags=("third:0",)), about(tags=("odd:1", "third:1"))),
    (about(),),
    (about("Unheard"),),
]


async def _mixed(store: EventStore) -> list[RecordedEvent]:
    """A log of forty events of three categories, four types, two tenants, two kinds of tags."""
    written: list[tuple[str, EventData]] = []
    for n in range(20):
        types = ("Opened", "Closed", "Moved", "Painted")[n % 4], ("Opened", "Closed")[n % 2]
        tags = f"odd:{n % 2}", f"third:{n % 3}"
        writes = [
            to(f"{'abc'[n % 3]}-{n}", happened(types[0], tags=tags)),
            to(f"{'bca'[n % 3]}-{n}", happened(types[1], tags=tags[: n % 3])),
        ]
        await settle(store, add(*writes, tenant="north" if n % 3 else ""))
        written += [(write.stream, write.events[0]) for write in writes]
    log = await log_of(store)
    assert [(event.stream, event.type, event.tags, event.event_id) for event in log] == [
        (stream, event.type, event.tags, event.event_id) for stream, event in written
    ]
    return log


def _meets(event: RecordedEvent, criteria: tuple[Criterion, ...]) -> bool:
    return any(criterion.matches(event.type, event.tags) for criterion in criteria)


def _point(event: RecordedEvent) -> Point:
    return Point(event.position, event.event_id)
