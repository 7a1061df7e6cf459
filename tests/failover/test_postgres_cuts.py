"""The wire is cut around the commit: an append with a command record still takes effect once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from diptych.errors import OutcomeUnknown, StorageUnavailable
from diptych.store.contract import ANY_VERSION, START, Append, Appended, EventStore, Write
from diptych.store.postgres.store import PostgresEventStore
from diptych.testing.conformance.steps import add, at_once, happened, log_of, opened, outcomes, to
from diptych.testing.waiting import wait_until
from tests.failover.history import Asked, HistoryViolated, demand
from tests.failover.load import loading
from tests.servers.proxy import Proxy, Trap, proxy_to


@dataclass(frozen=True)
class Wire:
    """`store` is reached through the proxy, `past` is not."""

    proxy: Proxy
    store: EventStore
    past: EventStore


@pytest.fixture
async def wire(postgres_url: str) -> AsyncIterator[Wire]:
    async with (
        proxy_to(postgres_url) as (proxy, url),
        opened(PostgresEventStore(url)) as store,
        opened(PostgresEventStore(postgres_url)) as past,
    ):
        yield Wire(proxy, store, past)


def marked(data: bytes) -> bool:
    """Whether it is the call that appends to the stream `marked-1`."""
    return b"marked-1" in data


CUTS: list[Callable[[Proxy], Trap]] = [
    lambda proxy: proxy.cut_before_request(marked),
    lambda proxy: proxy.cut_after_request(marked),
    lambda proxy: proxy.cut_before_answer(marked),
]
every_cut = pytest.mark.parametrize(
    "cut", CUTS, ids=["before request", "after it", "before answer"]
)


@every_cut
async def test_an_append_with_a_command_takes_effect_once(
    wire: Wire, cut: Callable[[Proxy], Trap]
) -> None:
    trap = cut(wire.proxy)
    append = add(to("marked-1", happened(), happened(), expecting=0))
    appended = await wire.store.append(append)
    assert trap.sprung.is_set()
    assert (appended.point.position, appended.streams[0].version) == (2, 2)
    assert len(await log_of(wire.past)) == 2


async def test_what_was_committed_before_the_cut_is_known_as_repeated(wire: Wire) -> None:
    wire.proxy.cut_before_answer(marked)
    assert (await wire.store.append(add(to("marked-1")))).repeated
    wire.proxy.cut_before_request(marked)
    assert not (await wire.store.append(add(to("marked-1")))).repeated


@every_cut
async def test_an_append_without_a_command_is_not_sent_again(
    wire: Wire, cut: Callable[[Proxy], Trap]
) -> None:
    cut(wire.proxy)
    with pytest.raises(OutcomeUnknown):
        await wire.store.append(Append((Write("marked-1", (happened(),), ANY_VERSION),)))
    assert len(await log_of(wire.past)) in {0, 1}


@every_cut
async def test_all_members_of_a_batch_that_was_cut_take_effect_once(
    wire: Wire, cut: Callable[[Proxy], Trap]
) -> None:
    cut(wire.proxy)
    appends = [add(to("marked-1"), to(f"order-{n}", expecting=0)) for n in range(30)]
    answers = outcomes(await at_once(*(wire.store.append(append) for append in appends)))
    assert len({answer.point for answer in answers}) == 30
    log = await log_of(wire.past)
    assert [event.position for event in log] == list(range(1, 61))


async def test_a_server_that_is_out_of_reach_for_too_long_is_an_error_and_nothing_was_written(
    postgres_url: str,
) -> None:
    async with (
        proxy_to(postgres_url) as (proxy, url),
        opened(PostgresEventStore(url, patience=0.3)) as store,
    ):
        proxy.refuse()
        with pytest.raises((StorageUnavailable, OutcomeUnknown)):
            await store.append(add(to("order-1")))  # it may be on its way when the wire is cut
        with pytest.raises(StorageUnavailable):
            await store.append(add(to("order-2")))
        proxy.resume()
        await store.append(add(to("order-3", expecting=0)))
        assert [event.stream for event in await log_of(store)] == ["order-3"]


async def test_a_server_that_falls_silent_loses_its_connections_and_all_is_settled(
    postgres_url: str,
) -> None:
    """A machine that vanished sends no reset: only a deadline ends the wait."""
    async with (
        proxy_to(postgres_url) as (proxy, url),
        opened(PostgresEventStore(url, deadline=0.2)) as store,
    ):
        await store.append(add(to("order-1")))
        proxy.stall()
        before = proxy.accepted
        append = asyncio.create_task(store.append(add(to("order-2", expecting=0))))
        read = asyncio.create_task(log_of(store))
        await wait_until(lambda: proxy.accepted >= before + 2)
        assert not append.done()
        assert not read.done()
        proxy.resume()
        await append
        assert await read in (await log_of(store), (await log_of(store))[:1])
        assert [event.stream for event in await log_of(store)] == ["order-1", "order-2"]


async def test_connections_that_are_cut_again_and_again_under_load_lose_and_double_nothing(
    wire: Wire,
) -> None:
    async with loading(wire.store, clients=12) as load:
        for _ in range(12):
            await load.more(8)
            wire.proxy.cut()
    await load.settle(wire.store)
    demand(load.history, await log_of(wire.past))


async def careless(store: EventStore, append: Append) -> Appended:
    """What we do not do: send it again without a record of the first time."""
    bare = replace(append, command=None)
    try:
        return await store.append(bare)
    except OutcomeUnknown:
        return await store.append(bare)


async def hopeful(store: EventStore, append: Append) -> Appended:
    """What we do not do either: take a lost answer for a good one."""
    try:
        return await store.append(replace(append, command=None))
    except OutcomeUnknown:
        return Appended(START, ())


@pytest.mark.parametrize(
    ("client", "cut", "finding"),
    [
        (careless, CUTS[2], "more than once"),
        (hopeful, CUTS[0], "lost"),
    ],
)
async def test_the_checker_finds_what_a_careless_client_would_do_to_the_log(
    wire: Wire,
    client: Callable[[EventStore, Append], Awaitable[Appended]],
    cut: Callable[[Proxy], Trap],
    finding: str,
) -> None:
    cut(wire.proxy)
    asked = Asked(add(to("marked-1", happened())), began=1.0, ended=2.0)
    asked.acknowledged = await client(wire.store, asked.append)
    with pytest.raises(HistoryViolated, match=finding):
        demand([asked], await log_of(wire.past))
