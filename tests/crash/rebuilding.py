"""What is killed: a process that projects, and one that rebuilds; and the load on them."""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.process import BaseProcess
from typing import Final
from uuid import UUID, uuid4

from diptych.backends import open_log, open_read_database
from diptych.clock import SystemClock
from diptych.failpoints import arm_from_environment
from diptych.operations import Operations
from diptych.read.side import ReadSide
from diptych.store.contract import EventStore
from diptych.tokens import Token
from tests.integration.accounts import Deposited, GetAccount, Opened, append, reading
from tests.servers.forks import forked

TTL: Final = 1.0
LONG: Final = timedelta(seconds=20)
PAGES: Final = (
    *("rebuild.after_read", "rebuild.before_write"),
    *("rebuild.before_commit", "rebuild.after_commit"),
)
"""Failpoints that each page comes by."""

POINTS: Final = (
    *("rebuild.before_claim", "rebuild.after_claim", *PAGES, "rebuild.after_verify"),
    *("flip.before_begin", "flip.before_commit", "flip.after_commit"),
)


@dataclass(frozen=True)
class Place:
    """The URLs of a log and a read database."""

    log: str
    read: str

    @asynccontextmanager
    async def opened(self, *, project: bool) -> AsyncGenerator[tuple[EventStore, ReadSide]]:
        store = open_log(self.log, SystemClock())
        await store.open()
        try:
            database = open_read_database(self.read)
            async with reading(store, database=database, project=project, lease_ttl=TTL) as side:
                yield store, side
        finally:
            await store.close()


def projects(place: Place) -> BaseProcess:
    """A process that projects until it is killed."""
    return _started(_project, place, "")


def rebuilds(place: Place, failpoint: str) -> BaseProcess:
    """A process that rebuilds the view, and is killed at a failpoint if it gets there."""
    return _started(_rebuild, place, failpoint)


def _started(work: object, place: Place, failpoint: str) -> BaseProcess:
    return forked(_run, work, place, failpoint)


def _run(work: object, place: Place, failpoint: str) -> None:
    arm_from_environment(failpoint)
    asyncio.run(work(place))  # type: ignore[operator]


async def _project(place: Place) -> None:
    async with place.opened(project=True):
        await asyncio.Event().wait()


async def _rebuild(place: Place) -> None:
    async with place.opened(project=False) as (_, side):
        await Operations(side).rebuild(["accounts"])


async def ended(process: BaseProcess) -> None:
    await asyncio.to_thread(process.join, 30)
    assert process.exitcode is not None


async def killed(process: BaseProcess) -> None:
    process.kill()
    await ended(process)


@dataclass
class Load:
    """Deposits, one after the other, each read back by its token; who reads is never wrong."""

    store: EventStore
    side: ReadSide
    chance: random.Random
    balances: dict[UUID, int] = field(default_factory=dict)
    asked: int = 0
    ends: bool = False

    async def open_accounts(self, number: int, *, deposits: int) -> None:
        for _ in range(number):
            account_id = uuid4()
            await append(
                self.store, Opened(account_id, "Ann"), *[Deposited(account_id, 1)] * deposits
            )
            self.balances[account_id] = deposits

    async def run(self) -> None:
        """Until it `ends`: an append whose caller is cancelled may be committed yet."""
        while not self.ends:
            account_id = self.chance.choice(list(self.balances))
            token = await append(self.store, Deposited(account_id, 1))
            self.balances[account_id] += 1
            await self._read_back(account_id, token)
            await asyncio.sleep(0.003)

    async def _read_back(self, account_id: UUID, token: Token) -> None:
        row = await self.side.query(GetAccount(account_id), at_least=token, timeout=LONG)
        assert row is not None
        assert row.balance == row.deposits == self.balances[account_id]
        self.asked += 1
