"""`Projecting`: runs the projectors of the slots that this process holds, while it holds them."""

import asyncio
import logging
from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from diptych.errors import StoreError
from diptych.read.database import Slot
from diptych.read.lease import Leases
from diptych.read.projector import Projector, is_cancelled

_LOOKS: Final = 10
"""Looks at the leases in the time after which a silent worker counts as dead."""

_LONGEST_END: Final = 5.0

_log = logging.getLogger(__name__)


class Projecting:
    """One supervised task that looks at the leases, and one for each projector that runs.

    A projector that was stopped by an event stays stopped for as long as its slot is held here.
    One whose last pages are gone begins again at what is there: a database that crashed, or was
    replaced by its standby, may have lost what was not yet on its disk.
    """

    def __init__(self, projectors: Sequence[Projector], *, leases: Leases) -> None:
        self.projectors = {projector.slot: projector for projector in projectors}
        self._leases = leases
        self._tasks: dict[Slot, asyncio.Task[None]] = {}
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take what is free. Raises: StoreError: nothing was taken."""
        await self._look()
        self._watch = asyncio.create_task(self._run(), name="diptych-leases")

    @property
    def worker(self) -> str:
        return self._leases.worker.id

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
            _log.warning("leases are left to expire: %s", error)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._leases.ttl / _LOOKS)
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
        lost = [slot for slot, at in before.items() if sight.positions.get(slot, at) < at]
        if share.take or share.give or lost or self._leases.must_renew:
            # What must be taken is not held, whatever ran for it here: it begins again.
            await self._end([*share.give, *share.take, *lost])
            self._hold(held := await self._leases.renew(share.give))
            await self._end([slot for slot in self._tasks if slot not in held])

    def _hold(self, held: AbstractSet[Slot]) -> None:
        """Run what is held. One that was superseded by mistake has ended, and begins again."""
        for slot, projector in self.projectors.items():
            task = self._tasks.get(slot)
            if slot in held and (task is None or (task.done() and projector.stopped is None)):
                name = f"diptych-projector-{slot.view}"
                self._tasks[slot] = asyncio.create_task(projector.run(), name=name)

    async def _end(self, slots: Collection[Slot]) -> None:
        tasks = {slot: self._tasks[slot] for slot in slots if slot in self._tasks}
        for task in tasks.values():
            task.cancel()
        for outcome in await asyncio.gather(*tasks.values(), return_exceptions=True):
            if isinstance(outcome, Exception):
                _log.error("a projector ended with an error", exc_info=outcome)
        for slot in tasks:
            del self._tasks[slot]
