"""Random writes, failures, rebuilds and watchers: at rest each shows what a fresh query does."""

import asyncio
import random
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest

from diptych.errors import TryAgain
from diptych.failpoints import FailpointError, armed, fail
from diptych.operations import Operations
from diptych.read.query import Query
from diptych.read.side import ReadSide
from diptych.store.contract import EventStore
from diptych.store.memory import MemoryEventStore
from diptych.tokens import Token
from tests.integration.accounts import GetAccount, ListAccounts, append, head_token, reading
from tests.integration.conftest import AnyDatabase
from tests.integration.test_projector_random import FAILPOINTS, some_events

pytestmark = pytest.mark.usefixtures("often")


class Watcher:
    """Watches one query, now and then anew from its last token, and checks what it is shown."""

    def __init__(self, side: ReadSide, query: Query[Any], chance: random.Random) -> None:
        self.side, self.query, self._chance = side, query, chance
        self.last: Any = None
        self.token: Token | None = None
        self.shown = 0

    async def run(self) -> None:
        while True:
            leave_after = self._chance.randrange(1, 30)
            async with self.side.watch(self.query, at_least=self.token) as watching:
                async for answer in watching:
                    self._check(answer.token)
                    self.last, self.token = answer, answer.token
                    self.shown += 1
                    if self.shown % leave_after == 0:
                        break

    def _check(self, token: Token) -> None:
        assert self.token is None or token.position >= self.token.position

    async def is_right(self) -> bool:
        if self.last is None or self.last.stale:
            return False
        value: Any = await self.side.query(self.query)
        return bool(self.last.value == value)


async def write(store: EventStore, chance: random.Random, ids: list[UUID]) -> None:
    for _ in range(60):
        await append(store, *some_events(chance, ids))
        await asyncio.sleep(chance.choice((0, 0, 0.01, 0.05)))


async def disturb(side: ReadSide, chance: random.Random) -> None:
    while True:
        with armed(chance.choice(FAILPOINTS), fail, on=chance.randrange(1, 4)):
            await asyncio.sleep(chance.random() / 20)
        if chance.random() < 0.2:
            with suppress(TryAgain, FailpointError):
                await Operations(side).rebuild(["accounts"])


@pytest.mark.parametrize("seed", range(3))
async def test_at_rest_every_watcher_has_what_a_fresh_query_has(
    store: MemoryEventStore, any_database: AnyDatabase, seed: int
) -> None:
    chance = random.Random(seed)
    ids = [UUID(int=chance.getrandbits(128), version=4) for _ in range(6)]
    queries: list[Query[Any]] = [*map(GetAccount, ids), ListAccounts(), ListAccounts(owner="Ann")]
    async with (
        reading(store, database=any_database(), lease_ttl=0.5) as side,
        reading(store, database=any_database(), project=False) as other,
    ):
        watchers = [Watcher(each, query, chance) for query in queries for each in (side, other)]
        running = [asyncio.create_task(each.run()) for each in watchers]
        trouble = asyncio.create_task(disturb(side, chance))
        await asyncio.gather(*(write(store, chance, ids) for _ in range(3)))
        trouble.cancel()
        await asyncio.gather(trouble, return_exceptions=True)
        token = await head_token(store)
        for each in watchers:
            await each.side.query(each.query, at_least=token)
        async with asyncio.timeout(20):
            while not all([await each.is_right() for each in watchers]):
                assert not [task for task in running if task.done()], running
                await asyncio.sleep(0.02)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        assert sum(each.shown for each in watchers) > len(watchers)
