"""`Detective`: looks at a view for long enough to tell whether it gets on, and explains it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from diptych.errors import StoreError
from diptych.read.blocker import Blocker
from diptych.read.causes import Circumstances, causes_of, is_plain
from diptych.read.database import ReadDatabase, Slot
from diptych.read.evidence import Evidence, evidence
from diptych.read.explanation import Cause, Explanation, Why
from diptych.read.model import ReadModel
from diptych.read.projector import Projector, Status
from diptych.read.schema import CHECKPOINTS
from diptych.store.contract import EventStore

_WATCHED_FOR: Final = 1.0
"""Seconds in which a view that gets on gets further, however long its pages take."""

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
            head = await self._head()
            if isinstance(head, Cause):
                return Explanation(model.name, seen.revision, seen.position, None, (head,))
            found = await self._watch(model, self._circumstances(model, seen, head))
        except StoreError as error:
            cause = _unreachable(Why.READ_DATABASE_UNREACHABLE, "read database", error)
            return Explanation(model.name, None, None, None, (cause,))
        view = found.evidence
        return Explanation(model.name, view.revision, view.position, head, causes_of(found))

    async def _head(self) -> int | Cause:
        try:
            return (await self._store.head()).position
        except StoreError as error:
            return _unreachable(Why.LOG_UNREACHABLE, "log", error)

    async def _look(self, model: ReadModel) -> Evidence:
        async with self._database.snapshot([model.wanted], leasing=True) as snapshot:
            standing = snapshot.standings.get(model.wanted)
            if standing is None:
                raise StoreError(f"it does not know this code of {model!r} any more")
            return await evidence(snapshot, view=model.name, revision=standing.revision)

    async def _watch(self, model: ReadModel, first: Circumstances) -> Circumstances:
        """Look again until it has moved, or the time is up. A lock that is there at each look, and
        is the same, is not one of those that come and go."""
        found, held = first, None
        loop = asyncio.get_running_loop()
        started = loop.time()
        for _ in range(_LOOKS):
            if is_plain(found) or found.moved:
                return replace(found, blockers=())
            held = await self._held(found.evidence, held)
            await asyncio.sleep(_WATCHED_FOR / _LOOKS)
            now = await self._look(model)
            went = now.position - first.evidence.position
            found = replace(
                self._circumstances(model, now, first.head),
                moved=went > 0 or now.revision != first.evidence.revision,
                per_second=max(went, 0) / (loop.time() - started),
                blockers=held,
            )
        return found

    async def _held(self, view: Evidence, before: Sequence[Blocker] | None) -> Sequence[Blocker]:
        """Those that were there before as well."""
        now = await self._database.blockers([*view.tables, CHECKPOINTS.name])
        known = {each.pid for each in (now if before is None else before)}
        return [each for each in now if each.pid in known]

    def _circumstances(self, model: ReadModel, view: Evidence, head: int) -> Circumstances:
        return Circumstances(
            view,
            head,
            errors=self._errors(model, view),
            asks=model.rebuild != "auto",
        )

    def _errors(self, model: ReadModel, view: Evidence) -> Mapping[int, str]:
        slots = [Slot(model.name, view.revision, part.partition) for part in view.parts]
        ours = [self._projectors[slot] for slot in slots if slot in self._projectors]
        return {each.slot.partition: each.error for each in ours if each.status is Status.RETRYING}


def _unreachable(why: Why, what: str, error: StoreError) -> Cause:
    return Cause(
        why,
        f"the {what} cannot be asked from here: {error}",
        "see to it that it runs and can be reached; then ask again",
        {"error": str(error)},
    )
