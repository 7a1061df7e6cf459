"""A load: many clients that append at once, note every answer, and go on through every fault."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final
from uuid import UUID, uuid4

from diptych.errors import DiptychError, HistoryDiverged, OutcomeUnknown, StoreError
from diptych.messages import EventData, RecordedEvent
from diptych.store.contract import (
    ANY_VERSION,
    START,
    Append,
    CommandKey,
    CommandRecord,
    EventStore,
    Point,
    Write,
)
from diptych.store.subscription import follow
from diptych.testing.waiting import wait_until
from tests.failover.history import Asked
from tests.integration.accounts import (
    AccountEvent,
    Deposited,
    Noted,
    Opened,
    account_events,
    note_events,
)

PAUSE: Final = 0.02
"""Seconds that a client waits after an error before it asks again."""


class Load:
    """Clients that deposit to accounts of their own and note it in streams that all share.

    A client that got no answer repeats the append (clients with even numbers) until it knows, or
    leaves it open and turns to another account (odd ones). Both are what clients may do.
    """

    def __init__(self, stores: Sequence[EventStore], *, clients: int = 24) -> None:
        self.history: list[Asked] = []
        self._stores = stores
        self._clients = clients
        self._running = True
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def acknowledged(self) -> int:
        return sum(asked.acknowledged is not None for asked in self.history)

    @property
    def unknown(self) -> int:
        """How many have met a lost answer."""
        return sum(asked.may_be_there for asked in self.history)

    def under_way(self, moment: float) -> int:
        """How many had been asked before `moment` and were answered after it."""
        return sum(asked.began < moment < asked.ended for asked in self.history)

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._client(n)) for n in range(self._clients)]

    async def more(self, count: int, *, timeout: float = 30.0) -> None:
        """Return once `count` appends that begin from now on are acknowledged."""
        since = len(self.history)
        await wait_until(
            lambda: sum(asked.acknowledged is not None for asked in self.history[since:]) >= count,
            timeout=timeout,
        )

    async def stop(self) -> None:
        """Let every client have its last answer; an error that is not ours is raised here."""
        self._running = False
        async with asyncio.timeout(60):
            await asyncio.gather(*self._tasks)

    async def settle(self, store: EventStore) -> None:
        """Ask again for everything that was left open, as a client does when it comes back."""
        for asked in self.history:
            while asked.acknowledged is None:
                await self._send(store, asked)

    async def _client(self, number: int) -> None:
        store = self._stores[number % len(self._stores)]
        made = appends(number)
        while self._running:
            asked = Asked(next(made), time.monotonic())
            self.history.append(asked)
            while not await self._send(store, asked) and self._running:
                if number % 2 and asked.may_be_there:
                    made = appends(number)
                    break

    async def _send(self, store: EventStore, asked: Asked) -> bool:
        try:
            asked.acknowledged = await store.append(asked.append)
        except DiptychError as error:
            asked.errors.append(error)
            if not isinstance(error, OutcomeUnknown | StoreError):
                raise
            await asyncio.sleep(PAUSE)
            return False
        asked.ended = time.monotonic()
        return True


def appends(client: int) -> Iterator[Append]:
    """One account, opened and deposited to; each append expects the version of the one before."""
    account = uuid4()
    first = [account_events.encode(Opened(account, "Ann"), event_id=uuid4())]
    version = 0
    while True:
        deposit: AccountEvent = Deposited(account, client + 1)
        events = (*first, account_events.encode(deposit, event_id=uuid4()))
        yield append_of(account, events, version)
        version, first = version + len(events), []


def append_of(account: UUID, events: tuple[EventData, ...], version: int) -> Append:
    """Two streams in one append: they are there together or not at all."""
    note = note_events.encode(Noted(str(account)), event_id=uuid4())
    return Append(
        (
            Write(f"account-{account}", events, version),
            Write(f"note-{account.int % 4}", (note,), ANY_VERSION),
        ),
        command=CommandRecord(CommandKey("", "load", uuid4()), b"digest"),
    )


class Follower:
    """Follows a log as a projection does: where it cannot read on, it starts at its last page."""

    def __init__(self, store: EventStore) -> None:
        self.seen: list[RecordedEvent] = []
        self.diverged: HistoryDiverged | None = None
        self._store = store
        self._after: Point = START

    async def run(self) -> None:
        while self.diverged is None:
            try:
                async for page in follow(self._store, after=self._after, limit=50):
                    self.seen.extend(page.events)
                    self._after = page.scanned
            except HistoryDiverged as error:
                self.diverged = error
            except StoreError:
                await asyncio.sleep(PAUSE)

    async def at(self, position: int) -> None:
        """Return once it has seen the event at `position`."""
        await wait_until(lambda: self._after.position >= position, timeout=30)


@asynccontextmanager
async def following(store: EventStore) -> AsyncIterator[Follower]:
    follower = Follower(store)
    task = asyncio.create_task(follower.run())
    try:
        yield follower
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def loading(*stores: EventStore, clients: int = 24) -> AsyncIterator[Load]:
    """A load that runs while the block does."""
    load = Load(stores, clients=clients)
    load.start()
    try:
        yield load
    finally:
        await load.stop()
