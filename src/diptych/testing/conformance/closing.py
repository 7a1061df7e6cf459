"""Open and close: what is closed refuses, what was accepted is answered, nobody hangs."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress

import pytest

from diptych.errors import StoreClosed
from diptych.store.contract import Appended, EventStore, Load
from diptych.store.snapshots import SnapshotKey
from diptych.testing.conformance.steps import (
    NewStore,
    Suite,
    add,
    at_once,
    command,
    deadline,
    opened,
    settle,
    to,
    turns,
)


class ClosingConformance(Suite):
    async def test_a_store_refuses_everything_before_it_is_opened(
        self, new_store: NewStore
    ) -> None:
        for call in _calls(new_store()):
            with pytest.raises(StoreClosed):
                await call()

    async def test_a_closed_store_refuses_everything(self, new_store: NewStore) -> None:
        async with opened(new_store()) as store:
            await settle(store, add(to("order-1")))
        for call in _calls(store):
            with pytest.raises(StoreClosed):
                async with deadline():
                    await call()

    async def test_a_store_may_be_closed_twice(self, new_store: NewStore) -> None:
        async with opened(new_store()) as store:
            await store.close()

    async def test_closing_answers_every_append_that_was_accepted(
        self, new_store: NewStore
    ) -> None:
        async with opened(new_store()) as store:
            waiting = [asyncio.create_task(settle(store, add(to(f"a-{n}")))) for n in range(50)]
            await turns(1)
            async with deadline():
                await store.close()
            answers = await at_once(*waiting)
        assert all(isinstance(answer, Appended | StoreClosed) for answer in answers)

    async def test_closing_lets_waiting_followers_go(self, new_store: NewStore) -> None:
        async with opened(new_store()) as store:
            waiting = asyncio.create_task(store.moved(0))
            await turns(10)
            await store.close()
            with suppress(StoreClosed):
                async with deadline():
                    await waiting


def _calls(store: EventStore) -> Iterator[Callable[[], Awaitable[object]]]:
    yield lambda: store.append(add(to("order-1")))
    yield lambda: store.load(Load("order-1"))
    yield lambda: store.find(command().key)
    yield store.read
    yield store.head
    yield lambda: store.moved(0)
    yield lambda: store.snapshots.find(SnapshotKey("", "order-1", "rule"))
