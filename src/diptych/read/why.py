"""`why`: looks at a view, long enough to tell whether it gets on, and explains what it sees."""

import asyncio
from collections.abc import Mapping
from typing import Final

from diptych.errors import StoreError
from diptych.read.causes import Circumstances, causes_of
from diptych.read.database import ReadDatabase, Slot
from diptych.read.evidence import Evidence, evidence
from diptych.read.explanation import Cause, Explanation, Why
from diptych.read.model import ReadModel
from diptych.read.projector import Projector
from diptych.store.contract import EventStore

_WATCHED_FOR: Final = 1.0
"""Seconds in which a view that gets on gets further, whatever its pages are."""

_LOOKS: Final = 5


class Detective:
    """Explains the views of one application. `projectors` are those that run in this process."""

    def __init__(
        self,
        *,
        store: EventStore,
        database: ReadDatabase,
        projectors: Mapping[Slot, Projector],
    ) -> None:
        self._store, self._database, self._projectors = store, database, projectors

    async def why(self, model: ReadModel) -> Explanation:
        """It takes a second where the view is behind, and changes nothing."""
        try:
            seen = await self._look(model)
        except StoreError as error:
            cause = _unreachable(Why.READ_DATABASE_UNREACHABLE, "the read database", error)
            return Explanation(model.name, None, None, None, (cause,))
        try:
            head = (await self._store.head()).position
        except StoreError as error:
            cause = _unreachable(Why.LOG_UNREACHABLE, "the log", error)
            return Explanation(model.name, seen.revision, seen.position, None, (cause,))
        try:
            found = await self._watch(model, seen, head)
        except StoreError as error:
            cause = _unreachable(Why.READ_DATABASE_UNREACHABLE, "the read database", error)
            return Explanation(model.name, seen.revision, seen.position, head, (cause,))
        return Explanation(
            model.name, seen.revision, found.evidence.position, head, causes_of(found)
        )

    async def _look(self, model: ReadModel) -> Evidence:
        async with self._database.snapshot([model.wanted], leasing=True) as snapshot:
            revision = snapshot.standings[model.wanted].revision
            return await evidence(snapshot, view=model.name, revision=revision)

    async def _watch(self, model: ReadModel, seen: Evidence, head: int) -> Circumstances:
        """Look again, until it has moved or the time is up."""
        first = self._circumstances(model, seen, head)
        if seen.position >= head or _is_clear(first):
            return first
        loop = asyncio.get_running_loop()
        started = loop.time()
        now = seen
        for _ in range(_LOOKS):
            await asyncio.sleep(_WATCHED_FOR / _LOOKS)
            now = await self._look(model)
            if now.revision != seen.revision or now.position > seen.position:
                break
        ...
