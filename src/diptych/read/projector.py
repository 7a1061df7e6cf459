"""`Projector`: runs one view or projection, or one partition of a view, while it holds it.

Theory of operation
-------------------
A projector reads the log page by page after its checkpoint. All that a page does, the rows and the
new checkpoint, is one transaction, and the checkpoint is moved by compare-and-swap: only if epoch
and position are still those that this projector knows. So an event takes effect exactly once.
After a crash before the commit nothing of the page is there and it is read again; after a crash
behind the commit the checkpoint is past it. A projector that was paused, or cut off, for so long
that another took over (a new holder, a new epoch) changes no row: its transaction is rolled back
and it ends. Who holds what is decided in `diptych.read.lease`.

Nothing is kept in memory from one page to the next except the checkpoint; after any error that is
read again. Hence an unknown outcome of a commit needs no thought, and memory stays flat.

The checkpoint passes over events of other categories, or a token of one of them would never be
reached. Each page is read after the event id of the last one, so that a log which was restored
from a backup is found out (`CheckpointDiverged`), not continued. Such a log may be shorter than
the checkpoint says and then does not move, so at the head it is looked at every few seconds.

Errors are of two kinds. The databases' (`StoreError`: busy, full, lost) are retried for ever, with
growing pauses. The rule's are not: an event that cannot be decoded or applied stops this
projection and no other. First the events before it are finished. Both are recorded with the
checkpoint, for all processes to see: what is wrong and where. Nothing is skipped.
"""

import asyncio
import logging
from contextlib import nullcontext, suppress
from enum import Enum
from typing import Final, NoReturn

from diptych.clock import Clock
from diptych.errors import (
    CheckpointDiverged,
    HistoryDiverged,
    ProjectionStopped,
    StoreError,
    UndecodableEvent,
    UnknownEventType,
)
from diptych.failpoints import failpoint
from diptych.read.checkpoint import Word, leave_word, reason, take_over
from diptych.read.collector import held_off
from diptych.read.database import Checkpoint, ReadDatabase, Slot, Transaction
from diptych.read.model import Unapplied, Write
from diptych.read.observer import UNOBSERVED, Observers
from diptych.read.pace import Pace
from diptych.read.revision import Target, let_serve
from diptych.read.schema import DIVERGED, RETRYING, RUNNING, STOPPED
from diptych.read.signal import CheckpointSignal
from diptych.store.contract import START, EventStore, LogPage, Point

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 5.0
_LOOK_AGAIN: Final = 5.0

_log = logging.getLogger(__name__)


class Status(Enum):
    """What a projector is doing."""

    STARTING = "starting"
    RUNNING = "running"
    RETRYING = "retrying"
    STANDING_BY = "standing by"
    STOPPED = "stopped"


class Superseded(Exception):
    """Another projector has taken this checkpoint over."""


