"""`Refold`: the rows of a view made anew from the log alone, up to any place in it.

Theory of operation
-------------------
The rows are folded into a database of their own, which begins empty: so memory stays flat however
many rows there are, and nothing that is in the read database has a say in them. It is the view's
own fold, over the views that it is over, if it is over one. Where only some keys are wanted, only
their events are folded; but a row over another view may come from any row of that.

It goes on to exactly the place that it is asked for, again and again. So a row of the read database
is compared with what it must be at its own checkpoint, while that moves on: there is nothing to
wait for, nothing to lock and no difference that is only one of time.

What operators decided counts as it does in the read database: events that are parked or discarded
in a revision are not applied. What was parked and applied by a retry is folded in its own place for
the view itself, whose row only its own events concern. The views over it saw it late, between
events of other rows: for them it is folded where the retry was.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import sqlalchemy as sa

from diptych.errors import ConsistencyTimeout, InvalidInput, ProjectionStopped
from diptych.messages import RecordedEvent
from diptych.read.bound_view import BoundView
from diptych.read.database import ReadDatabase, Snapshot, Transaction
from diptych.read.failure import FAULTS, reason
from diptych.read.group import BoundGroup
from diptych.read.keyed_rows import Found, FullKey, KeyedRows, Values, is_readable
from diptych.read.keytext import KeyText
from diptych.read.model import Aside, Key
from diptych.read.parking import key_id
from diptych.read.progress import Meter
from diptych.read.recalling import Only, recalled
from diptych.read.schema import DISCARDS, PARKED_EVENTS, RETRIES
from diptych.read.view import View
from diptych.store.contract import EventStore, LogPage, Point

OpenScratch = Callable[[], ReadDatabase]
"""Makes a database that begins empty and is gone when it is closed; not yet opened."""

_PAGE: Final = 2_000
_KEYS: Final = 200
_PATIENCE: Final = timedelta(seconds=10)
_PAUSE: Final = timedelta(milliseconds=10)

_NONE: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Late:
    """Events of a key that were applied when all up to `after` was."""

    after: int
    tenant: str
    key: str
    positions: Sequence[int]


@dataclass(frozen=True, slots=True)
class Skips:
    """The events that are not applied: by position, the ids of the keys that do not get them.

    A key that is in `discarded` may say that its row has seen versions that were not applied. Those
    of `late` are applied then, in their order.
    """

    keys: Mapping[int, AbstractSet[str]]
    discarded: AbstractSet[str] = _NONE
    late: Sequence[Late] = ()

    def parts(
        self, events: Sequence[RecordedEvent]
    ) -> Iterator[tuple[Sequence[RecordedEvent], AbstractSet[str]]]:
        """All events in order, in parts of which each has one answer."""
        start = 0
        for at, event in enumerate(events):
            if event.position in self.keys:
                yield events[start:at], _NONE
                yield events[at : at + 1], self.keys[event.position]
                start = at + 1
        yield events[start:], _NONE


def id_of(bound: BoundView[Any], key: Key) -> str:
    """Under which a key is parked. Raises InvalidInput: it does not fit its columns."""
    return key_id(key[0], bound.key_text(key))


async def skips_of(reading: Snapshot | Transaction, revision: int, *, over: bool) -> Skips:
    """What is parked in a revision, and what was discarded; for a view that is `over` another also
    what was applied late."""
    parked = await reading.execute(
        sa.select(PARKED_EVENTS.c.position, PARKED_EVENTS.c.key_id).where(
            PARKED_EVENTS.c.revision == revision
        )
    )
    discarded = await reading.execute(
        sa.select(DISCARDS.c.positions, DISCARDS.c.key_id).where(DISCARDS.c.revision == revision)
    )
    asked = sa.select(RETRIES).where(RETRIES.c.revision == revision).order_by(RETRIES.c.acts)
    retried = await reading.execute(asked) if over else ()
    keys: dict[int, set[str]] = {}
    for row in parked:
        keys.setdefault(row.position, set()).add(row.key_id)
    for row in (*discarded, *retried):
        for position in json.loads(row.positions):
            keys.setdefault(position, set()).add(row.key_id)
    late = [Late(row.after, row.tenant, row.key, json.loads(row.positions)) for row in retried]
    return Skips(keys, {row.key_id for row in discarded}, late)


class Refold:
    """The rows of `view` at `position`. `only` some keys, or those of one partition."""

    def __init__(
        self,
        view: View[Any],
        *,
        store: EventStore,
        database: ReadDatabase,
        only: Collection[Key] | None,
        partition: int | None,
    ) -> None:
        self.position = 0
        self._late = 0
        self._view, self._root, self._only = view, view.lineage[0], only
        self._store, self._database = store, database
        bound = {each: each.bind(0, database.dialect, partition=partition) for each in view.lineage}
        self._bound = BoundGroup(bound)
        self.rows = KeyedRows(bound[view])

    async def create(self) -> None:
        async with self._database.transaction() as tx:
            await self._bound.create(tx)

    async def to(self, position: int, skips: Skips, *, meter: Meter | None = None) -> None:
        """Fold on, to exactly this place.

        Raises:
            ProjectionStopped: an event cannot be applied.
            ConsistencyTimeout: the log does not get there.
            StoreError: a database cannot do it.
        """
        for late in skips.late[self._late :]:
            await self._on(late.after, skips, meter=meter)
            await self._recall(late)
            self._late += 1
        await self._on(position, skips, meter=meter)

    async def _on(self, position: int, skips: Skips, *, meter: Meter | None) -> None:
        while self.position < position:
            page = await self._read(position)
            events = [event for event in page.events if event.position <= position]
            for part, apart in skips.parts(events):
                if part:
                    plain = self._only is None and not apart
                    await self._fold(part, None if plain else _Left(self._only, apart))
            self.position = min(page.scanned.position, position)
            if meter is not None:
                meter.at(self.position, position)
            await asyncio.sleep(0)

    async def under(self, keys: Collection[FullKey]) -> Mapping[FullKey, Values]:
        """The rows with these keys."""
        found: dict[FullKey, Values] = {}
        wanted = [key for key in keys if is_readable(key)]
        async with self._database.snapshot() as snapshot:
            for start in range(0, len(wanted), _KEYS):
                statement = self.rows.under(wanted[start : start + _KEYS])
                found |= self.rows.of(await snapshot.execute(statement)).rows
        return found

    async def after(self, key: FullKey | None, *, limit: int) -> Found:
        """In the order of the keys, from the beginning or behind a key."""
        return await self._select(self.rows.after(key, limit=limit))

    async def some(self, number: int) -> Mapping[FullKey, Values]:
        """So many at random."""
        return (await self._select(self.rows.some(number))).rows

    async def _select(self, statement: sa.Select[Any]) -> Found:
        async with self._database.snapshot() as snapshot:
            return self.rows.of(await snapshot.execute(statement))

    async def _read(self, position: int) -> LogPage:
        """Raises ConsistencyTimeout: the log ends before `position`."""
        after, categories = Point(self.position), self._root.categories
        for _ in range(int(_PATIENCE / _PAUSE)):
            page = await self._store.read(after=after, limit=_PAGE, categories=categories)
            if page.scanned.position > self.position:
                return page
            await asyncio.sleep(_PAUSE.total_seconds())
        raise ConsistencyTimeout(
            self._view.name, wanted=position, reached=self.position, timeout=_PATIENCE
        )

    async def _recall(self, late: Late) -> None:
        """What a retry did."""
        root = self._bound.views[self._root]
        events = await recalled(
            late.positions, tenant=late.tenant, model=self._root, store=self._store
        )
        key = KeyText(root.layout, root.table).key_of(late.key)
        await self._fold(events, Only((late.tenant, key), late.key))

    async def _fold(self, events: Sequence[RecordedEvent], aside: Aside | None) -> None:
        try:
            decoded = await self._root.decode(events)
            async with self._database.transaction() as tx:
                write = await self._bound.prepare(tx, decoded, aside)
                await write(tx)
        except FAULTS as fault:
            raise ProjectionStopped(
                self._view.name, position=fault.position or 0, reason=reason(fault)
            ) from fault


@dataclass(frozen=True, slots=True)
class _Left:
    """An `Aside`: all keys but the wanted ones, and those that do not get these events."""

    only: Collection[Key] | None
    apart: AbstractSet[str]
    given: Key | None = None

    def which(self, keys: Sequence[Key], text_of: Callable[[Key], str]) -> AbstractSet[int]:
        return {number for number, key in enumerate(keys) if self._is_left(key, text_of)}

    def take(self, number: int, recorded: RecordedEvent) -> None:
        """Nothing is done with it."""

    def _is_left(self, key: Key, text_of: Callable[[Key], str]) -> bool:
        if self.only is not None and key not in self.only:
            return True
        try:
            return bool(self.apart) and key_id(key[0], text_of(key)) in self.apart
        except InvalidInput:
            return False  # nothing can be stored under it, and so nothing can be parked


@asynccontextmanager
async def refolding(
    view: View[Any],
    *,
    store: EventStore,
    scratch: OpenScratch,
    only: Collection[Key] | None = None,
    partition: int | None = None,
) -> AsyncGenerator[Refold]:
    """A refold that begins with nothing, as long as the block lasts."""
    database = scratch()
    await database.open(log_id=store.log_id)
    try:
        refold = Refold(view, store=store, database=database, only=only, partition=partition)
        await refold.create()
        yield refold
    finally:
        await database.close()
