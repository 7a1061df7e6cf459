"""Processes that share one log and one read database, each told what to do line by line."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import IO, Any, Self
from uuid import UUID, uuid4

from diptych.backends import open_log, open_read_database
from diptych.clock import SystemClock
from diptych.read.query import Query, answer
from diptych.read.rows import Rows
from diptych.read.side import ReadSide
from diptych.store.contract import EventStore
from tests.integration.accounts import (
    Account,
    Deposited,
    GetAccount,
    Opened,
    account_view,
    append,
    expected_accounts,
    head_token,
    held_by,
    reading,
)
from tests.servers import forks
from tests.servers.forks import Forked

LONG = timedelta(seconds=20)


@dataclass(frozen=True)
class Setting:
    """What a process is started with. `copies` are more views of the same events."""

    log: str
    read: str
    project: bool = True
    partitions: int = 1
    copies: int = 0
    lease_ttl: float = 1.0
    failpoints: str = ""


class Process:
    """One of the processes, seen from the test."""

    def __init__(self, child: Forked, told: IO[bytes]) -> None:
        self._child, self._told = child, told

    @classmethod
    async def start(cls, setting: Setting) -> Self:
        environment = {**os.environ, "DIPTYCH_FAILPOINTS": setting.failpoints}
        read, write = os.pipe()
        with os.fdopen(read, "rb") as stdin:
            child = forks.start(
                "tests.integration.processes",
                json.dumps(asdict(setting)),
                environment=environment,
                stdin=stdin,
            )
        started = cls(child, os.fdopen(write, "wb", buffering=0))
        assert await started._heard() == "open"
        return started

    async def do(self, what: str, *arguments: object) -> Any:
        """What the process answers. Raises EOFError: it has ended."""
        with suppress(ConnectionError):
            self._told.write(json.dumps([what, *arguments]).encode() + b"\n")
        return await self._heard()

    async def kill(self) -> None:
        """As `kill -9` does; and wait until it is gone."""
        self._child.kill()
        await asyncio.to_thread(self._child.wait)

    def signal(self, number: signal.Signals) -> None:
        self._child.send_signal(number)

    async def end(self) -> None:
        """Let it close what it has open."""
        self.signal(signal.SIGCONT)
        self._told.close()
        try:
            await asyncio.to_thread(self._child.wait, 20)
        except subprocess.TimeoutExpired:
            await self.kill()
        self._child.stdout.close()

    async def _heard(self) -> Any:
        async with asyncio.timeout(60):
            line = await asyncio.to_thread(self._child.stdout.readline)
        if not line.endswith("\n"):
            raise EOFError
        return json.loads(line)


@asynccontextmanager
async def processes(*settings: Setting) -> AsyncGenerator[list[Process]]:
    """All started at once."""
    async with AsyncExitStack() as stack:
        started = await asyncio.gather(*[Process.start(each) for each in settings])
        for each in started:
            stack.push_async_callback(each.end)
        yield list(started)


# In the process


class AllAccounts(Query[dict[UUID, Account]]):
    pass


@dataclass(frozen=True)
class Served:
    """What a process does when it is told to: the names of the methods."""

    store: EventStore
    side: ReadSide

    async def open_account(self) -> str:
        account_id = uuid4()
        await append(self.store, Opened(account_id, "Ann"))
        return account_id.hex

    async def deposit(self, account: str, times: int) -> list[int]:
        """Deposit one coin as many times; how many there were each time, by reading them back."""
        account_id, seen = UUID(account), list[int]()
        for _ in range(times):
            token = await append(self.store, Deposited(account_id, 1))
            row = await self.side.query(GetAccount(account_id), at_least=token, timeout=LONG)
            seen.append(row.deposits if row else 0)
        return seen

    async def agrees(self) -> bool:
        """Whether the rows, as this process reads them, are the fold over the whole log."""
        token = await head_token(self.store)
        rows = await self.side.query(AllAccounts(), at_least=token, timeout=LONG)
        return rows == await expected_accounts(self.store)

    async def deposits(self, account: str) -> int:
        token = await head_token(self.store)
        row = await self.side.query(GetAccount(UUID(account)), at_least=token, timeout=LONG)
        return row.deposits if row else 0

    async def holds(self) -> int:
        return len(held_by(self.side))

    async def ready(self) -> bool:
        return (await self.side.readiness()).ready


async def main(setting: Setting) -> None:
    view = account_view(partitions=setting.partitions)
    copies = [account_view(name=f"copy{number}") for number in range(setting.copies)]

    async def one(query: GetAccount, rows: Rows) -> Account | None:
        return await rows.get(view, query.account_id)

    async def every(query: AllAccounts, rows: Rows) -> dict[UUID, Account]:
        page = await rows.page(view, order_by="account_id", page_size=500)
        return {row.account_id: row for row in page.items}

    async with (
        opened(open_log(setting.log, SystemClock())) as store,
        reading(
            store,
            database=open_read_database(setting.read),
            models=[view, *copies],
            queries=[
                answer(GetAccount, one, reads=[view]),
                answer(AllAccounts, every, reads=[view]),
            ],
            project=setting.project,
            lease_ttl=setting.lease_ttl,
        ) as side,
    ):
        served = Served(store, side)
        say("open")
        while line := await asyncio.to_thread(sys.stdin.readline):
            what, *arguments = json.loads(line)
            say(await getattr(served, what)(*arguments))


@asynccontextmanager
async def opened(store: EventStore) -> AsyncGenerator[EventStore]:
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def say(what: object) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Setting(**json.loads(sys.argv[1]))))
