"""Loading one stream: its events after a version, and where it stands."""

from diptych.messages import RecordedEvent
from diptych.store.contract import START, EventStore, Load
from diptych.testing.conformance.steps import (
    Suite,
    add,
    at_once,
    happened,
    load,
    log_of,
    settle,
    to,
)


class LoadConformance(Suite):
    async def test_a_stream_that_does_not_exist_is_at_version_zero(self, store: EventStore) -> None:
        await settle(store, add(to("order-1")))
        loaded = await load(store, "order-2")
        assert (list(loaded.events), loaded.version, loaded.point) == ([], 0, START)

    async def test_a_load_gives_the_stream_and_nothing_else(self, store: EventStore) -> None:
        await settle(store, add(to("a-1"), to("a-2"), to("b-2")))
        await settle(store, add(to("a-2"), to("a-1")))
        expected = [event for event in await log_of(store) if event.stream == "a-2"]
        assert list((await load(store, "a-2")).events) == expected
        assert len(expected) == 2

    async def test_a_load_gives_the_events_after_a_version(self, store: EventStore) -> None:
        await settle(store, add(to("order-1", *(happened() for _ in range(5)))))
        events = (await load(store, "order-1", after=3)).events
        assert [event.version for event in events] == [4, 5]

    async def test_version_and_point_are_those_of_the_stream_whatever_was_asked_for(
        self, store: EventStore
    ) -> None:
        await settle(store, add(to("order-1", happened(), happened(), happened())))
        last = (await log_of(store))[-1]
        await settle(store, add(to("other-1")))
        for after in (0, 1, 3, 9):
            loaded = await load(store, "order-1", after=after)
            assert len(loaded.events) == max(0, 3 - after)
            assert (loaded.version, loaded.point) == (3, (last.position, last.event_id))

    async def test_a_long_stream_is_loaded_to_its_end(self, store: EventStore) -> None:
        for _ in range(3):
            await settle(store, add(to("order-1", *(happened() for _ in range(900)))))
        loaded = await load(store, "order-1")
        assert [event.version for event in loaded.events] == list(range(1, 2701))
        assert loaded.version == 2700

    async def test_many_loads_at_once_each_get_what_they_asked_for(self, store: EventStore) -> None:
        for n in range(8):
            events = [happened() for _ in range(n)]
            tenant = "north" if n % 2 else ""
            await settle(store, add(to("order-1", *events), to(f"order-{n}x"), tenant=tenant))
        asked = [
            Load(stream, tenant, after)
            for stream in ("order-1", "order-3x", "order-4x", "order-9x")
            for tenant in ("", "north", "south")
            for after in (0, 1, 3, 100)
        ]
        log = await log_of(store)
        answers = await at_once(*map(store.load, asked))
        for ask, answer in zip(asked, answers, strict=True):
            assert not isinstance(answer, BaseException)
            stream = _stream_of(log, ask)
            assert list(answer.events) == stream[ask.after :]
            assert answer.version == len(stream)


def _stream_of(log: list[RecordedEvent], ask: Load) -> list[RecordedEvent]:
    return [event for event in log if (event.tenant, event.stream) == (ask.tenant, ask.stream)]
