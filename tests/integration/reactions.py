"""What the tests of reactions have in common: orders, and a world that remembers what was done."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

from diptych.clock import Clock, SystemClock
from diptych.codec import Events
from diptych.flow.reaction import Reaction
from diptych.flow.side import FlowSide
from diptych.flow.status import ReactionState, ReactionStatus
from diptych.messages import EventData, RecordedEvent
from diptych.store.contract import ANY_VERSION, Append, EventStore, Write
from diptych.testing.waiting import wait_until

QUICK = 0.6
"""Seconds of a lease."""


@dataclass(frozen=True)
class Placed:
    order: str
    number: int


@dataclass(frozen=True)
class Shipped:
    order: str


order_events = Events("order", Placed, Shipped)


@dataclass
class World:
    """What was done in it, in the order in which it was. `refuse` may raise instead."""

    done: list[tuple[str, int]] = field(default_factory=list)
    attempts: list[tuple[str, int]] = field(default_factory=list)
    refuse: Callable[[str, int], Awaitable[None]] | None = None

    async def handle(self, event: Placed | Shipped, recorded: RecordedEvent) -> None:
        what = recorded.stream, recorded.version
        self.attempts.append(what)
        if self.refuse is not None:
            await self.refuse(*what)
        self.done.append(what)

    def of(self, stream: str) -> list[int]:
        return [version for name, version in self.done if name == stream]


class Refused(Exception):
    """By the world."""


def refusing(*bad: tuple[str, int]) -> Callable[[str, int], Awaitable[None]]:
    async def refuse(stream: str, version: int) -> None:
        if (stream, version) in bad:
            raise Refused("a secret of the event")

    return refuse


def mail(world: World, **options: Any) -> Reaction[Any]:
    options = {"start": "beginning", "attempts": 2, **options}
    return Reaction("mail", events=[order_events], handle=world.handle, **options)


async def place(
    store: EventStore, stream: str, times: int = 1, *, tenant: str = "", kind: str = "Placed"
) -> None:
    for _ in range(times):
        data = b'{"order":"1","number":1}'
        event = EventData(kind, data, uuid4())
        await store.append(Append((Write(stream, (event,), ANY_VERSION),), tenant=tenant))


@asynccontextmanager
async def reacting(
    store: EventStore,
    *reactions: Reaction[Any],
    clock: Clock | None = None,
    ttl: float = QUICK,
    grace: float = 2.0,
    react: bool = True,
) -> AsyncIterator[FlowSide]:
    """As an application has them, over a log that is open."""
    side = FlowSide(
        reactions, store=store, clock=clock or SystemClock(), lease_ttl=ttl, grace=grace
    )
    await side.open()
    if react:
        side.start()
    try:
        yield side
    finally:
        await side.close()


async def status(side: FlowSide, name: str = "mail") -> ReactionStatus:
    (found,) = [each for each in await side.statuses() if each.name == name]
    return found


async def until_state(side: FlowSide, state: ReactionState) -> ReactionStatus:
    async def is_there() -> bool:
        return (await status(side)).state is state

    await wait_until(is_there, poll=0.02)
    return await status(side)


async def until_saved(side: FlowSide, store: EventStore) -> None:
    """All that is in the log is done, or set aside, and that is saved."""

    async def is_saved() -> bool:
        return (await status(side)).lag == timedelta(0)

    await wait_until(is_saved, poll=0.02)


def in_order(done: Sequence[tuple[str, int]]) -> bool:
    """Whether each stream was done in order; it may go back to what was done, not skip."""
    reached: dict[str, int] = {}
    for stream, version in done:
        if version > reached.get(stream, 0) + 1:
            return False
        reached[stream] = version
    return True


async def soon(condition: Callable[[], bool]) -> None:
    await wait_until(condition, poll=0.005)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)
