"""`Reactor`: runs one reaction while this process holds its cursor.

Theory of operation
-------------------
One task reads the log behind the cursor and puts the events into lanes, one for each stream; a
lane handles one event after the other. So events are done out of order, and `Mark` knows up to
where all are. Another task saves that point: at once after a quiet time, else twenty times a
second. After a crash everything behind the saved point comes again: that is what "at least
once" costs, and why it is little.

Every change of the cursor is made under the epoch that was given with it. Who was superseded is
told so by the next change, cancels what it is doing and ends. It cannot take back what `handle` has
done; so a holder whose lease may be over, because it slept, begins nothing before it was renewed.

What fails is tried again, while its stream waits and all others go on, until 256 events are under
way: what is read ahead is bounded. Then the reaction stops, or sets the stream aside: from that
event on, in the log's database, so that whoever is next knows. What comes later of a parked stream
joins it instead of being handled. When an operator has worked it off, joining is refused, and from
there on the events are handled again.

To stop is to begin nothing new, to let what was begun come to its end, for a while, and to save.
Trouble with the log is no failure of an event: whatever was asked is asked again, as all of it may
be repeated, until there is an answer or another has taken over.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Final, TypeVar

from msgspec.structs import replace

from diptych.clock import Clock
from diptych.errors import HistoryDiverged, StoreClosed, StoreError, TryAgain
from diptych.errors.reason import reason
from diptych.failpoints import failpoint
from diptych.flow.ends import Stopped, Superseded, told
from diptych.flow.handling import Handling
from diptych.flow.lanes import Lanes
from diptych.flow.lease import Lease
from diptych.flow.mark import Mark
from diptych.flow.reaction import Reaction
from diptych.messages import RecordedEvent
from diptych.store.contract import EventStore, LogPage, Point
from diptych.store.cursors import Cursors, Failure, Held, Parking, cursors_of

T = TypeVar("T")

GRACE: Final = 10.0
"""Seconds that a call of `handle` may still take when the reaction is to end."""
_PAGE: Final = 100
_CAPACITY: Final = 256
_SAVE_EVERY: Final = 0.05
_PASSED_EVERY: Final = 5.0
"""Seconds after which it is saved that nothing but events of others was passed."""
_LOOK_AGAIN: Final = 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0

_log = logging.getLogger(__name__)


class Reactor:
    """Handles what comes after a cursor, until it is told to end, is superseded, or stops.

    `stopped` is why it stopped. Made anew for each time that the cursor is taken.
    """

    def __init__(
        self,
        reaction: Reaction[Any],
        held: Held,
        *,
        lease: Lease,
        store: EventStore,
        clock: Clock,
        grace: float = GRACE,
    ) -> None:
        self.reaction, self.held = reaction, held
        self.stopped: Failure | None = None
        self.error = ""
        self._lease, self._store, self._clock, self._grace = lease, store, clock, grace
        self._mark, self._saved_at = Mark(held.point), held.point.position
        self._progress = asyncio.Event()
        self._lanes = Lanes(self._one, concurrency=reaction.concurrency, capacity=_CAPACITY)
        self._handling = Handling(reaction, clock, turn=self._turn, pause=self._lanes.pause)
        self._parked = {(each.tenant, each.stream) for each in held.parked}
        self._discarded = held.discarded
        self._ending = asyncio.Event()

    @property
    def retrying(self) -> bool:
        return self._handling.retrying > 0 or bool(self.error)

    def end(self) -> None:
        """Let `run` return, after what has begun is done."""
        self._ending.set()

    async def run(self) -> None:
        """Return when it was ended, superseded or stopped; `stopped` tells the last."""
        reading = asyncio.create_task(self._read(), name=f"diptych-reading-{self.reaction.name}")
        saving = asyncio.create_task(self._save(), name=f"diptych-saving-{self.reaction.name}")
        ending = asyncio.create_task(self._ending.wait())
        waits = (reading, saving, ending, self._lanes.failed)
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            await self._end(reading, saving)
        finally:
            for each in (reading, saving, ending):
                each.cancel()
            await self._lanes.cancel()
            await asyncio.gather(reading, saving, ending, return_exceptions=True)

    async def _end(self, reading: "asyncio.Task[None]", saving: "asyncio.Task[None]") -> None:
        """In good order: nothing new, then what was begun, then the point that was reached."""
        reading.cancel()
        why = self._why(reading, saving)
        if isinstance(why, Superseded):
            _log.info("%r: another process has taken over", self.reaction)
            return
        await self._lanes.close(grace=self._grace)
        saving.cancel()
        with suppress(Superseded, TimeoutError):
            async with asyncio.timeout(self._grace):
                await self._insist(self._saved)
                if isinstance(why, Stopped):
                    await self._insist(lambda: self._cursors.stop(self.held, why.failure))
                    self.stopped = why.failure
                    _log.error("%r stopped: %s", self.reaction, told(why.failure))
        if why is not None and not isinstance(why, Stopped):
            raise why

    def _why(self, *tasks: "asyncio.Task[None]") -> BaseException | None:
        """What ended it; None if it was asked to."""
        failed = self._lanes.failed
        errors = [failed.result()] if failed.done() else []
        done = [each for each in tasks if each.done() and not each.cancelled()]
        errors += [error for each in done if (error := each.exception()) is not None]
        gone = [error for error in errors if isinstance(error, Superseded)]
        return (gone or errors or [None])[0]

    @property
    def _cursors(self) -> Cursors:
        return cursors_of(self._store)

    async def _read(self) -> None:
        after = self.held.point
        while True:
            page = await self._asked(partial(self._page, after))
            failpoint("reaction.after_read")
            for event in page.events:
                self._mark.begin(Point(event.position, event.event_id))
                await self._lanes.put(event)
            after = page.scanned
            self._mark.passed(after)
            if after.position >= page.head:
                with suppress(TimeoutError, StoreError):
                    async with asyncio.timeout(_LOOK_AGAIN):
                        await self._store.moved(after.position)

    async def _page(self, after: Point) -> LogPage:
        try:
            return await self._store.read(
                after=after, limit=_PAGE, categories=self.reaction.categories
            )
        except HistoryDiverged as error:
            at = self._clock.now()
            raise Stopped(Failure("diverged", reason(error), at, after.position)) from error

    async def _one(self, recorded: RecordedEvent) -> None:
        """Handle it, or set it aside; then it is done.

        Raises: Stopped, Superseded.
        """
        if not (self._is_discarded(recorded) or await self._has_joined(recorded)):
            failure = await self._handling.handle(recorded, ends=lambda: self._lanes.closing)
            if failure is not None and self._lanes.closing:
                return  # it will come again
            if failure is not None:
                await self._failed(failure)
        self._mark.done(recorded.position)
        self._progress.set()

    def _is_discarded(self, event: RecordedEvent) -> bool:
        return any(each.covers(event) for each in self._discarded)

    async def _has_joined(self, event: RecordedEvent) -> bool:
        """Whether its stream is parked, and it with it; or was, and an operator discarded both."""
        stream = event.tenant, event.stream
        if stream not in self._parked:
            return False
        found = await self._parking(
            lambda: self._cursors.join(
                self.held,
                tenant=event.tenant,
                stream=event.stream,
                place=(event.version, event.position),
                limits=self.reaction.limits,
            )
        )
        if found is Parking.FULL:
            raise Stopped(self._full(event))
        if found is Parking.NOT_PARKED:
            self._discarded = await self._asked(lambda: self._cursors.discarded(self.held.name))
            self._parked.discard(stream)
            return self._is_discarded(event)
        return True

    async def _failed(self, failure: Failure) -> None:
        if self.reaction.on_error == "stop":
            raise Stopped(failure)
        limits = self.reaction.limits
        found = await self._parking(lambda: self._cursors.park(self.held, failure, limits=limits))
        if found is Parking.FULL:
            raise Stopped(replace(failure, kind="full"))
        if found is Parking.NOT_PARKED:  # the answer to a first try was lost, and it was discarded
            return
        failpoint("reaction.after_park")
        self._parked.add((failure.tenant, failure.stream))
        _log.warning("%r set a stream aside: %s", self.reaction, told(failure))

    async def _parking(self, ask: Callable[[], Awaitable[Parking]]) -> Parking:
        found = await self._asked(ask)
        if found is Parking.LOST:
            raise Superseded
        return found

    def _full(self, event: RecordedEvent) -> Failure:
        return Failure(
            "full",
            "no more events may be set aside",
            self._clock.now(),
            event.position,
            tenant=event.tenant,
            stream=event.stream,
            version=event.version,
            event_type=event.type,
        )

    @asynccontextmanager
    async def _turn(self) -> AsyncGenerator[None]:
        """To act, while the lease lasts: who has slept does not know who acts now."""
        async with self._lanes.turn():
            await self._lease.lasts()
            yield

    async def _save(self) -> None:
        """Soon after something was done; what was passed over, now and then."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_PASSED_EVERY):
                    await self._progress.wait()
            self._progress.clear()
            await self._insist(self._saved)
            await asyncio.sleep(_SAVE_EVERY)

    async def _saved(self) -> bool:
        point = self._mark.point
        if point.position <= self._saved_at:
            return True
        failpoint("reaction.before_save")
        mine = await self._cursors.advance(self.held, point)
        self._saved_at = point.position
        return mine

    async def _insist(self, change: Callable[[], Awaitable[bool]]) -> None:
        """Raises Superseded."""
        if not await self._asked(change):
            raise Superseded

    async def _asked(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask the log until it answers."""
        pause = _FIRST_PAUSE
        while True:
            try:
                answer = await ask()
            except StoreClosed:
                raise
            except (StoreError, TryAgain) as error:
                if (now := reason(error)) != self.error:  # said once: it may be away for long
                    _log.warning(
                        "%r: the log cannot be asked, trying again: %s", self.reaction, now
                    )
                self.error = now
                await asyncio.sleep(pause * (0.5 + self._clock.jitter() / 2))
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                if self.error:
                    _log.warning("%r: the log answers again", self.reaction)
                self.error = ""
                return answer
