"""`Filling`: pages of the log into the tables of candidates that are at one place.

Theory of operation
-------------------
Three pages are under way at a time: one is read and decoded, one is folded, one is written.
Folding is Python's work; reading and writing are mostly a database's, in a thread or in another
process. Rows that the page before changed are not looked up, as it may still be written: the bound
views remember them (`Bound.remembering`). A page is written when the one before it is committed,
so what is committed is a prefix of the log, correctly folded, at any moment. When anything fails,
what was prepared and what is remembered is given up; whoever goes on begins at the checkpoints.

A throttled rebuild has one page under way, so that it takes one core at the most, and its
transactions are short.

At full speed Python's cyclic garbage collector is held off for some pages together, and let go
when no page is under way: it would look at every event of the pages that were read ahead. A
throttled rebuild holds it off while it works on a page, and not while it waits.
"""

import asyncio
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any, Final

from diptych.codec import Events
from diptych.errors import CheckpointDiverged, HistoryDiverged, StoreError
from diptych.failpoints import failpoint
from diptych.read.builder import Candidate, advance
from diptych.read.collector import held_off
from diptych.read.continuity import require_page
from diptych.read.database import Loading, Transaction
from diptych.read.failure import FAULTS
from diptych.read.means import Means
from diptych.read.model import Bound, Decoded, Write
from diptych.read.progress import Meter
from diptych.read.throttle import Throttle
from diptych.store.contract import LogPage, Point, category_of

_STRETCH: Final = 10
"""Pages for which the garbage collector is held off: about a second."""

_LONGEST: Final = 1.0
"""Seconds after which no further page is begun in a stretch: others may have to be waited for."""


class Failed(Exception):
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


class Filling:
    """One reading of the log for a group of candidates. It is run once."""

    def __init__(
        self, means: Means, throttle: Throttle, meter: Meter, group: Sequence[Candidate]
    ) -> None:
        self._means, self._throttle, self._meter = means, throttle, meter
        self._bounds = {each: each.bound.remembering() for each in group}
        self._after = group[0].point
        self._view = group[0].model.name
        self._categories = frozenset[str]().union(*(each.model.categories for each in group))
        self._reading: asyncio.Task[_Page] | None = None
        self._writing: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Bring all of them to the head of the log, as it is then.

        Raises: Failed; and what `Building.catch_up` raises.
        """
        try:
            while not await self._stretch():
                pass
        finally:
            await _dropped(self._reading)
            await _dropped(self._writing)

    async def _stretch(self) -> bool:
        """Some pages, or one if it is throttled; whether the last one was at the head."""
        if not self._throttle.full_speed:
            return await self._page(ahead=False)
        began, ahead = _time(), True
        with held_off():
            for left in reversed(range(_STRETCH)):
                ahead = left > 0 and _time() - began < _LONGEST
                if await self._page(ahead=ahead):
                    return True
                if not ahead:
                    break
        return False

    async def _page(self, *, ahead: bool) -> bool:
        """One page; `ahead`: the next ones may be begun before this one is written."""
        started = _time()
        page = await (self._reading or self._read(self._after))
        self._reading = None
        failpoint("rebuild.after_read")
        at_head = page.scanned.position >= page.head
        if ahead and not at_head:
            self._reading = asyncio.create_task(self._read(page.scanned))
        try:
            writes = await self._prepare(page)
        except Failed:
            await self._written()  # the others go on behind it
            raise
        await self._written()
        self._after = page.scanned
        self._writing = asyncio.create_task(self._write(writes, page))
        if at_head or not ahead:
            await self._written()
        self._meter.at(page.scanned.position, page.head)
        if not at_head:
            await self._throttle.pause(head=page.head, worked=_time() - started)
        return at_head

    async def _written(self) -> None:
        """Raises: Failed, and whatever kept the page from being written."""
        writing, self._writing = self._writing, None
        if writing is not None:
            try:
                await writing
            finally:
                await _dropped(writing)  # who waited for it may have been cancelled alone

    async def _read(self, after: Point) -> _Page:
        """A page, decoded once for all views that declare the same families.

        Raises: DeliveryGap: it does not follow on what came before; the next rebuild reads again.
        """
        try:
            page = await self._means.store.read(
                after=after, limit=self._throttle.limit, categories=self._categories
            )
            require_page(page, after=after.position, view=self._view)
        except HistoryDiverged as error:
            raise CheckpointDiverged(self._view, position=after.position) from error
        decoded: dict[_Families, Sequence[Decoded] | Exception] = {}
        for candidate in self._bounds:
            families = candidate.model.families
            if families not in decoded:
                try:
                    decoded[families] = await decoded_for(candidate, page, of=self._categories)
                except FAULTS as error:
                    decoded[families] = error
        return _Page(page, decoded)

    async def _prepare(self, page: _Page) -> list[_Prepared]:
        """Raises: Failed."""
        if page.scanned.position <= self._after.position:
            return []
        async with self._means.database.snapshot(projecting=True) as snapshot:
            with held_off():
                return [
                    (candidate, await _prepare(snapshot, candidate, bound=bound, page=page))
                    for candidate, bound in self._bounds.items()
                ]

    async def _write(self, writes: Sequence[_Prepared], page: _Page) -> None:
        """Rows and checkpoints of all of them, in one transaction.

        Raises: Failed.
        """
        if not writes:
            return
        async with self._means.database.transaction() as tx:
            started = _time()
            failpoint("rebuild.before_write")
            with held_off():
                for candidate, write in writes:
                    await advance(tx, candidate, to=page.scanned, at=self._means.clock.now())
                    await _write(tx, candidate, write)
            failpoint("rebuild.before_commit")
        failpoint("rebuild.after_commit")
        self._throttle.wrote(len(page.page.events), seconds=_time() - started)
        for candidate, _ in writes:
            moved = (replace(each, point=page.scanned) for each in candidate.checkpoints)
            candidate.checkpoints = tuple(moved)


async def _prepare(snapshot: Loading, candidate: Candidate, *, bound: Bound, page: _Page) -> Write:
    """Raises: Failed."""
    decoded = page.decoded[candidate.model.families]
    if isinstance(decoded, Exception):
        raise Failed(candidate) from decoded
    try:
        return await bound.prepare(snapshot, decoded)
    except FAULTS as error:
        raise Failed(candidate) from error


async def _write(tx: Transaction, candidate: Candidate, write: Write) -> None:
    try:
        await write(tx)
    except StoreError:
        raise
    except FAULTS as error:
        raise Failed(candidate) from error


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


async def _dropped(task: asyncio.Task[Any] | None) -> None:
    """Whatever it did is not wanted any more; it is over when this returns."""
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _time() -> float:
    return asyncio.get_running_loop().time()
