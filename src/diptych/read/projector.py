"""`Projector`: runs one view or projection, or one partition of a view, while it holds it.

Theory of operation
-------------------
A projector reads the log page by page after its checkpoint. All that a page does, the rows and the
new checkpoint, is one transaction (`diptych.read.finishing`), and the checkpoint is moved by
compare-and-swap: only if epoch and position are still those that this projector knows. So an event
takes effect exactly once. After a crash before the commit nothing of the page is there and it is
read again; after a crash behind the commit the checkpoint is past it. A projector that was paused,
or cut off, for so long that another took over (a new holder, a new epoch) changes no row: its
transaction is rolled back and it ends. Who holds what is decided in `diptych.read.lease`.

Nothing is kept in memory from one page to the next except the checkpoint; after any error that is
read again. Hence an unknown outcome of a commit needs no thought, and memory stays flat.

The checkpoint passes over events of other categories, or a token of one of them would never be
reached. Each page is read after the event id of the last one, so that a log which was restored
from a backup is found out (`CheckpointDiverged`), not continued. Such a log may be shorter than
the checkpoint says and then does not move, so at the head it is looked at every few seconds.

Errors are of two kinds. The databases' (`StoreError`: busy, full, lost) are retried for ever, with
growing pauses. Others are an event's: it cannot be decoded or applied. What comes before it is
finished, and it is tried a few times more (`diptych.read.trying`). Then its key is parked, if the
view parks and the event failed for a key (`diptych.read.parking`); otherwise this projection stops
and no other. What is wrong and where is recorded with the checkpoint, for all processes to see.
Nothing is skipped.
"""

import asyncio
import logging
from contextlib import nullcontext, suppress
from enum import Enum
from typing import Final, NoReturn

from diptych.clock import Clock
from diptych.errors import (
    CheckpointDiverged,
    DeliveryGap,
    HistoryDiverged,
    ProjectionStopped,
    StoreError,
    ViewPaused,
)
from diptych.failpoints import failpoint
from diptych.read.checkpoint import Word
from diptych.read.collector import held_off
from diptych.read.continuity import require_page
from diptych.read.database import Checkpoint, ReadDatabase, Slot
from diptych.read.failure import Failing, Failure, FailureKind, failure_of, failure_of_other
from diptych.read.finishing import Finisher, Overtaken
from diptych.read.hold import Hold, Superseded
from diptych.read.observer import UNOBSERVED, Observers
from diptych.read.pace import Pace
from diptych.read.parking import Attempted
from diptych.read.revision import Target
from diptych.read.schema import DIVERGED, RETRYING, STOPPED
from diptych.read.signal import CheckpointSignal
from diptych.read.trying import Tries
from diptych.store.contract import START, EventStore, LogPage, Point

_LOOK_AGAIN: Final = 5.0

_log = logging.getLogger(__name__)


class Status(Enum):
    """What a projector is doing."""

    STARTING = "starting"
    RUNNING = "running"
    RETRYING = "retrying"
    STANDING_BY = "standing by"
    PAUSED = "paused"
    STOPPED = "stopped"


