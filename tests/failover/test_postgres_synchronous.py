"""A commit that was not replicated is not acknowledged, whatever ends the wait for the standby."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

from diptych.errors import OutcomeUnknown, StorageReadOnly
from diptych.store.contract import ANY_VERSION, Append, EventStore, Write
from diptych.store.postgres.store import PostgresEventStore
from diptych.testing.conformance.steps import add, command, happened, opened, to
from diptych.testing.waiting import wait_until
from tests.servers.postgres import PostgresServer, own_server

WAITING = "SELECT pid, query_start FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@dataclass(frozen=True)
class Replicated:
    """A primary whose standby does not receive any more, and a store on the primary."""

    primary: PostgresServer
    standby: PostgresServer
    database: str
    store: EventStore

    def on_standby(self) -> str:
        """How many events are there."""
        return self.standby.execute("SELECT count(*) FROM diptych.events", database=self.database)

    async def waiting(self, other_than: str = "") -> str:
        """The process and the begin of a statement whose commit waits for the standby."""
        found: list[str] = []

        async def waits() -> bool:
            waiting = (await asyncio.to_thread(self.primary.execute, WAITING)).splitlines()
            found[:] = [each for each in waiting if each != other_than]
            return bool(found)

        await wait_until(waits, timeout=30, poll=0.02)
        return found[0]

    async def end(self, waiting: str, how: str) -> None:
        pid = waiting.partition("|")[0]
        await asyncio.to_thread(self.primary.execute, f"SELECT {how}({pid})")


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[PostgresServer, PostgresServer]]:
    with own_server() as primary:
        standby = primary.standby()
        primary.replicate_to("standby")
        try:
            yield primary, standby
        finally:
            standby.remove()


@pytest.fixture
async def replicated(
    servers: tuple[PostgresServer, PostgresServer],
) -> AsyncIterator[Replicated]:
    primary, standby = servers
    url = await asyncio.to_thread(primary.create_database)
    async with opened(PostgresEventStore(url)) as store:
        await asyncio.to_thread(standby.detach)
        try:
            yield Replicated(primary, standby, url.rpartition("/")[2], store)
        finally:
            await asyncio.to_thread(standby.attach)


@pytest.mark.parametrize("how", ["pg_cancel_backend", "pg_terminate_backend"])
async def test_an_append_is_acknowledged_when_the_standby_has_it_and_not_before(
    replicated: Replicated, how: str
) -> None:
    append = asyncio.create_task(replicated.store.append(add(to("order-1", expecting=0))))
    first = await replicated.waiting()
    await replicated.end(first, how)
    await replicated.waiting(other_than=first)  # it is there, and still nobody says so
    assert not append.done()
    await asyncio.to_thread(replicated.standby.attach)
    assert (await append).repeated
    assert await asyncio.to_thread(replicated.on_standby) == "1"


async def test_what_a_restarted_server_still_knows_is_acknowledged_when_the_standby_has_it(
    replicated: Replicated,
) -> None:
    """After a crash the commit is there for everybody to see, though no standby has it yet."""
    append = asyncio.create_task(replicated.store.append(add(to("order-1", expecting=0))))
    first = await replicated.waiting()
    await asyncio.to_thread(replicated.primary.kill)
    await asyncio.to_thread(replicated.primary.restart)
    await replicated.waiting(other_than=first)
    assert not append.done()
    await asyncio.to_thread(replicated.standby.attach)
    assert (await append).repeated
    assert await asyncio.to_thread(replicated.on_standby) == "1"


@pytest.mark.parametrize("how", ["pg_cancel_backend", "pg_terminate_backend"])
async def test_without_a_command_it_is_unknown(replicated: Replicated, how: str) -> None:
    bare = Append((Write("order-1", (happened(),), ANY_VERSION),))
    append = asyncio.create_task(replicated.store.append(bare))
    await replicated.end(await replicated.waiting(), how)
    with pytest.raises(OutcomeUnknown):
        await append


async def test_it_is_heard_of_whatever_messages_the_user_hides(replicated: Replicated) -> None:
    database = replicated.database
    hide = f"ALTER DATABASE {database} SET client_min_messages = 'error'"
    await asyncio.to_thread(replicated.standby.attach)
    await asyncio.to_thread(replicated.primary.execute, hide)
    await asyncio.to_thread(replicated.standby.detach)
    bare = Append((Write("order-1", (happened(),), ANY_VERSION),))
    async with opened(PostgresEventStore(replicated.primary.url(database))) as store:
        append = asyncio.create_task(store.append(bare))
        await replicated.end(await replicated.waiting(), "pg_cancel_backend")
        with pytest.raises(OutcomeUnknown):
            await append


async def test_a_command_is_found_when_the_standby_has_it_and_not_before(
    replicated: Replicated,
) -> None:
    record = command()
    url = replicated.primary.url(replicated.database)
    async with opened(PostgresEventStore(url, patience=0)) as hasty:
        append = asyncio.create_task(hasty.append(add(to("order-1"), record=record)))
        first = await replicated.waiting()
        await asyncio.to_thread(replicated.primary.kill)
        with pytest.raises(OutcomeUnknown):
            await append
    await asyncio.to_thread(replicated.primary.restart)
    find = asyncio.create_task(replicated.store.find(record.key))
    await replicated.waiting(other_than=first)
    assert not find.done()
    await asyncio.to_thread(replicated.standby.attach)
    assert (await find) is not None
    assert await asyncio.to_thread(replicated.on_standby) == "1"


async def test_a_standby_alone_is_not_written_to(
    servers: tuple[PostgresServer, PostgresServer],
) -> None:
    with pytest.raises(StorageReadOnly, match="name the primary"):
        await PostgresEventStore(servers[1].url(), patience=0.1).open()
