"""`Reads`: what an answer was made from, to tell later whether it would be another one now."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from diptych.read.table import ViewTable

FullKey = tuple[object, ...]


class Reads:
    """The rows that were read by their keys, as the database had them; `whole` says that more was
    read than these.
    """

    __slots__ = ("rows", "whole")

    def __init__(self) -> None:
        self.rows: dict[ViewTable, dict[FullKey, Sequence[object] | None]] = {}
        self.whole = False

    def row(self, table: ViewTable, key: FullKey, values: Sequence[Any] | None) -> None:
        """`values` are those of the fields, then position and version; None if there is no row."""
        kept = None if values is None else (*values[:-2], values[-1])
        self.rows.setdefault(table, {})[key] = kept

    def same_in(self, found: "Found") -> bool:
        """Whether all of these rows are still what they were."""
        return all(
            _equal(found.get((table, key)), values)
            for table, those in self.rows.items()
            for key, values in those.items()
        )


Found = Mapping[tuple[ViewTable, FullKey], Sequence[object]]
"""Rows as they are now, by table and full key."""


def keyed(
    table: ViewTable, loaded: Iterable[Sequence[object]]
) -> dict[tuple[ViewTable, FullKey], Sequence[object]]:
    """What `Loading.load` gave, by table and full key."""
    places = [table.fields.index(name) + 1 for name in table.key]
    return {
        (table, (row[0], *(row[place] for place in places))): tuple(row[1:])
        for row in map(tuple, loaded)
    }


def _equal(one: Sequence[object] | None, other: Sequence[object] | None) -> bool:
    """NaN is not equal to itself, but no change either."""
    return one == other or repr(one) == repr(other)
