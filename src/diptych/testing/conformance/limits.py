"""What no store accepts: refused with a typed error that names it, and nothing written."""

from collections.abc import Awaitable, Iterator, Sequence
from datetime import datetime
from uuid import uuid4

import pytest

from diptych.errors import InvalidInput, LimitExceeded
from diptych.store.contract import Append, CommandKey, EventStore, Load, Point, StreamVersion, Write
from diptych.store.limits import (
    MAX_APPEND_BYTES,
    MAX_APPEND_EVENTS,
    MAX_APPEND_WRITES,
    MAX_EVENT_BYTES,
    MAX_METADATA_BYTES,
    MAX_NAME_BYTES,
    MAX_TAGS,
    MAX_VERSION,
)
from diptych.testing.conformance.steps import (
    Suite,
    about,
    add,
    command,
    happened,
    refused,
    settle,
    to,
    unless,
)

_NOT_NAMES = ["", " order-1", "order-1 ", "order\x00-1", "order\ud800-1", "order\n-1", "\u200b-1"]


class LimitConformance(Suite):
    async def test_an_event_over_a_megabyte_is_refused(self, store: EventStore) -> None:
        await _limited(store, add(to("order-1", happened(data=b"x" * (MAX_EVENT_BYTES + 1)))))

    async def test_an_append_over_four_megabytes_is_refused(self, store: EventStore) -> None:
        event = happened(data=b"x" * (MAX_APPEND_BYTES // 5 + 1))
        await _limited(store, add(to("order-1", event, event), to("order-2", event, event, event)))

    async def test_more_than_ten_thousand_events_are_refused(self, store: EventStore) -> None:
        events = [happened()] * (MAX_APPEND_EVENTS // 2 + 1)
        await _limited(store, add(to("order-1", *events), to("order-2", *events)))

    async def test_more_than_five_hundred_writes_are_refused(self, store: EventStore) -> None:
        await _limited(store, add(*(to(f"order-{n}") for n in range(MAX_APPEND_WRITES + 1))))

    async def test_metadata_over_eight_kilobytes_are_refused(self, store: EventStore) -> None:
        await _limited(store, add(to("order-1"), metadata=b"x" * (MAX_METADATA_BYTES + 1)))

    async def test_more_than_32_tags_of_an_event_are_refused(self, store: EventStore) -> None:
        tags = [f"tag:{n}" for n in range(MAX_TAGS + 1)]
        await _limited(store, add(to("order-1", happened(tags=tags))))

    async def test_names_over_512_bytes_are_refused(self, store: EventStore) -> None:
        for name in ("x" * (MAX_NAME_BYTES + 1), "💶" * (MAX_NAME_BYTES // 4) + "x"):
            for append in _with_name(name):
                await _limited(store, append)

    async def test_names_that_are_not_printable_text_are_refused(self, store: EventStore) -> None:
        for name in _NOT_NAMES:
            for append in _with_name(name):
                await _invalid(store, append)

    async def test_a_stream_twice_in_an_append_is_refused(self, store: EventStore) -> None:
        await _invalid(store, add(to("order-1"), to("order-2"), to("order-1")))

    async def test_a_write_without_events_is_refused(self, store: EventStore) -> None:
        await _invalid(store, add(to("order-1"), Write("order-2", (), 0)))

    async def test_a_version_out_of_range_is_refused(self, store: EventStore) -> None:
        for version in (-1, MAX_VERSION + 1):
            await _invalid(store, add(to("order-1", expecting=version)))

    async def test_a_condition_out_of_range_is_refused(self, store: EventStore) -> None:
        for position in (-1, MAX_VERSION + 1):
            condition = unless(about(), after=Point(position))
            await _invalid(store, add(to("order-1"), condition=condition))

    async def test_a_command_of_another_tenant_than_its_append_is_refused(
        self, store: EventStore
    ) -> None:
        await _invalid(store, add(to("order-1"), record=command(tenant="south"), tenant="north"))

    async def test_bytes_that_are_not_text_are_refused(self, store: EventStore) -> None:
        await _invalid(store, add(to("order-1"), metadata=b'{"actor":"\xff"}'))
        await _invalid(store, add(to("order-1"), to("order-2", happened(data=b'{"a":"\xff"}'))))

    async def test_a_time_without_a_zone_is_refused(self, store: EventStore) -> None:
        naive = datetime(2026, 11, 21, 12)  # noqa: DTZ001 - what is to be refused
        await _invalid(store, add(to("order-1"), to("order-2", happened(occurred_at=naive))))

    async def test_reads_refuse_what_no_append_accepts(self, store: EventStore) -> None:
        for call in _impossible_reads(store):
            with pytest.raises(InvalidInput):
                await call

    async def test_nothing_to_do_is_refused(self, store: EventStore) -> None:
        async with refused(store, InvalidInput):
            await store.append(Append(()))

    async def test_what_is_refused_leaves_no_record_of_its_command(self, store: EventStore) -> None:
        record = command()
        await _invalid(store, add(to(" "), record=record))
        assert await store.find(record.key) is None


def _impossible_reads(store: EventStore) -> Iterator[Awaitable[object]]:
    yield store.read(limit=0)
    yield store.read(after=Point(-1))
    yield store.read(after=Point(MAX_VERSION + 1))
    yield store.load(Load("order-1", after=-1))
    yield store.load(Load(""))
    for name in (*_NOT_NAMES[1:], "x" * (MAX_NAME_BYTES + 1)):
        yield store.load(Load(name))
        yield store.load(Load("order-1", name))
        yield store.load(Load("order-1", command=CommandKey("", name, uuid4())))
        yield store.find(CommandKey(name, "", uuid4()))
        yield store.read(tenant=name)
        yield store.read(criteria=(about(name),))
        yield store.read(criteria=(about(tags=("fine", name)),))


def _with_name(name: str) -> Sequence[Append]:
    """An append for each place where a name stands; tenant and principal may be empty."""
    appends = [
        add(to("order-1"), to(name)),
        add(to("order-1", happened(), happened(name))),
        add(to("order-1", happened(tags=("fine", name)))),
    ]
    if name:
        appends += [
            add(to("order-1"), tenant=name),
            add(to("order-1"), record=command(principal=name)),
            add(to("order-1"), condition=unless(about("Fine"), about(name))),
            add(to("order-1"), condition=unless(about(tags=("fine", name)))),
            Append((), command=command(streams=(StreamVersion(name, 0),))),
        ]
    return appends


async def _limited(store: EventStore, append: Append) -> None:
    async with refused(store, LimitExceeded) as refusal:
        await settle(store, append)
    assert refusal.value.limit > 0


async def _invalid(store: EventStore, append: Append) -> None:
    async with refused(store, InvalidInput) as refusal:
        await settle(store, append)
    assert refusal.value.field
