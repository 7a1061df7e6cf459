"""`Building`: brings candidates to the head of the log, those at one place by one reading."""

import asyncio
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, NoReturn

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
from diptych.read.continuity import require_page
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


_Families = tuple[Events[Any], ...]
_Prepared = tuple[Candidate, Write]


@dataclass(frozen=True, slots=True)
class _Page:
    """A page of the log with its events as objects, or what kept them from being decoded."""

    page: LogPage
    decoded: Mapping[_Families, Sequence[Decoded] | Exception]

    @property
    def scanned(self) -> Point:
        return self.page.scanned

    @property
    def head(self) -> int:
        return self.page.head


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
        """One reading of the log for all of them; those that fail are left to their projectors.

        The next page is read and decoded while a page is written: where the database is another
        process, both have something to do.
        """
        next_one: asyncio.Task[_Page] | None = None
        try:
            while group:
                started = _time()
                with held_off():
                    page = await (next_one or self._read(group, group[0].point))
                    next_one = None
                    failpoint("rebuild.after_read")
                    try:
                        writes = await self._prepare(group, page)
                        if page.scanned.position < page.head:
                            next_one = asyncio.create_task(self._read(group, page.scanned))
                        await self._write(writes, page)
                    except _Failed as failed:
                        failed.candidate.by_projectors = True
                        group.remove(failed.candidate)
                        await _dropped(next_one)
                        next_one = None
                        continue
                self.meter.at(page.scanned.position, page.head)
                if next_one is None:
                    return
                await self.throttle.pause(head=page.head, worked=_time() - started)
        finally:
            await _dropped(next_one)

    async def _read(self, group: Sequence[Candidate], after: Point) -> _Page:
        """A page, decoded once for all views that declare the same families.

        Raises: DeliveryGap: it does not follow on what came before; the next rebuild reads again.
        """
        categories = frozenset[str]().union(*(each.model.categories for each in group))
        try:
            page = await self.means.store.read(
                after=after, limit=self.throttle.limit, categories=categories
            )
            require_page(page, after=after.position, view=group[0].model.name)
        except HistoryDiverged as error:
            raise CheckpointDiverged(group[0].model.name, position=after.position) from error
        decoded: dict[_Families, Sequence[Decoded] | Exception] = {}
        for candidate in group:
            families = candidate.model.families
            if families not in decoded:
                try:
                    decoded[families] = await decoded_for(candidate, page, of=categories)
                except FAULTS as error:
                    decoded[families] = error
        return _Page(page, decoded)

    async def _prepare(self, group: Sequence[Candidate], page: _Page) -> list[_Prepared]:
        """Raises: _Failed."""
        if page.scanned.position <= group[0].point.position:
            return []
        found: list[_Prepared] = []
        async with self.means.database.snapshot(projecting=True) as snapshot:
            for candidate in group:
                decoded = page.decoded[candidate.model.families]
                if isinstance(decoded, Exception):
                    raise _Failed(candidate) from decoded
                try:
                    write = await candidate.bound.prepare(snapshot, decoded)
                except FAULTS as error:
                    raise _Failed(candidate) from error
                found.append((candidate, write))
        return found

    async def _write(self, writes: Sequence[_Prepared], page: _Page) -> None:
        """Rows and checkpoints of all of them, in one transaction.

        Raises: _Failed.
        """
        if not writes:
            return
        async with self.means.database.transaction() as tx:
            started = _time()
            failpoint("rebuild.before_write")
            for candidate, write in writes:
                await self.advance(tx, candidate, page.scanned)
                await _write(tx, candidate, write)
            failpoint("rebuild.before_commit")
        failpoint("rebuild.after_commit")
        self.throttle.wrote(len(page.page.events), seconds=_time() - started)
        for candidate, _ in writes:
            moved = (replace(each, point=page.scanned) for each in candidate.checkpoints)
            candidate.checkpoints = tuple(moved)

    async def advance(self, tx: Transaction, candidate: Candidate, to: Point | None = None) -> None:
        """Move its checkpoints, in a transaction that is still to be committed; or let each stay
        where it is, so that others hear that something changed.

        Raises: RebuildRunning: another process has taken over. ViewPaused.
        """
        at = self.means.clock.now().isoformat()
        for checkpoint in candidate.checkpoints:
            if not await tx.advance(checkpoint, to or checkpoint.point, at=at):
                await refuse_overtaken(tx, candidate)

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
                await self._require_going(candidate, running, tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self.meter.at(head, head)
        await retake(candidate, self.means, holder=self.holder)

    async def _require_going(
        self,
        candidate: Candidate,
        running: Sequence[Projector],
        tasks: Sequence[asyncio.Task[None]],
    ) -> None:
        """Raises: ProjectionStopped, ViewPaused, RebuildRunning."""
        for projector, task in zip(running, tasks, strict=True):
            if task.done():
                if projector.stopped is not None:
                    raise projector.stopped
                await retake(candidate, self.means, holder=self.holder)  # raises why it has ended


async def refuse_overtaken(tx: Transaction, candidate: Candidate) -> NoReturn:
    """Its checkpoint is not as we left it. Raises: ViewPaused, RebuildRunning."""
    name, reached = candidate.model.name, candidate.point.position
    if (since := await paused_since(tx, name)) is not None:
        raise ViewPaused(name, since=since, reached=reached)
    raise RebuildRunning(name, holder="another process")


async def _write(tx: Transaction, candidate: Candidate, write: Write) -> None:
    try:
        await write(tx)
    except StoreError:
        raise
    except FAULTS as error:
        raise _Failed(candidate) from error


async def decoded_for(
    candidate: Candidate, page: LogPage, *, of: AbstractSet[str]
) -> Sequence[Decoded]:
    """The events of its categories, from a page that has those `of` some.

    Raises: UnknownEventType, UndecodableEvent.
    """
    categories = candidate.model.categories
    if categories >= of:
        return await candidate.model.decode(page.events)
    return await candidate.model.decode(
        [event for event in page.events if category_of(event.stream) in categories]
    )


async def _dropped(task: asyncio.Task[_Page] | None) -> None:
    """Whatever it read was not needed, or not found."""
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _time() -> float:
    return asyncio.get_running_loop().time()
