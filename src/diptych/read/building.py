"""`Building`: brings candidates to the head of the log, those at one place by one reading."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Final

from diptych.read.builder import Candidate, retake
from diptych.read.filling import Failed, Filling
from diptych.read.means import Means
from diptych.read.progress import Meter
from diptych.read.projector import Projector
from diptych.read.throttle import Throttle

_LOOK: Final = 0.05


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
            try:
                await Filling(self.means, self.throttle, self.meter, group).run()
            except Failed as failed:
                failed.candidate.by_projectors = True
                group.remove(failed.candidate)
            else:
                return

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
