"""The steps that conformance tests are made of: things to append, ways to read, bounded waits."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TypeVar
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from diptych.errors import DiptychError, OutcomeUnknown
from diptych.messages import EventData, RecordedEvent
from diptych.store.contract import (
    ANY_VERSION,
    START,
    Append,
    Appended,
    CommandKey,
    CommandRecord,
    Condition,
    Criterion,
    EventStore,
    ExpectedVersion,
    Load,
    Loaded,
    Point,
    StreamVersion,
    Write,
)
from diptych.testing.waiting import wait_until

Result = TypeVar("Result")
Error = TypeVar("Error", bound=DiptychError)
NewStore = Callable[[], EventStore]
"""Makes a store that is not open yet; of a durable store, another opening of the same log."""

DEADLINE = 10.0
"""Seconds after which a test that still waits has failed."""


@pytest.mark.asyncio
class Suite:
    """Base of every part of the suite: the fixtures that its tests use."""

    @pytest.fixture
    def new_store(self) -> NewStore:
        raise NotImplementedError("define a fixture `new_store` in the class that runs the suite")

    @pytest_asyncio.fixture
    async def store(self, new_store: NewStore) -> AsyncGenerator[EventStore]:
        async with opened(new_store()) as store:
            yield store


@asynccontextmanager
async def opened(store: EventStore) -> AsyncGenerator[EventStore]:
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def deadline() -> asyncio.Timeout:
    return asyncio.timeout(DEADLINE)


def happened(
    event_type: str = "Happened",
    data: bytes = b"{}",
    *,
    tags: Iterable[str] = (),
    occurred_at: datetime | None = None,
) -> EventData:
    return EventData(event_type, data, uuid4(), tuple(tags), occurred_at)


def to(stream: str, *events: EventData, expecting: ExpectedVersion = ANY_VERSION) -> Write:
    """A write of `events`, or of one event, to `stream`."""
    return Write(stream, events or (happened(),), expecting)


def command(
    digest: bytes = b"digest",
    *,
    tenant: str = "",
    principal: str = "",
    command_id: UUID | None = None,
    streams: tuple[StreamVersion, ...] = (),
) -> CommandRecord:
    return CommandRecord(CommandKey(tenant, principal, command_id or uuid4()), digest, streams)


def add(
    *writes: Write,
    condition: Condition | None = None,
    record: CommandRecord | None = None,
    tenant: str = "",
    metadata: bytes = b"{}",
) -> Append:
    """An append; always with a command record, so that `settle` can ask for a lost answer."""
    return Append(writes, condition, record or command(tenant=tenant), tenant, metadata)


def unless(*criteria: Criterion, after: Point = START) -> Condition:
    """The condition that no event after `after` meets one of `criteria`."""
    return Condition(criteria, after)


def about(*types: str, tags: Iterable[str] = ()) -> Criterion:
    return Criterion(frozenset(types), frozenset(tags))


async def settle(store: EventStore, append: Append) -> Appended:
    """Append; if the answer is lost, ask again with the same command id, as every client must."""
    async with deadline():
        while True:
            try:
                return await store.append(append)
            except OutcomeUnknown:
                continue


async def load(store: EventStore, stream: str, *, tenant: str = "", after: int = 0) -> Loaded:
    return await store.load(Load(stream, tenant, after))


async def log_of(
    store: EventStore,
    *,
    after: Point = START,
    limit: int = 1000,
    categories: frozenset[str] | None = None,
    criteria: tuple[Criterion, ...] | None = None,
    tenant: str | None = None,
) -> list[RecordedEvent]:
    """Read page by page to the head; every page must get further."""
    found: list[RecordedEvent] = []
    while True:
        page = await store.read(
            after=after, limit=limit, categories=categories, criteria=criteria, tenant=tenant
        )
        assert len(page.events) <= limit
        found += page.events
        if page.scanned.position >= page.head:
            return found
        assert page.scanned.position > after.position, "the page before the head got no further"
        after = page.scanned


@asynccontextmanager
async def refused(
    store: EventStore, error: type[Error]
) -> AsyncGenerator["pytest.ExceptionInfo[Error]"]:
    """What is done inside is refused with `error` and leaves the log as it was."""
    before = await log_of(store), await store.head()
    with pytest.raises(error) as refusal:
        yield refusal
    assert (await log_of(store), await store.head()) == before


async def at_once(*calls: Awaitable[Result]) -> list[Result | BaseException]:
    """Run all calls concurrently; each answers with its result or its exception."""
    async with deadline():
        return await asyncio.gather(*calls, return_exceptions=True)


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    await wait_until(condition, timeout=DEADLINE)


def outcomes(answers: Iterable[Appended | BaseException]) -> list[Appended]:
    return [answer for answer in answers if isinstance(answer, Appended)]


async def turns(count: int) -> None:
    """Let the event loop go round `count` times."""
    for _ in range(count):
        await asyncio.sleep(0)