class Projector:
    """Runs until it is cancelled, superseded, or stopped by an event; `status` and `error` say
    how it is. It can be run again.

    It projects one slot of `target`, for the worker `holder`.
    """

    def __init__(
        self,
        target: Target,
        slot: Slot,
        *,
        holder: str,
        store: EventStore,
        database: ReadDatabase,
        signal: CheckpointSignal,
        clock: Clock,
        observers: Observers = UNOBSERVED,
    ) -> None:
        self.target, self.model, self.slot = target, target.model, slot
        self.status, self.error = Status.STARTING, ""
        self.point, self.pace = START, Pace()
        self.stopped: ProjectionStopped | None = None
        self._holder, self._clock = holder, clock
        self._store, self._database, self._signal = store, database, signal
        partition = slot.partition if self.model.partitions > 1 else None
        self._bound = self.model.bind(target.revision, database.dialect, partition=partition)
        self._serves = False
        self._observers = observers
        self._failures = 0
        self._word = Word(RUNNING)
        self._epoch = -1

    def __repr__(self) -> str:
        part = f", partition {self.slot.partition}" if self.model.partitions > 1 else ""
        return f"{self.model!r}{part}"

    async def run(self) -> None:
        """Return when an event has stopped it, or another holds its slot; otherwise never."""
        self.status, self.stopped = Status.STARTING, None
        self.point, self._serves = START, False
        while True:
            try:
                await self._follow()
            except ProjectionStopped as stopped:
                self.status, self.error, self.stopped = Status.STOPPED, stopped.reason, stopped
                _log.exception("%s", stopped)
                return
            except Superseded:
                self.status = Status.STANDING_BY
                _log.info("%r: another process has taken over", self)
                return
            except asyncio.CancelledError as error:
                if is_cancelled():
                    self.status = Status.STANDING_BY
                    raise
                await self._pause(error)
            except Exception as error:  # noqa: BLE001 - a projector never dies silently
                await self._pause(error)

    async def _follow(self) -> None:
        checkpoint, behind = await self._take_over(), False
        while True:
            with held_off() if behind else nullcontext():
                checkpoint, behind = await self._turn(checkpoint)
            await self._leave_word(Word(RUNNING))
            self.status, self.error, self._failures = Status.RUNNING, "", 0
            if behind:
                await asyncio.sleep(0)
            else:
                await self._wait(checkpoint)

    async def _wait(self, checkpoint: Checkpoint) -> None:
        """For the log to move on; let the revision serve first, if nothing else did."""
        if not self._serves and checkpoint.point.position >= self.target.serves_from:
            async with self._database.transaction() as tx:
                serves = await self._let_serve(tx)
            self._serves = serves
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_AGAIN):
                await self._store.moved(checkpoint.point.position)

    async def _turn(self, checkpoint: Checkpoint) -> tuple[Checkpoint, bool]:
        """Read and finish one page; also whether there is more."""
        started, before = _time(), checkpoint.point.position
        page = await self._read(checkpoint)
        failpoint("projector.after_read")
        if page.scanned.position > before:
            checkpoint = await self._finish_or_stop(page, checkpoint)
            self.pace.went(page.scanned.position - before, seconds=_time() - started)
        return checkpoint, page.scanned.position < page.head

    async def _take_over(self) -> Checkpoint:
        async with self._database.transaction() as tx:
            taken = await take_over(
                tx,
                self.slot,
                holder=self._holder,
                log_id=self._store.log_id,
                at=self._clock.now(),
            )
        if taken is None:
            raise Superseded
        checkpoint, self._word = taken
        self._epoch = checkpoint.epoch
        self._finished(checkpoint.point)
        return checkpoint

    async def _read(self, checkpoint: Checkpoint) -> LogPage:
        try:
            return await self._store.read(
                after=checkpoint.point, limit=self.pace.limit, categories=self.model.categories
            )
        except HistoryDiverged:
            position = checkpoint.point.position
            diverged = CheckpointDiverged(self.model.name, position=position)
            await self._stop(diverged, position=position)

    async def _finish_or_stop(self, page: LogPage, checkpoint: Checkpoint) -> Checkpoint:
        """Finish the page; or what comes before the first event that cannot be, and stop."""
        try:
            with self._observers.page(self.model.name, page.events):
                return await self._finish(page, checkpoint)
        except (Unapplied, UnknownEventType, UndecodableEvent) as error:
            position = error.position or checkpoint.point.position
            before = _before(page, position)
            if before.events:
                checkpoint = await self._finish_or_stop(before, checkpoint)
            await self._stop(error, position=position)

    async def _finish(self, page: LogPage, checkpoint: Checkpoint) -> Checkpoint:
        """Rows and checkpoint, in one transaction."""
        write = await self._prepare(page)
        async with self._database.transaction() as tx:
            started = _time()
            failpoint("projector.before_write")
            await write(tx)
            failpoint("projector.before_checkpoint")
            if not await tx.advance(checkpoint, page.scanned, at=self._clock.now().isoformat()):
                raise Superseded
            serves = self._serves
            if not serves and page.scanned.position >= self.target.serves_from:
                serves = await self._let_serve(tx)
            failpoint("projector.before_commit")
        failpoint("projector.after_commit")
        self.pace.wrote(len(page.events), seconds=_time() - started)
        self._serves = serves
        self._finished(page.scanned)
        return Checkpoint(checkpoint.slot, checkpoint.epoch, page.scanned)

    async def _let_serve(self, tx: Transaction) -> bool:
        target, now = self.target, self._clock.now()
        return await let_serve(tx, target.revision, serves_from=target.serves_from, at=now)

    async def _prepare(self, page: LogPage) -> Write:
        """Outside of the transaction, for which other projectors wait. That is sound because the
        checkpoint tells at the end whether anybody else wrote in between."""
        decoded = await self.model.decode(page.events)
        if not decoded:
            return _nothing
        async with self._database.snapshot(projecting=True) as snapshot:
            return await self._bound.prepare(snapshot, decoded)

    def _finished(self, point: Point) -> None:
        """What several partitions have finished together, only the database can tell."""
        self.point = point
        if self.model.partitions == 1:
            self._signal.announce(self.target.revision, point.position)
        else:
            self._signal.look()

    async def _stop(self, error: Exception, *, position: int) -> NoReturn:
        why = reason(error)
        status = DIVERGED if isinstance(error, HistoryDiverged) else STOPPED
        await self._leave_word(Word(status, why, position))
        self._signal.wake(self.target.revision)
        self._observers.stopped(self.model.name, error)
        stopped = ProjectionStopped(self.model.name, position=position, reason=why)
        raise stopped from (error.__cause__ if isinstance(error, Unapplied) else error)

    async def _leave_word(self, word: Word) -> None:
        """For all who ask, in any process.

        Raises Superseded: another has taken over. Then what went wrong may be due to its rows.
        """
        if word != self._word:
            async with self._database.transaction() as tx:
                mine = await leave_word(
                    tx, self.slot, holder=self._holder, epoch=self._epoch, word=word
                )
            if not mine:
                raise Superseded
            self._word = word

    async def _pause(self, error: BaseException) -> None:
        self.status, self.error = Status.RETRYING, reason(error)
        self._observers.retried(self.model.name, error)
        longest = min(_FIRST_PAUSE * 2**self._failures, _LONGEST_PAUSE)
        seconds = longest * (0.5 + self._clock.jitter() / 2)
        _log.warning("%r: trying again in %.2f s", self, seconds, exc_info=error)
        if self._failures:
            with suppress(StoreError, Superseded):
                await self._leave_word(Word(RETRYING, self.error))
        self._failures = min(self._failures + 1, 10)
        await asyncio.sleep(seconds)


async def _nothing(tx: Transaction) -> None:
    pass


def _before(page: LogPage, position: int) -> LogPage:
    events = [event for event in page.events if event.position < position]
    point = Point(events[-1].position, events[-1].event_id) if events else START
    return LogPage(events, point, page.head)


def is_cancelled() -> bool:
    """Whether somebody wants this task to end; a `CancelledError` may be a mere error too."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _time() -> float:
    return asyncio.get_running_loop().time()
