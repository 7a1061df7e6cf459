"""Old and new code at once: the row of a view changes, and no query fails or shows half a table."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from datetime import timedelta
from uuid import UUID, uuid4

from diptych.errors import ViewNotReady
from diptych.messages import RecordedEvent
from diptych.operations import Operations
from diptych.read.query import Answer, Query, QueryHandler, answer
from diptych.read.readiness import State
from diptych.read.rows import Rows
from diptych.read.side import ReadSide
from diptych.read.view import View
from diptych.store.memory import MemoryEventStore
from diptych.testing.waiting import wait_until
from diptych.tokens import Token
from tests.integration.accounts import (
    AccountEvent,
    Deposited,
    Opened,
    account_events,
    append,
    held_by,
    reading,
)
from tests.integration.conftest import AnyDatabase

LONG = timedelta(seconds=20)


@dataclass(frozen=True)
class OldRow:
    account_id: UUID
    balance: int


@dataclass(frozen=True)
class NewRow:
    """As a release would change it: a column more, and one with another type and meaning."""

    account_id: UUID
    owner: str
    balance: str


def project_old(row: OldRow | None, event: AccountEvent, recorded: RecordedEvent) -> OldRow | None:
    match event:
        case Opened(account_id=account_id):
            return OldRow(account_id, 0)
        case Deposited(amount=amount) if row is not None:
            return OldRow(row.account_id, row.balance + amount)
        case _:
            return row


def project_new(row: NewRow | None, event: AccountEvent, recorded: RecordedEvent) -> NewRow | None:
    match event:
        case Opened(account_id=account_id, owner=owner):
            return NewRow(account_id, owner, "0 coins")
        case Deposited(amount=amount) if row is not None:
            coins = int(row.balance.split()[0]) + amount
            return NewRow(row.account_id, row.owner, f"{coins} coins")
        case _:
            return row


class Count(Query[int]):
    """How many accounts there are."""


def release(view: View[OldRow] | View[NewRow]) -> tuple[View[OldRow] | View[NewRow], QueryHandler]:
    async def count(query: Count, rows: Rows) -> int:
        page = await rows.page(view, page_size=500)
        assert {field.name for field in fields(type(page.items[0]))} == set(view.layout.names)
        return page.total

    return view, answer(Count, count, reads=[view])


OLD = release(
    View("accounts", events=[account_events], row=OldRow, key="account_id", project=project_old)
)
NEW = release(
    View("accounts", events=[account_events], row=NewRow, key="account_id", project=project_new)
)


@dataclass
class Service:
    """The log, in which every second event opens an account, and who asks meanwhile."""

    store: MemoryEventStore
    connect: AnyDatabase
    asked: int = 0

    @asynccontextmanager
    async def running(
        self, code: tuple[View[OldRow] | View[NewRow], QueryHandler]
    ) -> AsyncGenerator[ReadSide]:
        view, handler = code
        async with reading(
            self.store,
            database=self.connect(),
            models=[view],
            queries=[handler],
            lease_ttl=0.5,
        ) as side:
            yield side

    @asynccontextmanager
    async def operated(
        self, code: tuple[View[OldRow] | View[NewRow], QueryHandler]
    ) -> AsyncGenerator[Operations]:
        view, _ = code
        models, database = [view], self.connect()
        async with reading(
            self.store, database=database, models=models, queries=[], operating=True
        ) as side:
            yield Operations(side)

    async def write(self) -> Token:
        return await append(self.store, Opened(account := uuid4(), "Ann"), Deposited(account, 1))

    async def ask(self, side: ReadSide) -> None:
        """Write and read it back; what comes is complete up to the place that it says."""
        found = await side.ask(Count(), at_least=await self.write(), timeout=LONG)
        self.check(found)

    async def probe(self, side: ReadSide) -> None:
        """Ask a process that may not be ready yet: it says so, or answers completely."""
        try:
            self.check(await side.ask(Count(), timeout=timedelta(0), on_timeout="stale"))
        except ViewNotReady:
            await asyncio.sleep(0)

    async def goes_on(self) -> None:
        asked = self.asked
        await wait_until(lambda: self.asked > asked + 20)

    def check(self, found: Answer[int]) -> None:
        self.asked += 1
        assert found.value == (found.as_of.position + 1) // 2


@asynccontextmanager
async def continuously(work: Callable[[], Awaitable[None]]) -> AsyncGenerator[None]:
    """Do it again and again all the while; what it raises is raised here."""

    async def again() -> None:
        while True:
            await work()

    task = asyncio.create_task(again())
    try:
        yield
    finally:
        task.cancel()
        ended = await asyncio.gather(task, return_exceptions=True)
    if not isinstance(ended[0], asyncio.CancelledError):
        raise ended[0]  # type: ignore[misc]


async def is_ready(side: ReadSide) -> bool:
    return (await side.readiness()).ready


async def test_a_deploy_under_continuous_queries(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    service = Service(store, any_database)
    for _ in range(300):
        await service.write()
    async with service.running(OLD) as old, continuously(lambda: service.ask(old)):
        await wait_until(lambda: service.asked > 5)
        async with service.running(NEW) as new, continuously(lambda: service.probe(new)):
            before = await new.readiness()
            assert before.ready or before.views[0].state is State.BUILDING
            await wait_until(lambda: is_ready(new))
            assert len(held_by(old)) == len(held_by(new)) == 1
            async with service.running(NEW) as second, continuously(lambda: service.ask(second)):
                asked = service.asked
                await wait_until(lambda: service.asked > asked + 20)
            assert await is_ready(old)
    async with service.running(NEW) as new:
        await service.ask(new)


async def test_going_back_to_the_old_code_catches_up_before_it_answers(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    service = Service(store, any_database)
    await service.write()
    async with service.running(OLD) as old:
        await service.ask(old)
    async with service.running(NEW) as new:
        for _ in range(30):
            await service.ask(new)
        async with service.running(OLD) as again, continuously(lambda: service.ask(new)):
            found = await again.ask(Count(), timeout=LONG)
            assert found.value >= 32
            await service.ask(again)


async def test_processes_that_register_one_new_revision_at_once_share_it(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    service = Service(store, any_database)
    for _ in range(20):
        await service.write()
    async with service.running(OLD) as old:
        await service.ask(old)
        sides = [service.running(NEW) for _ in range(3)]
        opened = await asyncio.gather(*[side.__aenter__() for side in sides])
        try:
            revisions = {(await side.readiness()).views[0].revision for side in opened}
            assert len(revisions) == 1
            for side in opened:
                await service.ask(side)
        finally:
            for manager in sides:
                await manager.__aexit__(None, None, None)


async def test_rebuilds_of_old_and_new_code_under_continuous_queries(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    """The rows of both are of different types; each rebuild is done by a process of its code."""
    service = Service(store, any_database)
    for _ in range(300):
        await service.write()
    async with (
        service.running(OLD) as old,
        service.running(NEW) as new,
        continuously(lambda: service.ask(old)),
        continuously(lambda: service.ask(new)),
    ):
        await wait_until(lambda: is_ready(new))
        for code in (OLD, NEW, OLD):
            async with service.operated(code) as operations:
                (rebuilt,) = await operations.rebuild(["accounts"])
            assert rebuilt.verification is not None
            assert not rebuilt.verification.finding
            await service.goes_on()
            async with service.operated(code) as operations:
                for each in await operations.revisions():
                    if each.status == "retired":
                        await operations.drop_revision(each.revision)
        await service.goes_on()
        assert await is_ready(old)
        assert await is_ready(new)
