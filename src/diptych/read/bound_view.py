"""A view with the table of one revision: load the rows of a batch, fold, write what changed."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar

import sqlalchemy as sa

from diptych.errors import InvalidInput
from diptych.messages import RecordedEvent
from diptych.read.columns import RowLayout
from diptych.read.database import Transaction
from diptych.read.fold import Key, Rule
from diptych.read.model import Decoded, Unapplied
from diptych.read.search import normalised
from diptych.read.table import ViewTable

Row = TypeVar("Row")

_SLICE: Final = 500
"""Steps that are folded before the event loop gets its turn: a few milliseconds."""

DriverKey = tuple[object, ...]


@dataclass(slots=True)
class _Batch:
    """The rows of one batch. `found` has those that were in the table, as they were."""

    driver_keys: Mapping[Key, DriverKey]
    found: Mapping[Key, Any]
    rows: dict[Key, Any]
    touched: dict[Key, RecordedEvent] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class BoundView(Generic[Row]):
    """Applies batches to the table, and reads rows from what the driver gives."""

    rule: Rule
    layout: RowLayout[Row]
    table: ViewTable
    dialect: sa.Dialect
    search: tuple[str, ...]
    stream_prefix: str

    @property
    def tables(self) -> Sequence[str]:
        return (self.table.name,)

    async def create(self, tx: Transaction) -> None:
        await tx.create(self.table)

    async def apply(self, tx: Transaction, decoded: Sequence[Decoded]) -> None:
        keys, steps = self.rule.expand(decoded)
        batch = await self._load(tx, keys, steps)
        for start in range(0, len(steps), _SLICE):
            if start:
                await asyncio.sleep(0)
            part = slice(start, start + _SLICE)
            self.rule.fold(batch.rows, keys=keys[part], steps=steps[part], touched=batch.touched)
        await self._write(tx, batch)

    def driver_key(self, tenant: str, key: object) -> DriverKey:
        """Raises InvalidInput: the key does not fit its columns."""
        names, value, dialect = self.table.key, self.layout.value, self.dialect
        if len(names) == 1:
            return (tenant, value(names[0], key, dialect))
        if not isinstance(key, tuple) or len(key) != len(names):
            raise InvalidInput("key", f"must be a tuple of {', '.join(names)}")
        return (tenant, *map(value, names, key, [dialect] * len(names)))

    async def _load(self, tx: Transaction, keys: Sequence[Key], steps: Sequence[Decoded]) -> _Batch:
        driver_keys: dict[Key, DriverKey] = {}
        for key, (recorded, _) in zip(keys, steps, strict=True):
            if key not in driver_keys:
                try:
                    driver_keys[key] = self.driver_key(*key)
                except InvalidInput as error:
                    raise Unapplied(recorded.position) from error
        loaded = await tx.load(self.table, list(driver_keys.values()))
        found = dict(map(self._keyed, loaded))
        return _Batch(driver_keys, found, dict(found))

    def _keyed(self, values: Sequence[Any]) -> tuple[Key, Row]:
        row = self.layout.row(values[1:], self.dialect)
        return (values[0], self.rule.row_key(row)), row

    async def _write(self, tx: Transaction, batch: _Batch) -> None:
        keys = list(batch.touched)
        for start in range(0, len(keys), _SLICE):
            if start:
                await asyncio.sleep(0)
            await self._write_some(tx, batch, keys[start : start + _SLICE])

    async def _write_some(self, tx: Transaction, batch: _Batch, keys: Sequence[Key]) -> None:
        saved: list[tuple[object, ...]] = []
        removed: list[DriverKey] = []
        for key in keys:
            row = batch.rows[key]
            if row is not None:
                saved.append(self._values(key, row, batch))
            elif key in batch.found:
                removed.append(batch.driver_keys[key])
        if saved:
            await tx.save(self.table, saved)
        if removed:
            await tx.remove(self.table, removed)

    def _values(self, key: Key, row: Row, batch: _Batch) -> tuple[object, ...]:
        recorded = batch.touched[key]
        try:
            values = self.layout.values(row, self.dialect)
        except InvalidInput as error:
            raise Unapplied(recorded.position) from error
        version = None
        if self.stream_prefix and recorded.stream == f"{self.stream_prefix}{key[1]}":
            version = recorded.version
        hidden: tuple[object, ...] = (recorded.position, version)
        if self.search:
            hidden = (*hidden, self._text(row, batch.found.get(key)))
        return (key[0], *values, *hidden)

    def _text(self, row: Row, before: Row | None) -> str | None:
        get = attrgetter(*self.search)
        if before is not None and get(before) == get(row):
            return None
        found = get(row) if len(self.search) > 1 else (get(row),)
        return normalised("\n".join(text for text in found if text))
