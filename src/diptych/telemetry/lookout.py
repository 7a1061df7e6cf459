"""`Lookout`: looks at the views and reactions of an application, and tells who wants to know."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Self

from diptych.errors import StoreError
from diptych.flow.status import ReactionStatus
from diptych.read.readiness import Readiness
from diptych.store.contract import EventStore
from diptych.store.group_commit import CountsCommits
from diptych.telemetry.agreements import Agreements
from diptych.telemetry.contract import Sample, Telemetry

INTERVAL = 1.0

_log = logging.getLogger(__name__)


class Lookout:
    """Looks every `interval` seconds, in a task of its own: what it meets keeps nobody waiting,
    and no error ends it."""

    def __init__(
        self,
        readiness: Callable[[], Awaitable[Readiness]],
        reactions: Callable[[], Awaitable[tuple[ReactionStatus, ...]]],
        *,
        store: EventStore,
        telemetry: Sequence[Telemetry],
        interval: float = INTERVAL,
    ) -> None:
        self._readiness, self._reactions = readiness, reactions
        self._store, self._interval = store, interval
        self._telemetry, self._agreements = tuple(telemetry), Agreements()
        self._task: asyncio.Task[None] | None = None
        self._failed = False

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="diptych-lookout")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._look_safely()
            await asyncio.sleep(self._interval)

    async def _look_safely(self) -> None:
        try:
            await self._look()
        except Exception as error:  # noqa: BLE001 - it is told once, and looked at again
            if not self._failed:
                trace = None if isinstance(error, StoreError) else error
                _log.warning("views and reactions cannot be looked at: %s", error, exc_info=trace)
            self._failed = True
            self._tell(None)
        else:
            self._failed = False

    async def _look(self) -> None:
        found = await self._readiness()
        self._agreements.look(found)
        commits = self._store.commits if isinstance(self._store, CountsCommits) else None
        self._tell(Sample(found, await self._reactions(), commits))

    def _tell(self, sample: Sample | None) -> None:
        for each in self._telemetry:
            try:
                each.looked(sample)
            except Exception:  # noqa: BLE001 - not ours; it must not end the lookout
                _log.exception("%r failed", each)
