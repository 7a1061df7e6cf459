"""A view with the table of one revision: load the rows of a batch, fold, write what changed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from typing import Any, Generic, NamedTuple, TypeVar

import sqlalchemy as sa

from diptych.errors import InvalidInput
from diptych.messages import RecordedEvent
from diptych.read.columns import RowLayout
from diptych.read.continuity import require_beyond
from diptych.read.database import Loading, RowRefused, Transaction
from diptych.read.fold import Batch, Rule, own_key
from diptych.read.keytext import CANONICAL, KeyText
from diptych.read.model import Aside, Decoded, Key, Unapplied, Write, together
from diptych.read.partition import partition_of
from diptych.read.plan import Kind, Plan
from diptych.read.search import normalised
from diptych.read.slices import breathe, slices
from diptych.read.sticky import StickyKeys
from diptych.read.table import POSITION, ViewTable

Row = TypeVar("Row")

DriverValues = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One partition of as many."""

    number: int
    of: int


class Applied(NamedTuple):
    """What a batch does to the table, and what it did to the rows, event by event."""

    write: Write
    changes: Sequence[Decoded]


@dataclass(slots=True)
class _Changes:
    """The driver's values of what a batch writes to one table.

    `driver_keys` are those of the batch by slot, and `origin` tells whose events a slot has.
    """

    table: ViewTable
    driver_keys: Sequence[DriverValues]
    origin: Callable[[int], Key | None]
    new: list[DriverValues] = field(default_factory=list)
    changed: list[DriverValues] = field(default_factory=list)
    removed: list[DriverValues] = field(default_factory=list)

    async def write(self, tx: Transaction) -> None:
        for write, rows in (
            (tx.insert, self.new),
            (tx.update, self.changed),
            (tx.remove, self.removed),
        ):
            for part in slices(len(rows)):
                await breathe(part)
                try:
                    await write(self.table, rows[part])
                except RowRefused as refused:
                    raise self._unapplied(refused) from refused.problem

    def _unapplied(self, refused: RowRefused) -> Unapplied:
        at = self.table.saved.index
        full_key = tuple(refused.row[at(name)] for name in self.table.full_key)
        key = self.origin(self.driver_keys.index(full_key))
        return Unapplied(int(str(refused.row[at(POSITION)])), key=key, exact=False)


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
        writes = [(await self._changes(batch, keys, before)).write]
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

    def _driver_keys(self, batch: Batch) -> list[DriverValues]:
        found: list[DriverValues] = []
        for slot, key in enumerate(batch.keys):
            try:
                found.append(self.driver_key(*key))
            except InvalidInput as error:
                recorded, _ = batch.steps[batch.slots.index(slot)]
                over = self.rule.origin is not own_key
                origin = self._origin(batch, slot) if over else None
                raise Unapplied(recorded.position, key=origin) from error
        return found

    def _origin(self, batch: Batch, slot: int) -> Key:
        """The key of the root view whose event the last step of a slot is."""
        for number, (_, event) in zip(reversed(batch.slots), reversed(batch.steps), strict=True):
            if number == slot:
                return self.rule.origin(batch.keys[slot], event)
        return batch.keys[slot]

    async def _load(self, snapshot: Loading, batch: Batch, keys: Sequence[DriverValues]) -> None:
        slot_of = {key: slot for slot, key in enumerate(batch.keys)}
        versions: list[Any] = [None] * len(batch.keys)
        for part in slices(len(keys)):
            await breathe(part)
            for tenant, *values, version in await snapshot.load(self.table, keys[part]):
                row = self.layout.row(values, self.dialect)
                key: Key = (str(tenant), self.rule.row_key(row))
                slot = slot_of[key]
                batch.keys[slot] = key  # the row's own key object: comparing with it is free
                batch.rows[slot] = row
                versions[slot] = version
        self._require_beyond(batch, versions)

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
    ) -> _Changes:
        changes = _Changes(self.table, keys, partial(self._origin, batch))
        written = [slot for slot, last in enumerate(batch.last) if last is not None]
        for part in slices(len(written)):
            await breathe(part)
            for slot in written[part]:
                row, last, old = batch.rows[slot], batch.last[slot], before[slot]
                if row is not None and last is not None:
                    try:
                        values = self._values(batch.keys[slot], row, last, old)
                    except InvalidInput as error:
                        key = self._origin(batch, slot)
                        raise Unapplied(last.position, key=key, exact=False) from error
                    (changes.new if old is None else changes.changed).append(values)
                elif old is not None:
                    changes.removed.append(keys[slot])
        return changes

    def _values(self, key: Key, row: Row, last: RecordedEvent, before: Row | None) -> DriverValues:
        values = self.layout.values(row, self.dialect)
        version = None
        if self.stream_prefix and last.stream == f"{self.stream_prefix}{key[1]}":
            version = last.version
        if not self.search:
            return (key[0], *values, last.position, version)
        return (key[0], *values, last.position, version, self._text(row, before))

    def _text(self, row: Row, before: Row | None) -> str | None:
        """None if it is as it was."""
        get = attrgetter(*self.search)
        if before is not None and get(before) == get(row):
            return None
        found: Any = get(row) if len(self.search) > 1 else (get(row),)
        return normalised("\n".join(text for text in found if text))
