"""`Building`: brings candidates to the head of the log, those at one place by one reading."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

from diptych.codec import Events
from diptych.errors import (
    CheckpointDiverged,
    HistoryDiverged,
    RebuildRunning,
    StoreError,
    ViewPaused,
)
from diptych.failpoints import failpoint
from diptych.read.builder import Candidate, retake
from diptych.read.collector import held_off
from diptych.read.database import Transaction
from diptych.read.failure import FAULTS
from diptych.read.means import Means
from diptych.read.model import Decoded, Write
from diptych.read.pausing import paused_since
from diptych.read.progress import Meter
from diptych.read.projector import Projector
from diptych.read.throttle import Throttle
from diptych.store.contract import LogPage, Point, category_of

_LOOK: Final = 0.05


class _Failed(Exception):
    """A candidate met an event that its rule cannot apply."""

    def __init__(self, candidate: Candidate) -> None:
        super().__init__(candidate.model.name)
        self.candidate = candidate


@dataclass(frozen=True, slots=True)
class Building:
    """Pages as a projector's: rows and checkpoints in one transaction, under the builder's epoch.

    What a rule cannot apply is not decided here. From that place on the candidate is finished by
    its ordinary projectors, which try again, park or stop as the view says.
    """

    means: Means
    holder: str
    throttle: Throttle
    meter: Meter

    async def catch_up(self, candidates: Sequence[Candidate]) -> None:
        """Bring all of them to the head of the log, as it is then.

        Raises:
            ProjectionStopped: an event cannot be applied.
            RebuildRunning: another process has taken over.
            CheckpointDiverged: what was built so far shows events that the log does not have.
            StoreError: a database cannot do it; what was built so far stays.
        """
        place = attrgetter("point")
        plain = [each for each in candidates if not each.by_projectors]
        for _, group in groupby(sorted(plain, key=lambda each: each.point.position), key=place):
            await self._build(list(group))
        for each in candidates:
            if each.by_projectors:
                await self._project(each)

    async def _build(self, group: list[Candidate]) -> None:
        """One reading of the log for all of them; those that fail are left to their projectors."""
        while group:
            started = _time()
            with held_off():
                page, failed = await self._turn(group)
            if failed is not None:
                failed.by_projectors = True
                group.remove(failed)
                continue
            self.meter.at(page.scanned.position, page.head)
            if page.scanned.position >= page.head:
                return
            await self.throttle.pause(head=page.head, worked=_time() - started)

    async def _turn(self, group: Sequence[Candidate]) -> tuple[LogPage, Candidate | None]:
        page = await self._read(group)
        failpoint("rebuild.after_read")
        try:
            if page.scanned.position > group[0].point.position:
                await self._finish(group, page)
        except _Failed as failed:
            return page, failed.candidate
        return page, None

    async def _read(self, group: Sequence[Candidate]) -> LogPage:
        categories = frozenset[str]().union(*(each.model.categories for each in group))
        point, limit = group[0].point, self.throttle.limit
        try:
            return await self.means.store.read(after=point, limit=limit, categories=categories)
        except HistoryDiverged as error:
            name = group[0].model.name
            raise CheckpointDiverged(name, position=point.position) from error

    async def _finish(self, group: Sequence[Candidate], page: LogPage) -> None:
        """Rows and checkpoints of all of them, in one transaction.

        Raises: _Failed.
        """
        writes = await self._prepare(group, page)
        async with self.means.database.transaction() as tx:
            started = _time()
            failpoint("rebuild.before_write")
            for candidate, write in writes:
                await self.advance(tx, candidate, page.scanned)
                await _write(tx, candidate, write)
            failpoint("rebuild.before_commit")
        failpoint("rebuild.after_commit")
        self.throttle.wrote(len(page.events), seconds=_time() - started)
        for candidate in group:
            moved = (replace(each, point=page.scanned) for each in candidate.checkpoints)
            candidate.checkpoints = tuple(moved)

    async def advance(self, tx: Transaction, candidate: Candidate, to: Point) -> None:
        """Move its checkpoints, in a transaction that is still to be committed.

        Raises: RebuildRunning: another process has taken over. ViewPaused.
        """
        at, name = self.means.clock.now().isoformat(), candidate.model.name
        for checkpoint in candidate.checkpoints:
            if not await tx.advance(checkpoint, to, at=at):
                if (since := await paused_since(tx, name)) is not None:
                    raise ViewPaused(name, since=since, reached=checkpoint.point.position)
                raise RebuildRunning(name, holder="another process")

    async def _prepare(
        self, group: Sequence[Candidate], page: LogPage
    ) -> list[tuple[Candidate, Write]]:
        """Each event is decoded once for all views that declare the same families."""
        known: dict[tuple[Events[Any], ...], Sequence[Decoded]] = {}
        writes: list[tuple[Candidate, Write]] = []
        async with self.means.database.snapshot(projecting=True) as snapshot:
            for candidate in group:
                families = candidate.model.families
                try:
                    if families not in known:
                        known[families] = await decoded_for(candidate, page)
                    write = await candidate.bound.prepare(snapshot, known[families])
                except FAULTS as error:
                    raise _Failed(candidate) from error
                writes.append((candidate, write))
        return writes

    async def _project(self, candidate: Candidate) -> None:
        """By ordinary projectors, until they are at the head.

        Raises: ProjectionStopped, RebuildRunning.
        """
        head = (await self.means.store.head()).position
        target, slots = candidate.target, candidate.target.slots
        running = [self.means.projector(target, slot, holder=self.holder) for slot in slots]
        tasks = [asyncio.create_task(each.run()) for each in running]
        try:
            while (at := min(each.point.position for each in running)) < head:
                self.meter.at(at, head)
                await asyncio.wait(tasks, timeout=_LOOK, return_when=asyncio.FIRST_COMPLETED)
                for projector, task in zip(running, tasks, strict=True):
                    _require_going(projector, task)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self.meter.at(head, head)
        await retake(candidate, self.means, holder=self.holder)


async def _write(tx: Transaction, candidate: Candidate, write: Write) -> None:
    try:
        await write(tx)
    except StoreError:
        raise
    except FAULTS as error:
        raise _Failed(candidate) from error


async def decoded_for(candidate: Candidate, page: LogPage) -> Sequence[Decoded]:
    """The events of a page that are of its categories.

    Raises: UnknownEventType, UndecodableEvent.
    """
    categories = candidate.model.categories
    return await candidate.model.decode(
        [event for event in page.events if category_of(event.stream) in categories]
    )


def _require_going(projector: Projector, task: asyncio.Task[None]) -> None:
    if task.done():
        if projector.stopped is not None:
            raise projector.stopped
        raise RebuildRunning(projector.model.name, holder="another process")


def _time() -> float:
    return asyncio.get_running_loop().time()
