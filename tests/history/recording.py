"""Clients of a real log, side by side, that note everything that they ask and are answered."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from random import Random
from typing import Final
from uuid import uuid4

from diptych.app import Application
from diptych.codec import Events
from diptych.errors import ConcurrencyError, OutcomeUnknown
from diptych.messages import RecordedEvent
from diptych.read.query import Query, answer
from diptych.read.rows import Rows
from diptych.read.view import View
from diptych.store.contract import (
    ANY_VERSION,
    START,
    Append,
    Appended,
    CommandKey,
    CommandRecord,
    EventStore,
    Load,
    Point,
    Write,
)
from diptych.store.subscription import follow
from diptych.testing.conformance.steps import log_of
from diptych.tokens import Token
from tests.history.records import (
    Appending,
    Asking,
    Following,
    Given,
    History,
    Loading,
    Outcome,
    Paging,
    Stored,
)

STREAMS: Final = ("counter-a", "counter-b", "counter-c")
"""Few, so that clients meet."""
_PAUSE: Final = 0.01
"""Seconds at most between two turns: a log in memory would let each client end before the next."""


@dataclass(frozen=True)
class Counted:
    stream: str


@dataclass(frozen=True)
class Count:
    stream: str
    events: int


@dataclass(frozen=True)
class GetCount(Query[int]):
    stream: str


def project(row: Count | None, event: Counted, recorded: RecordedEvent) -> Count:
    return Count(event.stream, (row.events if row else 0) + 1)


async def get_count(query: GetCount, rows: Rows) -> int:
    row = await rows.get(counts, query.stream)
    return row.events if row else 0


counted = Events("counter", Counted)
counts = View("counts", events=[counted], row=Count, key="stream", project=project)


def counting(log: EventStore, read: str) -> Application:
    return Application(
        log=log, read=read, views=[counts], queries=[answer(GetCount, get_count, reads=[counts])]
    )


class Recording:
    """`stores` are openings of one log, as several processes have them; the application's is the
    first."""

    def __init__(self, app: Application, stores: Sequence[EventStore], *, seed: int) -> None:
        self.history = History()
        self._app, self._stores, self._seed = app, stores, seed
        self._known = Point(0)
        """The end of the log, as far as an acknowledgement has told it to anybody."""

    async def run(self, *, turns: int, writers: int = 6, readers: int = 2) -> History:
        """Let all clients have their turns, and look at the log then."""
        following = [asyncio.create_task(self._follow(store)) for store in self._stores]
        async with asyncio.timeout(120), asyncio.TaskGroup() as clients:
            for number in range(writers):
                clients.create_task(self._write(number, turns))
            for number in range(writers, writers + readers):
                clients.create_task(self._page(number, turns))
                clients.create_task(self._ask(number, turns))
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)
        self.history.log = [_stored(event) for event in await log_of(self._stores[0])]
        return self.history

    async def _write(self, client: int, turns: int) -> None:
        random, store = self._random("writes", client), self._stores[client % len(self._stores)]
        for _ in range(turns):
            await asyncio.sleep(random.random() * _PAUSE)
            writes = []
            for stream in random.sample(STREAMS, k=random.choice((1, 1, 2))):
                expected = await self._load(client, store, stream)
                event = counted.encode(Counted(stream), event_id=uuid4())
                seen = expected if random.random() < 0.6 else ANY_VERSION
                writes.append(Write(stream, (event,), seen))
            key = CommandKey("", "history", uuid4())
            append = Append(tuple(writes), command=CommandRecord(key, b"digest"))
            while not await self._append(client, store, append) and random.random() < 0.7:
                pass  # it may have taken effect, or not: it is sent again, or left at that

    async def _append(self, client: int, store: EventStore, append: Append) -> bool:
        """Whether it has an answer."""
        began, found = time.monotonic(), None
        try:
            found = await store.append(append)
            outcome = Outcome.DONE
        except ConcurrencyError:
            outcome = Outcome.REFUSED
        except OutcomeUnknown:
            outcome = Outcome.UNKNOWN
        self._note(append, found, client=client, began=began, outcome=outcome)
        if found is not None and found.point.position > self._known.position:
            self._known = found.point
        return outcome is not Outcome.UNKNOWN

    def _note(
        self,
        append: Append,
        found: Appended | None,
        *,
        client: int,
        began: float,
        outcome: Outcome,
    ) -> None:
        assert append.command is not None
        writes = append.writes
        self.history.appendings.append(
            Appending(
                client=client,
                began=began,
                ended=time.monotonic(),
                command=str(append.command.key.command_id),
                events=tuple(
                    Given(write.stream, str(event.event_id), f"{event.type} {event.data!r}")
                    for write in writes
                    for event in write.events
                ),
                expected=tuple(
                    (each.stream, each.expected_version)
                    for each in writes
                    if isinstance(each.expected_version, int)
                ),
                outcome=outcome,
                position=found.point.position if found else 0,
                versions=tuple(map(tuple, found.streams)) if found else (),
            )
        )

    async def _load(self, client: int, store: EventStore, stream: str) -> int:
        began = time.monotonic()
        found = await store.load(Load(stream))
        seen = tuple(str(event.event_id) for event in found.events)
        span = {"client": client, "began": began, "ended": time.monotonic()}
        self.history.loadings.append(Loading(**span, stream=stream, seen=seen))
        return found.version

    async def _page(self, client: int, turns: int) -> None:
        random, store = self._random("pages", client), self._stores[client % len(self._stores)]
        places = [0]
        for _ in range(turns):
            await asyncio.sleep(random.random() * _PAUSE)
            after, began = random.choice(places[-20:]), time.monotonic()
            page = await store.read(after=Point(after), limit=random.choice((1, 5, 100)))
            places.append(page.scanned.position)
            self.history.pagings.append(
                Paging(
                    client=client,
                    began=began,
                    ended=time.monotonic(),
                    after=after,
                    scanned=page.scanned.position,
                    head=page.head,
                    seen=tuple((event.position, str(event.event_id)) for event in page.events),
                )
            )

    async def _ask(self, client: int, turns: int) -> None:
        """With the token of the answer before, or with the newest that anybody was given."""
        random, token = self._random("asks", client), Token(self._stores[0].log_id, 0)
        for _ in range(turns):
            known = Token(token.log_id, *self._known)
            if random.random() < 0.5 and known.position > token.position:
                token = known
            await asyncio.sleep(random.random() * _PAUSE)
            stream, began = random.choice(STREAMS), time.monotonic()
            found = await self._app.ask(GetCount(stream), at_least=token)
            self.history.askings.append(
                Asking(
                    client=client,
                    began=began,
                    ended=time.monotonic(),
                    stream=stream,
                    at_least=token.position,
                    as_of=found.as_of.position,
                    value=found.value,
                )
            )
            token = found.token

    async def _follow(self, store: EventStore) -> None:
        seen: list[tuple[int, str, float]] = []
        try:
            async for page in follow(store, after=START, limit=7):
                now = time.monotonic()
                seen += [(event.position, str(event.event_id), now) for event in page.events]
        finally:
            self.history.followings.append(Following(tuple(seen)))

    def _random(self, what: str, client: int) -> Random:
        return Random(f"{self._seed} {what} {client}")


def _stored(event: RecordedEvent) -> Stored:
    return Stored(
        event.position,
        event.stream,
        event.version,
        str(event.event_id),
        f"{event.type} {event.data!r}",
        event.recorded_at.timestamp(),
    )


async def recorded(
    stores: Sequence[EventStore], read: str, *, seed: int, turns: int = 30
) -> History:
    """What clients of a log that is not open yet have recorded."""
    async with AsyncExitStack() as stack:
        app = counting(stores[0], read)
        await stack.enter_async_context(app)
        for store in stores[1:]:
            await store.open()
            stack.push_async_callback(store.close)
        return await Recording(app, stores, seed=seed).run(turns=turns)
