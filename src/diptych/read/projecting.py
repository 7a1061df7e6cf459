"""`Projecting`: runs the projectors of the slots that this process holds, while it holds them."""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Final

from diptych.errors import StoreError
from diptych.errors.reason import reason
from diptych.read.database import Slot
from diptych.read.lease import Leases, Sight
from diptych.read.projector import Projector, Status, is_cancelled
from diptych.read.revision import Target
from diptych.read.targets import Targets

_LOOKS: Final = 10
"""Looks at the leases in the time after which a silent worker counts as dead."""

_SOON: Final = 0.02
"""Seconds between two looks while something changes hands."""

_LONGEST_END: Final = 5.0

_log = logging.getLogger(__name__)

Make = Callable[[Target, Slot], Projector]


class Projecting:
    """One supervised task that looks at the leases, and one for each projector that runs.

    A projector that was stopped by an event stays stopped until its checkpoint does not say so any
    more: an operator wants it to be tried again. One that is paused runs when it is resumed.
    One whose last pages are gone begins again at what is there: a database that crashed, or was
    replaced by its standby, may have lost what was not yet on its disk.

    When another revision of a view begins to serve, its projectors take the place of those of the
    one before. Who projected that one finds its next page refused, and looks at once; who had
    nothing to do meanwhile finds it at the next look.
    """

    def __init__(self, targets: Targets, *, make: Make, leases: Leases) -> None:
        self._targets, self._make, self._leases = targets, make, leases
        self.projectors: dict[Slot, Projector] = {}
        for target in targets.by_name.values():
            self._add(target)
        self._tasks: dict[Slot, asyncio.Task[None]] = {}
        self._held: AbstractSet[Slot] = frozenset()
        self._watch: asyncio.Task[None] | None = None
        self._refused = asyncio.Event()

    async def start(self) -> None:
        """Take what is free. Raises: StoreError: nothing was taken."""
        await self._look()
        self._watch = asyncio.create_task(self._run(), name="diptych-leases")

    @property
    def worker(self) -> str:
        return self._leases.worker.id

    @property
    def alive(self) -> bool:
        """Whether what looks after the projectors still does; only a bug could end it."""
        return self._watch is not None and not self._watch.done()

    async def stop(self) -> None:
        """End the projectors, each after or without its transaction, and give all slots back."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        await self._end(tuple(self._tasks))
        try:
            async with asyncio.timeout(_LONGEST_END):
                await self._leases.end()
        except (StoreError, TimeoutError) as error:
            _log.warning("leases are left to expire: %s", reason(error))

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._leases.ttl / _LOOKS):
                    await self._refused.wait()
                    await asyncio.sleep(_SOON)
            self._refused.clear()
            try:
                await self._look()
            except (Exception, asyncio.CancelledError):
                if is_cancelled():
                    raise
                # The projectors go on meanwhile: what protects the rows is not the lease.
                _log.warning("leases cannot be looked at; trying again", exc_info=True)

    async def _look(self) -> None:
        before = {slot: self.projectors[slot].point.position for slot in self._tasks}
        sight = await self._leases.look()
        share = sight.share
        for changed in self._targets.follow(sight.registry):
            await self._retarget(changed.before, changed.now)
        self._leases.know(self._targets.revisions)
        lost = [slot for slot, at in before.items() if sight.positions.get(slot, at) < at]
        await self._end([slot for slot in self._tasks if slot.view in sight.paused])
        again = self._idle(sight, held=self._held)
        if share.take or share.give or lost or again or self._leases.must_renew:
            # What must be taken is not held, whatever ran for it here: it begins again.
            await self._end([*share.give, *share.take, *lost])
            self._held = await self._leases.renew(share.give)
            self._run_all(self._idle(sight, held=self._held))
            await self._end([slot for slot in self._tasks if slot not in self._held])

    async def _retarget(self, before: Target, now: Target) -> None:
        await self._end(before.slots)
        for slot in before.slots:
            del self.projectors[slot]
        self._add(now)
        _log.info("%r: revision %d takes the place of %d", now.model, now.revision, before.revision)

    def _add(self, target: Target) -> None:
        self.projectors |= {slot: self._make(target, slot) for slot in target.slots}

    def _idle(self, sight: Sight, *, held: AbstractSet[Slot]) -> list[Slot]:
        """What is held and should run, but does not. One that was superseded by mistake has ended,
        and begins again."""
        return [
            slot
            for slot in self.projectors
            if slot in held and slot.view not in sight.paused and self._may_run(slot, sight)
        ]

    def _may_run(self, slot: Slot, sight: Sight) -> bool:
        task, stopped = self._tasks.get(slot), self.projectors[slot].stopped
        return task is None or (task.done() and (stopped is None or slot not in sight.stopped))

    def _run_all(self, slots: Iterable[Slot]) -> None:
        for slot in slots:
            running = self._project(self.projectors[slot])
            name = f"diptych-projector-{slot.view}"
            self._tasks[slot] = asyncio.create_task(running, name=name)

    async def _project(self, projector: Projector) -> None:
        await projector.run()
        if projector.status is Status.STANDING_BY:
            self._refused.set()

    async def _end(self, slots: Collection[Slot]) -> None:
        tasks = {slot: self._tasks[slot] for slot in slots if slot in self._tasks}
        for task in tasks.values():
            task.cancel()
        for outcome in await asyncio.gather(*tasks.values(), return_exceptions=True):
            if isinstance(outcome, Exception):
                _log.error("a projector ended with an error", exc_info=outcome)
        for slot in tasks:
            del self._tasks[slot]
