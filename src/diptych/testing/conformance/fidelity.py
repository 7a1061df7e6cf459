"""What is appended comes back exactly: bytes, ids, tags, times, any text, any allowed size."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import uuid4

from diptych.messages import EventData, Metadata, RecordedEvent
from diptych.store.contract import EventStore
from diptych.store.limits import (
    MAX_APPEND_EVENTS,
    MAX_APPEND_WRITES,
    MAX_EVENT_BYTES,
    MAX_METADATA_BYTES,
    MAX_NAME_BYTES,
    MAX_TAGS,
)
from diptych.testing.conformance.steps import (
    Suite,
    about,
    add,
    command,
    happened,
    load,
    log_of,
    settle,
    to,
)

_ODD_NAMES = [
    "ordér-💶-日本",
    "e\u0301-é",
    'it\'s "quoted"; --',
    "100%_\\x-{}[]$1:name?",
    "עברית-العربية",
    "💶" * (MAX_NAME_BYTES // 4),
]
_TIMES = [
    datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC),
    datetime(2026, 3, 29, 2, 30, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    datetime(1899, 12, 31, 23, 59, 59, 999999, tzinfo=timezone(timedelta(hours=-8))),
    datetime(9999, 12, 31, tzinfo=UTC),
]


class FidelityConformance(Suite):
    async def test_data_comes_back_byte_for_byte(self, store: EventStore) -> None:
        given = [
            b"{}",
            b'{"b": 1, "a":\t[1.0, 1e2, 12345678901234567890.10]}',
            '{"text":"ünïcödé 💶 \u2028"}'.encode(),
            rb'{"escaped":"\u00fc \u0000 \ud83d\ude00 \/"}',
            b'{"a":1,"a":2}',
        ]
        await settle(store, add(to("order-1", *(happened(data=data) for data in given))))
        for events in await _both_ways(store):
            assert [event.data for event in events] == given
            assert {type(event.data) for event in events} == {bytes}

    async def test_metadata_comes_back_with_every_event_of_its_append(
        self, store: EventStore
    ) -> None:
        first, second = (Metadata(uuid4(), uuid4(), uuid4(), actor) for actor in ("ann", "bøb 💶"))
        await settle(store, add(to("order-1", happened(), happened()), metadata=first.to_json()))
        await settle(store, add(to("order-1"), metadata=second.to_json()))
        for events in await _both_ways(store):
            assert [event.metadata_json for event in events] == [
                first.to_json(),
                first.to_json(),
                second.to_json(),
            ]
            assert [event.metadata for event in events] == [first, first, second]

    async def test_event_ids_and_types_come_back(self, store: EventStore) -> None:
        given = [happened("Opened"), happened("Closed.v2")]
        await settle(store, add(to("order-1", *given)))
        for events in await _both_ways(store):
            assert [(event.event_id, event.type) for event in events] == [
                (event.event_id, event.type) for event in given
            ]

    async def test_tags_come_back_as_they_were_given(self, store: EventStore) -> None:
        many = tuple(f"tag:{n}" for n in range(MAX_TAGS, 0, -1))
        given = [("seat:1", "row:a"), (), ("seat:1",), ("b", "a", "b"), many]
        await settle(store, add(to("order-1", *(happened(tags=tags) for tags in given))))
        for events in await _both_ways(store):
            assert [event.tags for event in events] == given

    async def test_tags_come_back_from_a_read_that_asks_for_one_of_them(
        self, store: EventStore
    ) -> None:
        await settle(store, add(to("order-1", happened(tags=("seat:1", "row:a")))))
        (event,) = await log_of(store, criteria=(about(tags=("row:a",)),))
        assert event.tags == ("seat:1", "row:a")

    async def test_the_time_of_an_imported_event_comes_back_aware_and_exact(
        self, store: EventStore
    ) -> None:
        await settle(store, add(to("order-1", *(happened(occurred_at=at) for at in _TIMES))))
        for events in await _both_ways(store):
            assert [event.occurred_at for event in events] == _TIMES
            assert [event.at for event in events] == _TIMES

    async def test_an_event_id_may_be_recorded_twice(self, store: EventStore) -> None:
        event = happened()
        await settle(store, add(to("order-1", event, event)))
        await settle(store, add(to("order-1", event)))
        for events in await _both_ways(store):
            assert [found.event_id for found in events] == [event.event_id] * 3

    async def test_the_time_of_recording_has_microseconds_and_never_runs_backwards(
        self, store: EventStore
    ) -> None:
        for _ in range(30):
            await settle(store, add(to("order-1", happened(), happened())))
        for events in await _both_ways(store):
            times = [event.recorded_at for event in events]
            assert times == sorted(times)
            assert any(time.microsecond % 1000 for time in times)

    async def test_the_time_of_recording_is_aware_and_in_utc(self, store: EventStore) -> None:
        await settle(store, add(to("order-1", happened(), happened(occurred_at=_TIMES[0]))))
        for events in await _both_ways(store):
            assert all(event.recorded_at.utcoffset() == timedelta(0) for event in events)
            assert [event.occurred_at for event in events] == [None, _TIMES[0]]
            assert events[0].at == events[0].recorded_at

    async def test_any_printable_text_is_a_name(self, store: EventStore) -> None:
        for name in _ODD_NAMES:
            record = command(tenant=name, principal=name)
            write = to(name, happened(name, tags=(name,)), expecting=0)
            await settle(store, add(write, record=record, tenant=name))
            (event,) = (await load(store, name, tenant=name)).events
            assert (event.tenant, event.stream, event.type, event.tags) == (name,) * 3 + ((name,),)
            assert await store.find(record.key) is not None
            assert await log_of(store, criteria=(about(name, tags=(name,)),)) == [event]
            assert await log_of(store, tenant=name) == [event]

    async def test_an_event_may_have_a_megabyte(self, store: EventStore) -> None:
        data = b'{"text":"%s"}' % (b"x" * (MAX_EVENT_BYTES - 11))
        assert len(data) == MAX_EVENT_BYTES
        await settle(store, add(to("order-1", happened(data=data))))
        assert [event.data for event in await log_of(store)] == [data]

    async def test_metadata_may_have_eight_kilobytes(self, store: EventStore) -> None:
        metadata = b'{"actor":"%s"}' % (b"x" * (MAX_METADATA_BYTES - 12))
        assert len(metadata) == MAX_METADATA_BYTES
        await settle(store, add(to("order-1"), metadata=metadata))
        assert [event.metadata_json for event in await log_of(store)] == [metadata]

    async def test_an_append_may_write_to_five_hundred_streams(self, store: EventStore) -> None:
        names = [f"order-{n}" for n in range(MAX_APPEND_WRITES)]
        outcome = await settle(store, add(*(to(name, expecting=0) for name in names)))
        assert [stream for stream, version in outcome.streams if version == 1] == names
        assert [event.stream for event in await log_of(store)] == names

    async def test_an_append_may_have_ten_thousand_events(self, store: EventStore) -> None:
        given = [
            EventData("Happened", b"{}", uuid4(), ("tag:1",)) for _ in range(MAX_APPEND_EVENTS)
        ]
        await settle(store, add(to("order-1", *given[:6000]), to("order-2", *given[6000:])))
        assert [e.event_id for e in await log_of(store)] == [e.event_id for e in given]
        assert (await load(store, "order-2")).version == 4000


async def _both_ways(store: EventStore) -> tuple[list[RecordedEvent], list[RecordedEvent]]:
    """The events of the stream `order-1`, by `load` and by `read`."""
    return list((await load(store, "order-1")).events), await log_of(store)
