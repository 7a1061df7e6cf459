"""`Finisher`: finishes pages of one slot: rows, what is set aside and checkpoint, or nothing."""

import asyncio

from diptych.clock import Clock
from diptych.failpoints import failpoint
from diptych.read.checkpoint import read_again
from diptych.read.database import Checkpoint, ReadDatabase, Slot, Transaction
from diptych.read.failure import FAULTS, Failing, Failure, FailureKind, failure_of
from diptych.read.model import Bound, Key, Write
from diptych.read.observer import Observers
from diptych.read.pace import Pace
from diptych.read.parking import Attempted, SetAside, set_aside
from diptych.read.revision import Target, let_serve
from diptych.store.contract import LogPage, Point


class Overtaken(Exception):
    """The checkpoint is not what it was: somebody else moved it, or changed rows under it."""


class Finisher:
    """Knows the tables of a slot, and whether its revision serves yet.

    `failing` are the keys that are to be parked with the next page, because they failed again and
    again.
    """

    def __init__(
        self,
        target: Target,
        slot: Slot,
        *,
        database: ReadDatabase,
        clock: Clock,
        pace: Pace,
        observers: Observers,
    ) -> None:
        self._target, self._model, self._revision = target, target.model, slot.revision
        self._database, self._clock, self._pace = database, clock, pace
        self._observers = observers
        partition = slot.partition if target.model.partitions > 1 else None
        self._bound: Bound = target.model.bind(slot.revision, database.dialect, partition=partition)
        self.serves = False
        self.failing: dict[Key, Attempted] = {}

    async def finish(self, page: LogPage, checkpoint: Checkpoint) -> Checkpoint:
        """As much of the page as can be; the checkpoint after it.

        Raises:
            Failing: nothing can be, because of the first event that is left.
            Overtaken: read the checkpoint again.
        """
        while True:
            try:
                with self._observers.page(self._model.name, page.events):
                    return await self._finish(page, checkpoint)
            except FAULTS as fault:
                failure = failure_of(fault, page.events)
                shorter = _before(page, failure)
                if shorter is None:
                    raise Failing(failure) from fault
                page = shorter

    async def let_serve(self) -> None:
        """If its revision has caught up, and nothing else let it serve."""
        async with self._database.transaction() as tx:
            serves = await self._let_serve(tx)
        self.serves = serves

    async def _finish(self, page: LogPage, checkpoint: Checkpoint) -> Checkpoint:
        write, aside = await self._prepare(page, checkpoint)
        parked = 0
        async with self._database.transaction() as tx:
            started = _time()
            failpoint("projector.before_checkpoint")
            if not await tx.advance(checkpoint, page.scanned, at=self._clock.now().isoformat()):
                raise Overtaken
            failpoint("projector.before_write")
            await write(tx)
            if aside is not None:
                parked = await aside.write(tx, checkpoint, at=self._clock.now())
            serves = self.serves
            if not serves and page.scanned.position >= self._target.serves_from:
                serves = await self._let_serve(tx)
            failpoint("projector.before_commit")
        failpoint("projector.after_commit")
        self._pace.wrote(len(page.events), seconds=_time() - started)
        self.serves, self.failing = serves, {}
        return _moved(checkpoint, page.scanned, parked)

    async def _let_serve(self, tx: Transaction) -> bool:
        serves_from, now = self._target.serves_from, self._clock.now()
        return await let_serve(tx, self._revision, serves_from=serves_from, at=now)

    async def _prepare(
        self, page: LogPage, checkpoint: Checkpoint
    ) -> tuple[Write, SetAside | None]:
        """Outside of the transaction, for which other projectors wait. That is sound because the
        checkpoint tells whether anybody else wrote in between."""
        decoded = await self._model.decode(page.events)
        if not decoded:
            return _nothing, None
        try:
            async with self._database.snapshot(projecting=True) as snapshot:
                aside = None
                if checkpoint.parked_keys or self.failing:
                    aside = await set_aside(snapshot, self._model, self._revision, self.failing)
                return await self._bound.prepare(snapshot, decoded, aside), aside
        except FAULTS:
            await self._require_unmoved(checkpoint)
            raise

    async def _require_unmoved(self, checkpoint: Checkpoint) -> None:
        """A fault that was met with rows which somebody else has changed is none of the events':
        with the rows of a successor, who is further, every page seems to come again. A checkpoint
        that is still as it was, was so when the rows were read.

        Raises: Overtaken.
        """
        async with self._database.snapshot(projecting=True) as snapshot:
            found = await read_again(snapshot, checkpoint.slot, epoch=checkpoint.epoch)
        if found is None or _place(found) != _place(checkpoint):
            raise Overtaken


def _before(page: LogPage, failure: Failure) -> LogPage | None:
    """What may be finished before the failure is looked at; None if nothing may.

    Which event it was is not known of a row that cannot be stored. Then half of the page is tried:
    what can be finished of it is not tried again.
    """
    if failure.kind is FailureKind.GAP:
        return None
    if failure.exact:
        events = [event for event in page.events if event.position < (failure.position or 0)]
    else:
        events = list(page.events[: len(page.events) // 2])
    if not events:
        return None
    return LogPage(events, Point(events[-1].position, events[-1].event_id), page.head)


def _place(checkpoint: Checkpoint) -> tuple[int, int]:
    """What moves within an epoch when anybody writes rows of its slot."""
    return checkpoint.point.position, checkpoint.acts


def _moved(checkpoint: Checkpoint, to: Point, parked: int) -> Checkpoint:
    return Checkpoint(
        checkpoint.slot, checkpoint.epoch, to, checkpoint.acts, checkpoint.parked_keys + parked
    )


async def _nothing(tx: Transaction) -> None:
    pass


def _time() -> float:
    return asyncio.get_running_loop().time()
