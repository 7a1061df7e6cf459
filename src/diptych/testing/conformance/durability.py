"""What a durable store still knows after it was closed and opened again."""

import asyncio

from msgspec.structs import replace

from diptych.errors import CommandIdReused, ConcurrencyError
from diptych.store.contract import Append, StreamVersion
from diptych.testing.conformance.steps import (
    NewStore,
    Suite,
    about,
    add,
    at_once,
    command,
    happened,
    load,
    log_of,
    opened,
    outcomes,
    refused,
    settle,
    to,
    turns,
)


class DurableConformance(Suite):
    """For stores whose `new_store` opens the same log each time it is called."""

    async def test_a_log_that_is_opened_again_has_the_same_id(self, new_store: NewStore) -> None:
        async with opened(new_store()) as store:
            log_id = store.log_id
        async with opened(new_store()) as store:
            assert store.log_id == log_id

    async def test_a_log_that_is_opened_again_has_every_event_as_it_was(
        self, new_store: NewStore
    ) -> None:
        async with opened(new_store()) as store:
            event = happened("Booked", b'{"a": 1}', tags=("row:a", "seat:1"))
            await settle(store, add(to("seat-1", event, happened()), tenant="north"))
            before = await log_of(store), await store.head()
        async with opened(new_store()) as store:
            assert (await log_of(store), await store.head()) == before
            found = await log_of(store, criteria=(about(tags=("seat:1",)),))
            assert [event.event_id for event in found] == [event.event_id]

    async def test_versions_go_on_where_they_were(self, new_store: NewStore) -> None:
        async with opened(new_store()) as store:
            await settle(store, add(to("order-1", happened(), happened())))
        async with opened(new_store()) as store:
            async with refused(store, ConcurrencyError):
                await settle(store, add(to("order-1", expecting=0)))
            await settle(store, add(to("order-1", expecting=2)))
            assert [event.version for event in (await load(store, "order-1")).events] == [1, 2, 3]

    async def test_positions_go_on_where_they_were(self, new_store: NewStore) -> None:
        seen: list[int] = []
        for _ in range(4):
            async with opened(new_store()) as store:
                head = await store.head()
                seen.append((await settle(store, add(to("order-1")))).point.position)
                assert head.position < seen[-1]
        assert seen == sorted(set(seen))

    async def test_commands_are_remembered(self, new_store: NewStore) -> None:
        append = add(to("order-1", expecting=0))
        nothing = Append((), command=command(streams=(StreamVersion("order-1", 1),)))
        async with opened(new_store()) as store:
            firsts = [await settle(store, append), await settle(store, nothing)]
        async with opened(new_store()) as store:
            again = [await settle(store, append), await settle(store, nothing)]
            assert again == [replace(first, repeated=True) for first in firsts]
            assert append.command is not None
            async with refused(store, CommandIdReused):
                other = replace(append.command, hash=b"other")
                await settle(store, add(to("order-1"), record=other))

    async def test_what_was_answered_while_the_store_was_closing_is_there(
        self, new_store: NewStore
    ) -> None:
        async with opened(new_store()) as store:
            appends = [add(to(f"order-{n}")) for n in range(40)]
            waiting = [asyncio.create_task(settle(store, append)) for append in appends]
            await turns(2)
            await store.close()
            answered = outcomes(await at_once(*waiting))
        async with opened(new_store()) as store:
            there = {(event.position, event.event_id) for event in await log_of(store)}
        assert {tuple(outcome.point) for outcome in answered} <= there
