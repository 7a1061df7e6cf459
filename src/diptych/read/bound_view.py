"""A view with the table of one revision: load the rows of a batch, fold, write what changed."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

import sqlalchemy as sa
from msgspec import to_builtins

from diptych.errors import InvalidInput
from diptych.messages import RecordedEvent
from diptych.read.changes import Changes, DriverValues, Known
from diptych.read.columns import RowLayout
from diptych.read.continuity import require_beyond
from diptych.read.database import Loading, Transaction
from diptych.read.fold import Batch, Rule, own_key
from diptych.read.keytext import CANONICAL, KeyText
from diptych.read.model import Aside, Decoded, Key, Unapplied, Write, together
from diptych.read.partition import partition_of
from diptych.read.plan import Kind, Plan
from diptych.read.recent import Recent
from diptych.read.search import normalised
from diptych.read.slices import breathe, slices
from diptych.read.sticky import StickyKeys
from diptych.read.table import ViewTable

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Part:
    """One partition of as many."""

    number: int
    of: int


class Applied(NamedTuple):
    """What a batch does to the table, and what it did to the rows, event by event."""

    write: Write
    changes: Sequence[Decoded]


@dataclass(frozen=True, slots=True, eq=False)
class BoundView(Generic[Row]):
    """Applies batches to the table, and reads rows from what the driver gives."""

    rule: Rule
    layout: RowLayout[Row]
    table: ViewTable
    dialect: sa.Dialect
    search: tuple[str, ...]
    stream_prefix: str
    part: Part | None = None
    """The rows that it prepares; None for all."""

    sticky: StickyKeys | None = None
    """Which key each stream has, where events do not have it themselves."""

    recent: Recent[Known] | None = None
    """Rows that need not be loaded."""

    plans: dict[Kind, Plan] = field(default_factory=dict)
    """The statements of its pages; as many as there are kinds of requests in the code."""

    @property
    def tables(self) -> Sequence[str]:
        return [table.name for table in self.keyed]

    @property
    def keyed(self) -> Sequence[ViewTable]:
        """The rows, and with sticky keys those of the streams: all tables of it."""
        return (self.table,) if self.sticky is None else (self.table, self.sticky.table)

    async def create(self, tx: Transaction) -> None:
        for table in self.keyed:
            await tx.create(table)

    def remembering(self) -> "BoundView[Row]":
        sticky = None if self.sticky is None else self.sticky.remembering()
        return replace(self, recent=Recent(), sticky=sticky)

    async def prepare(
        self, snapshot: Loading, decoded: Sequence[Decoded], aside: Aside | None = None
    ) -> Write:
        return (await self.apply(snapshot, decoded, aside)).write

    async def apply(
        self,
        snapshot: Loading,
        decoded: Sequence[Decoded],
        aside: Aside | None = None,
        *,
        watched: bool = False,
    ) -> Applied:
        """As `prepare`; `watched` if there are views over this one, which need the changes."""
        told = None
        if self.sticky is not None:
            given = None if aside is None else aside.given
            told = await self.sticky.tell(snapshot, decoded, given=given)
        decoded = decoded if told is None else told.decoded
        batch = self.rule.batch(decoded, only=self.is_ours if self.part else None)
        if aside is not None:
            batch = self._sifted(batch, aside)
        batch.changes = [] if watched else None
        keys = self._driver_keys(batch)
        await self._load(snapshot, batch, keys)
        before = list(batch.rows)
        for part in slices(len(batch.steps)):
            await breathe(part)
            self.rule.fold(batch, part)
        changes = await self._changes(batch, keys, before)
        if self.recent is not None:
            self.recent.add(changes.known)
        writes = [changes.write]
        if told is not None:
            writes.append(told.write)
        return Applied(together(writes), batch.changes or ())

    def driver_key(self, tenant: str, key: object) -> DriverValues:
        """Raises InvalidInput: the key does not fit its columns."""
        return (tenant, *self._key_values(key, self.dialect))

    def stored(self, tenant: str, row: Row, *, position: int, version: int | None) -> DriverValues:
        """What is written of a row whose last event is known.

        Raises InvalidInput: a value does not fit its column.
        """
        values = (tenant, *self.layout.values(row, self.dialect), position, version)
        return (*values, self._text(row, None)) if self.search else values

    def key_text(self, key: Key) -> str:
        """A key without its tenant as it is stored with what is parked: the same on all databases.

        Raises InvalidInput: the key does not fit its columns.
        """
        return KeyText(self.layout, self.table).stored(key[1])

    def _sifted(self, batch: Batch, aside: Aside) -> Batch:
        apart = aside.which(batch.keys, self.key_text)
        if not apart:
            return batch
        for slot, (recorded, _) in zip(batch.slots, batch.steps, strict=True):
            if slot in apart:
                aside.take(slot, recorded)
        return batch.without(apart)

    def _key_values(self, key: object, dialect: sa.Dialect) -> DriverValues:
        names, value = self.table.key, self.layout.value
        if len(names) == 1:
            return (value(names[0], key, dialect),)
        if not isinstance(key, tuple) or len(key) != len(names):
            raise InvalidInput("key", f"must be a tuple of {', '.join(names)}")
        return tuple(map(value, names, key, [dialect] * len(names)))

    def is_ours(self, key: Key) -> bool:
        """Whether the row is one of those that are prepared here."""
        part = self.part
        if part is None:
            return True
        values = self._key_values(key[1], CANONICAL)
        return partition_of(key[0], values, partitions=part.of) == part.number

    def _driver_keys(self, batch: Batch) -> Sequence[DriverValues]:
        if len(self.table.key) == 1:
            values = self.layout.column(
                self.table.key[0], [key[1] for key in batch.keys], self.dialect
            )
            if values is not None:
                return list(zip([key[0] for key in batch.keys], values, strict=True))
        return [self._checked_driver_key(batch, slot) for slot in range(len(batch.keys))]

    def _checked_driver_key(self, batch: Batch, slot: int) -> DriverValues:
        try:
            return self.driver_key(*batch.keys[slot])
        except InvalidInput as error:
            recorded, _ = batch.steps[batch.slots.index(slot)]
            over = self.rule.origin is not own_key
            origin = self._origin(batch, slot) if over else None
            raise Unapplied(recorded.position, key=origin) from error

    def _origin(self, batch: Batch, slot: int) -> Key:
        """The key of the root view whose event the last step of a slot is."""
        for number, (_, event) in zip(reversed(batch.slots), reversed(batch.steps), strict=True):
            if number == slot:
                return self.rule.origin(batch.keys[slot], event)
        return batch.keys[slot]

    async def _load(self, snapshot: Loading, batch: Batch, keys: Sequence[DriverValues]) -> None:
        versions: list[Any] = [None] * len(batch.keys)
        unknown = self._recall(batch, keys, versions)
        slot_of: dict[Key, int] = {}
        for part in slices(len(unknown)):
            await breathe(part)
            loaded = await snapshot.load(self.table, unknown[part])
            if loaded and not slot_of:
                slot_of = {key: slot for slot, key in enumerate(batch.keys)}
            for tenant, *values, version in loaded:
                row = self.layout.row(values, self.dialect)
                key: Key = (str(tenant), self.rule.row_key(row))
                slot = slot_of[key]
                batch.keys[slot] = key  # the row's own key object: comparing with it is free
                batch.rows[slot] = row
                versions[slot] = version
        self._require_beyond(batch, versions)

    def _recall(
        self, batch: Batch, keys: Sequence[DriverValues], versions: list[Any]
    ) -> Sequence[DriverValues]:
        """Fill in the rows that are known; the keys of the others."""
        if self.recent is None:
            return keys
        unknown: list[DriverValues] = []
        for slot, key in enumerate(keys):
            known = self.recent.get(key)
            if known is None:
                unknown.append(key)
            else:
                batch.rows[slot], versions[slot] = known
        return unknown

    def _require_beyond(self, batch: Batch, versions: Sequence[int | None]) -> None:
        """Raises: DeliveryGap: the log delivered an event of a row's stream again."""
        if not self.stream_prefix or not any(versions):
            return
        first = dict(zip(reversed(batch.slots), reversed(batch.steps), strict=True))
        for slot, (recorded, _) in first.items():
            if recorded.stream == f"{self.stream_prefix}{batch.keys[slot][1]}":
                require_beyond(recorded, versions[slot], view=self.rule.name)

    async def _changes(
        self, batch: Batch, keys: Sequence[DriverValues], before: Sequence[Row | None]
    ) -> Changes:
        changes = Changes(self.table, keys, partial(self._origin, batch))
        written = [slot for slot, last in enumerate(batch.last) if last is not None]
        for part in slices(len(written)):
            await breathe(part)
            kept = [slot for slot in written[part] if batch.rows[slot] is not None]
            for slot, values in zip(kept, self._values(batch, kept), strict=True):
                row, old = batch.rows[slot], before[slot]
                stored = (*values, self._text(row, old)) if self.search else values
                (changes.new if old is None else changes.changed).append(stored)
                changes.known[keys[slot]] = (row, values[-1])
            for slot in written[part]:
                if batch.rows[slot] is None and before[slot] is not None:
                    changes.removed.append(keys[slot])
                    changes.known[keys[slot]] = (None, None)
        return changes

    def _values(self, batch: Batch, slots: Sequence[int]) -> Sequence[Any]:
        """What is written of their rows, but for the text to search.

        Raises: Unapplied.
        """
        rows = [batch.rows[slot] for slot in slots]
        try:
            values_of_rows = self.layout.values_of(rows, self.dialect)
        except InvalidInput:
            values_of_rows = [self._values_of(batch, slot) for slot in slots]
        last = [batch.last[slot] for slot in slots]
        return [
            (key[0], *values, event.position, self._version(key, event))
            for key, values, event in zip(
                [batch.keys[slot] for slot in slots], values_of_rows, last, strict=True
            )
            if event is not None
        ]

    def _values_of(self, batch: Batch, slot: int) -> DriverValues:
        try:
            return self.layout.values(batch.rows[slot], self.dialect)
        except InvalidInput as error:
            last, key = batch.last[slot], self._origin(batch, slot)
            position = last.position if last else 0
            raise Unapplied(position, key=key, exact=False) from error

    def _version(self, key: Key, last: RecordedEvent) -> int | None:
        """Of its own stream, if the event is of that."""
        prefix, value = self.stream_prefix, key[1]
        if not prefix:
            return None
        name = to_builtins(value) if value.__class__ is UUID else value  # in a tenth of the time
        return last.version if last.stream == f"{prefix}{name}" else None

    def _text(self, row: Row, before: Row | None) -> str | None:
        """None if it is as it was."""
        found = [getattr(row, name) for name in self.search]
        if before is not None and found == [getattr(before, name) for name in self.search]:
            return None
        return normalised("\n".join(text for text in found if text))