class Projector:
    """Runs until it is cancelled, superseded, paused, or stopped by an event; `status` and `error`
    say how it is. It can be run again.

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
        self._clock = clock
        self._store, self._database, self._signal = store, database, signal
        self._observers = observers
        self._finisher = Finisher(
            target, slot, database=database, clock=clock, pace=self.pace, observers=observers
        )
        self._tries = Tries(clock.jitter)
        self._hold = Hold(slot, holder=holder, log_id=store.log_id, database=database, clock=clock)

    def __repr__(self) -> str:
        part = f", partition {self.slot.partition}" if self.model.partitions > 1 else ""
        return f"{self.model!r}{part}"

    async def run(self) -> None:
        """Return when an event has stopped it, when it is paused, or another holds its slot."""
        self.status, self.stopped = Status.STARTING, None
        self.point, self._finisher.serves = START, False
        self._finisher.failing = {}
        self._tries = Tries(self._clock.jitter)
        while True:
            try:
                await self._go_on()
            except ProjectionStopped as stopped:
                self.status, self.error, self.stopped = Status.STOPPED, stopped.reason, stopped
                _log.exception("%s", stopped)
                return
            except Superseded:
                self.status = Status.STANDING_BY
                _log.info("%r: another process has taken over", self)
                return
            except ViewPaused:
                self.status = Status.PAUSED
                _log.info("%r is paused", self)
                return
            except asyncio.CancelledError as error:
                if is_cancelled():
                    self.status = Status.STANDING_BY
                    raise
                await self._pause(error)
            except Exception as error:  # noqa: BLE001 - a projector never dies silently
                await self._pause(error)

    async def _go_on(self) -> None:
        """Follow the log until an event fails, and decide what becomes of it."""
        try:
            await self._follow()
        except Failing as failing:
            failure, cause = failing.failure, failing.__cause__ or failing
            if self._tries.again(failure):
                await self._pause(cause, failure)
            elif failure.key is not None and self.model.parks is not None:
                self._park(failure, cause)
            else:
                await self._stop(failure, cause)

    async def _follow(self) -> None:
        checkpoint, behind = await self._take_over(), False
        while True:
            with held_off() if behind else nullcontext():
                checkpoint, behind = await self._turn(checkpoint)
            await self._say_well()
            if behind:
                await asyncio.sleep(0)
            else:
                await self._wait(checkpoint)

    async def _wait(self, checkpoint: Checkpoint) -> None:
        """For the log to move on; let the revision serve first, if nothing else did."""
        if not self._finisher.serves and checkpoint.point.position >= self.target.serves_from:
            await self._finisher.let_serve()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_AGAIN):
                await self._store.moved(checkpoint.point.position)

    async def _turn(self, checkpoint: Checkpoint) -> tuple[Checkpoint, bool]:
        """Read and finish one page, or its beginning; also whether there is more."""
        started, before = _time(), checkpoint.point.position
        page = await self._read(checkpoint)
        failpoint("projector.after_read")
        if page.scanned.position > before:
            checkpoint = await self._finish(page, checkpoint)
            self.pace.went(checkpoint.point.position - before, seconds=_time() - started)
        return checkpoint, checkpoint.point.position < page.head

    async def _finish(self, page: LogPage, checkpoint: Checkpoint) -> Checkpoint:
        try:
            finished = await self._finisher.finish(page, checkpoint)
        except Overtaken:
            return await self._hold.read_again()
        self._finished(finished.point)
        return finished

    async def _take_over(self) -> Checkpoint:
        checkpoint = await self._hold.take_over()
        self._finished(checkpoint.point)
        return checkpoint

    async def _read(self, checkpoint: Checkpoint) -> LogPage:
        """Raises: Failing: the log has another history, or left something out."""
        position, name = checkpoint.point.position, self.model.name
        try:
            page = await self._store.read(
                after=checkpoint.point, limit=self.pace.limit, categories=self.model.categories
            )
            require_page(page, after=position, view=name)
        except HistoryDiverged as error:
            diverged = CheckpointDiverged(name, position=position)
            raise Failing(failure_of(diverged)) from error
        except DeliveryGap as gap:
            raise Failing(failure_of(gap)) from gap
        return page

    def _finished(self, point: Point) -> None:
        """What several partitions have finished together, only the database can tell."""
        self.point = point
        if self.model.partitions == 1:
            self._signal.announce(self.target.revision, point.position)
        else:
            self._signal.look()

    def _park(self, failure: Failure, cause: BaseException) -> None:
        """Its key, with the next page."""
        attempts = self._tries.of(failure)
        _log.error(
            "%r: the event at %s failed %d times, its key is parked: %s",
            self,
            failure.position,
            attempts,
            failure.error,
            exc_info=cause,
        )
        self._observers.parked(self.model.name, cause)
        if failure.key is not None:
            self._finisher.failing[failure.key] = Attempted(failure, attempts)

    async def _stop(self, failure: Failure, cause: BaseException) -> NoReturn:
        status = DIVERGED if failure.kind is FailureKind.DIVERGED else STOPPED
        position = self.point.position if failure.position is None else failure.position
        await self._hold.say(Word(status, failure, self._tries.of(failure)))
        self._signal.wake(self.target.revision)
        self._observers.stopped(self.model.name, cause)
        stopped = ProjectionStopped(self.model.name, position=position, reason=failure.error)
        raise stopped from (cause.__cause__ or cause)

    async def _say_well(self) -> None:
        await self._hold.say_well()
        self._tries.went_on(self.point.position)
        self.status, self.error = Status.RUNNING, ""

    async def _pause(self, error: BaseException, failure: Failure | None = None) -> None:
        """Try again after a while. What is gone by then is nobody's business, unless it was an
        event: it is known at once, as it will hardly go by itself."""
        failure = failure or failure_of_other(error)
        self.status, self.error = Status.RETRYING, failure.error
        self._observers.retried(self.model.name, error)
        attempts, seconds = self._tries.count(failure)
        _log.warning("%r: trying again in %.2f s", self, seconds, exc_info=error)
        if failure.position is not None or attempts > 1:
            with suppress(StoreError, Superseded):
                await self._hold.say(Word(RETRYING, failure, attempts))
        await asyncio.sleep(seconds)


def is_cancelled() -> bool:
    """Whether somebody wants this task to end; a `CancelledError` may be a mere error too."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _time() -> float:
    return asyncio.get_running_loop().time()
