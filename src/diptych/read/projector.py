"""`Projector`: runs one view or projection, for ever.

Theory of operation
-------------------
A projector reads the log page by page after its checkpoint. All that a page does, the rows and the
new checkpoint, is one transaction, and the checkpoint is moved by compare-and-swap: only if epoch
and position are still those that this projector knows. So an event takes effect exactly once.
After a crash before the commit nothing of the page is there and it is read again; after a crash
behind the commit the checkpoint is past it. A projector that was paused, or cut off, for so long
that another took over (a new epoch) changes no row: its transaction is rolled back and it stands
by, until the checkpoint has not moved for a while although the log has.

Nothing is kept in memory from one page to the next except the checkpoint; after any error that is
read again. Hence an unknown outcome of a commit needs no thought, and memory stays flat.

The checkpoint passes over events of other categories, or a token of one of them would never be
reached. Each page is read after the event id of the last one, so that a log which was restored
from a backup is found out (`HistoryDiverged`), not continued.

Errors are of two kinds. The database's (`StoreError`: busy, full, lost) are retried for ever, with
growing pauses. The rule's are not: an event that cannot be decoded or applied stops this
projection and no other. First the events before it are finished; then it is recorded with the
checkpoint what is wrong and where. Nothing is skipped.
"""

import asyncio
import logging
import traceback
from contextlib import nullcontext
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final, NoReturn

from diptych.clock import Clock
from diptych.errors import (
    DiptychError,
    HistoryDiverged,
    ProjectionStopped,
    UndecodableEvent,
    UnknownEventType,
)
from diptych.failpoints import failpoint
from diptych.read.collector import held_off
from diptych.read.database import Checkpoint, ReadDatabase, Slot, Transaction
from diptych.read.model import ReadModel, Unapplied, Write
from diptych.read.pace import Pace
from diptych.read.revision import let_serve, record_stop, take_over, whereabouts
from diptych.read.signal import CheckpointSignal
from diptych.store.contract import START, EventStore, LogPage, Point

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 5.0

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


@dataclass(frozen=True, slots=True)
class Target:
    """A model, the revision that it is projected into, and from where on that one serves."""

    model: ReadModel
    revision: int
    serves_from: int

    @property
    def slot(self) -> Slot:
        return Slot(self.model.name, self.revision)


