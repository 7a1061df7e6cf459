"""`KeyedRows`: the rows of a view's table as values of Python, by their keys, on any database.

Values are read one by one, because somebody may have written what is no value of its field.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import sqlalchemy as sa

from diptych.read.bound_view import BoundView
from diptych.read.model import Key
from diptych.read.table import POSITION, TENANT, VERSION

FullKey = tuple[Any, ...]
"""The tenant, then the values of the key's fields."""

Values = tuple[Any, ...]
"""Those of the fields, then of `_position` and `_version`; they are equal where rows are."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What is no value of its field; `stored` is what is there."""

    stored: object


@dataclass(frozen=True, slots=True)
class Found:
    """Rows by their keys; and the last key as it is stored, to go on behind it."""

    rows: Mapping[FullKey, Values]
    last: FullKey | None


@dataclass(frozen=True, slots=True)
class KeyedRows:
    """Statements that read them, and what their rows say."""

    bound: BoundView[Any]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the values."""
        return (*self.bound.table.fields, POSITION, VERSION)

    def after(self, key: FullKey | None, *, limit: int) -> sa.Select[Any]:
        """In the order of the keys, from the beginning or behind a key as it is stored."""
        found = self._select().order_by(*self._keys()).limit(limit)
        if key is None:
            return found
        there = [sa.literal(value, sa.types.NullType()) for value in key]
        return found.where(sa.tuple_(*self._keys()) > sa.tuple_(*there))

    def under(self, keys: Collection[FullKey]) -> sa.Select[Any]:
        return self._select().where(sa.tuple_(*self._keys()).in_(list(keys)))

    def some(self, number: int) -> sa.Select[Any]:
        """So many at random. It looks at all rows."""
        return self._select().order_by(sa.func.random()).limit(number)

    def count(self) -> sa.Select[Any]:
        return sa.select(sa.func.count().label("rows")).select_from(self.bound.table.table)

    def of(self, rows: Iterable[Sequence[Any]]) -> Found:
        names, keys = self.names, self.bound.table.full_key
        found: dict[FullKey, Values] = {}
        last: FullKey | None = None
        for row in rows:
            last, values = tuple(row[: len(keys)]), row[len(keys) :]
            key = tuple(map(self._read, keys, last))
            found[key] = tuple(map(self._read, names, values))
        return Found(found, last)

    def _read(self, name: str, stored: object) -> Any:
        if name in {TENANT, POSITION, VERSION}:
            return stored
        try:
            return self.bound.layout.read(name, stored, self.bound.dialect)
        except Exception:  # noqa: BLE001 - whatever a type makes of what is not of it
            return Unreadable(stored)

    def _select(self) -> sa.Select[Any]:
        columns = self.bound.table.table.c
        names = (*self.bound.table.full_key, *self.names)
        plain = sa.types.NullType()
        stored = [sa.type_coerce(columns[name], plain) for name in names]
        return cast("sa.Select[Any]", sa.select(*stored))

    def _keys(self) -> list[sa.Column[Any]]:
        return [self.bound.table.table.c[name] for name in self.bound.table.full_key]


def full_key(key: Key) -> FullKey:
    tenant, value = key
    return (tenant, *value) if isinstance(value, tuple) else (tenant, value)


def plain_key(key: FullKey) -> Key:
    tenant, *values = key
    return (tenant, values[0] if len(values) == 1 else tuple(values))


def is_readable(key: FullKey) -> bool:
    return not any(isinstance(part, Unreadable) for part in key)
