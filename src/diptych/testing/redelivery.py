"""Delivers a log to a view as crashes and restarts do: page by page, and every page twice."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from diptych.clock import Clock
from diptych.failpoints import armed
from diptych.read.checkpoint import position_of
from diptych.read.database import Slot
from diptych.read.group import grouped
from diptych.read.lease import Leases
from diptych.read.projector import Projector
from diptych.read.revision import Target, register
from diptych.read.rows import Rows
from diptych.read.signal import CheckpointSignal
from diptych.read.sqlite.database import SqliteReadDatabase
from diptych.read.view import View
from diptych.store.contract import START, Criterion, LogPage, Point
from diptych.store.memory import MemoryEventStore
from diptych.testing.clock import FixedClock
from diptych.worker import Worker

Row = TypeVar("Row")

_DEADLINE: Final = 30.0
_PAGE: Final = 500


class Crash(BaseException):
    """Ends a projector where it stands, as the end of its process would."""


class PagedLog(MemoryEventStore):
    """A log in memory that gives at most `page_size` events at a time."""

    page_size: int = 1_000

    async def read(
        self,
        *,
        after: Point = START,
        limit: int = 1_000,
        categories: frozenset[str] | None = None,
        criteria: tuple[Criterion, ...] | None = None,
        tenant: str | None = None,
    ) -> LogPage:
        return await super().read(
            after=after,
            limit=min(limit, self.page_size),
            categories=categories,
            criteria=criteria,
            tenant=tenant,
        )


@dataclass(frozen=True, slots=True)
class Reader(Generic[Row]):
    """A view in a read database of its own, and the log that it follows."""

    view: View[Row]
    log: PagedLog
    database: SqliteReadDatabase
    target: Target
    signal: CheckpointSignal
    clock: Clock
    worker: Worker

    async def catch_up(self) -> None:
        """Project what is left, without a crash.

        Raises:
            ProjectionStopped: the view cannot apply an event, which is the cause.
            TimeoutError: it is still trying after 30 s.
        """
        projectors = [self._projector(slot) for slot in self.target.slots]
        head = (await self.log.head()).position
        arriving = self.signal.reached(self.target.revision, head, timeout=_DEADLINE)
        there = asyncio.ensure_future(arriving)
        running = [asyncio.create_task(each.run()) for each in projectors]
        tasks: list[asyncio.Future[Any]] = [there, *running]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        in_time = there.done() and there.result()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for projector in projectors:
            self._require_running(projector)
        if not in_time:
            error = " ".join(each.error for each in projectors)
            raise TimeoutError(f"{self.view!r} did not get to the end: {error}")

    async def catch_up_with_crashes(self) -> None:
        """Crash before and again behind the commit of every page: each is delivered twice.

        Raises: ProjectionStopped: the view cannot apply an event, which is the cause.
        """
        head = (await self.log.head()).position
        for slot in self.target.slots:
            while await self._position(slot) < head:
                await self._crash(slot, "projector.before_commit")
                await self._crash(slot, "projector.after_commit")
        await self.catch_up()

    async def rows(self) -> list[Row]:
        """All rows, in the order of their keys."""
        bound = self.view.bind(self.target.revision, self.database.dialect)
        async with self.database.snapshot() as snapshot:
            rows = Rows(snapshot, database=self.database, bound={self.view: bound}, tenant="")
            page = await rows.page(self.view, page_size=_PAGE)
            found = list(page.items)
            while page.next_cursor is not None:
                page = await rows.page(self.view, page_size=_PAGE, cursor=page.next_cursor)
                found += page.items
            return found

    async def _crash(self, slot: Slot, place: str) -> None:
        projector = self._projector(slot)
        with armed(place, _crash):
            try:
                async with asyncio.timeout(_DEADLINE):
                    await projector.run()
            except Crash:
                return
        self._require_running(projector)

    async def _position(self, slot: Slot) -> int:
        async with self.database.snapshot() as snapshot:
            return await position_of(snapshot, slot)

    def _projector(self, slot: Slot) -> Projector:
        return Projector(
            self.target,
            slot,
            holder=self.worker.id,
            store=self.log,
            database=self.database,
            signal=self.signal,
            clock=self.clock,
        )

    def _require_running(self, projector: Projector) -> None:
        if projector.stopped is not None:
            raise projector.stopped


@asynccontextmanager
async def reader(
    view: View[Row], log: PagedLog, database: SqliteReadDatabase
) -> AsyncGenerator[Reader[Row]]:
    """A reader of `log` that begins with nothing. `database` is temporary: each time a new file."""
    clock = FixedClock()
    await database.open(log_id=log.log_id)
    signal = CheckpointSignal(database.glance)
    try:
        (model,) = grouped(view.lineage)
        revisions = await register(
            [model], database=database, log_id=log.log_id, head=START, at=clock.now()
        )
        target = Target(model, revisions[model.name], 0)
        worker = Worker.here()
        await Leases(worker, [target.revision], database=database).renew(())
        yield Reader(view, log, database, target, signal, clock, worker)
    finally:
        await signal.close()
        await database.close()


def _crash() -> None:
    raise Crash