class Projector:
    """Runs until it is cancelled, or stopped by an event; `status` and `error` say how it is.

    `patience` is for how many seconds another projector may stand still before this one, which
    was superseded by it, takes over again.
    """

    def __init__(
        self,
        target: Target,
        *,
        store: EventStore,
        database: ReadDatabase,
        signal: CheckpointSignal,
        clock: Clock,
        patience: float = 5.0,
    ) -> None:
        self.target, self.model = target, target.model
        self.status, self.error = Status.STARTING, ""
        self.point, self.pace = START, Pace()
        self.moved_at = 0.0
        self.stopped: ProjectionStopped | None = None
        self._store, self._database, self._signal = store, database, signal
        self._clock, self._patience = clock, patience
        self._bound = self.model.bind(target.revision, database.dialect)
        self._epoch: int | None = None
        self.serves = False
        self._failures = 0

    async def run(self) -> None:
        """Return when an event has stopped it; otherwise never."""
        step = self._follow
        while True:
            try:
                await step()
                step = self._follow
            except ProjectionStopped as stopped:
                self.status, self.error, self.stopped = Status.STOPPED, stopped.reason, stopped
                _log.exception("%s", stopped)
                return
            except Superseded:
                _log.warning("%r: another projector has taken over", self.model)
                step = self._stand_by
            except asyncio.CancelledError as error:
                if _is_cancelled():
                    raise
                await self._pause(error)
            except Exception as error:  # noqa: BLE001 - a projector never dies silently
                await self._pause(error)

    async def _follow(self) -> None:
        checkpoint, behind = await self._take_over(), False
        while True:
            with held_off() if behind else nullcontext():
                checkpoint, behind = await self._turn(checkpoint)
            self.status, self.error, self._failures = Status.RUNNING, "", 0
            if behind:
                await asyncio.sleep(0)
            else:
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
            checkpoint = await take_over(
                tx,
                self.target.slot,
                log_id=self._store.log_id,
                at=self._clock.now(),
                epoch=self._epoch,
            )
            if checkpoint is None:
                raise Superseded
            if checkpoint.point.position >= self.target.serves_from:
                await let_serve(tx, self.target.revision)
        self._epoch = checkpoint.epoch
        self._finished(checkpoint.point)
        return checkpoint

    async def _read(self, checkpoint: Checkpoint) -> LogPage:
        try:
            return await self._store.read(
                after=checkpoint.point, limit=self.pace.limit, categories=self.model.categories
            )
        except HistoryDiverged as error:
            await self._stop(checkpoint, error, position=checkpoint.point.position)

    async def _finish_or_stop(self, page: LogPage, checkpoint: Checkpoint) -> Checkpoint:
        """Finish the page; or what comes before the first event that cannot be, and stop."""
        try:
            return await self._finish(page, checkpoint)
        except (Unapplied, UnknownEventType, UndecodableEvent) as error:
            position = error.position or checkpoint.point.position
            before = _before(page, position)
            if before.events:
                checkpoint = await self._finish_or_stop(before, checkpoint)
            await self._stop(checkpoint, error, position=position)

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
            if not self.serves and page.scanned.position >= self.target.serves_from:
                await let_serve(tx, self.target.revision)
            failpoint("projector.before_commit")
        failpoint("projector.after_commit")
        self.pace.wrote(len(page.events), seconds=_time() - started)
        self._finished(page.scanned)
        return Checkpoint(checkpoint.slot, checkpoint.epoch, page.scanned)

    async def _prepare(self, page: LogPage) -> Write:
        """Outside of the transaction, for which other projectors wait. That is sound because the
        checkpoint tells at the end whether anybody else wrote in between."""
        decoded = await self.model.decode(page.events)
        if not decoded:
            return _nothing
        async with self._database.snapshot(projecting=True) as snapshot:
            return await self._bound.prepare(snapshot, decoded)

    def _finished(self, point: Point) -> None:
        if point != self.point:
            self.point, self.moved_at = point, _time()
        self.serves = self.serves or point.position >= self.target.serves_from
        self._signal.announce(self.target.revision, point.position)

    async def _stop(self, checkpoint: Checkpoint, error: Exception, *, position: int) -> NoReturn:
        reason = _reason(error)
        async with self._database.transaction() as tx:
            await record_stop(tx, checkpoint, reason=reason, position=position)
        stopped = ProjectionStopped(self.model.name, position=position, reason=reason)
        raise stopped from (error.__cause__ if isinstance(error, Unapplied) else error)

    async def _pause(self, error: BaseException) -> None:
        self.status, self.error = Status.RETRYING, _reason(error)
        longest = min(_FIRST_PAUSE * 2**self._failures, _LONGEST_PAUSE)
        seconds = longest * (0.5 + self._clock.jitter() / 2)
        _log.warning("%r: trying again in %.2f s", self.model, seconds, exc_info=error)
        self._failures = min(self._failures + 1, 10)
        await asyncio.sleep(seconds)

    async def _stand_by(self) -> None:
        """Wait until the checkpoint stands still although the log has moved on."""
        self.status, self._epoch = Status.STANDING_BY, None
        seen: tuple[int, int] | None = None
        while True:
            async with self._database.snapshot(projecting=True) as snapshot:
                found = await whereabouts(snapshot, self.target.slot)
            self._finished(Point(found[1]))
            if found == seen and (await self._store.head()).position > found[1]:
                return
            seen = found
            await asyncio.sleep(self._patience)


async def _nothing(tx: Transaction) -> None:
    pass


def _before(page: LogPage, position: int) -> LogPage:
    events = [event for event in page.events if event.position < position]
    point = Point(events[-1].position, events[-1].event_id) if events else START
    return LogPage(events, point, page.head)


def _reason(error: BaseException) -> str:
    """What happened, without what was in the event: that may be a secret."""
    if isinstance(error, Unapplied) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, DiptychError):
        return f"{type(error).__name__}: {error}"
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = [f" in {each.name}, {Path(each.filename).name}:{each.lineno}" for each in last]
    return f"{type(error).__name__}{''.join(where)}"


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _time() -> float:
    return asyncio.get_running_loop().time()
