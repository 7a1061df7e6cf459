"""`Changes`: what a batch does to the rows of one table, as the database is told."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from diptych.read.database import RowRefused, Transaction
from diptych.read.model import Key, Unapplied
from diptych.read.slices import breathe, slices
from diptych.read.table import POSITION, ViewTable

DriverValues = tuple[object, ...]

Known = tuple[Any, int | None]
"""A row, None where there is none, and the version of its stream that it has seen."""


@dataclass(slots=True)
class Changes:
    """The driver's values of what a batch writes to one table, and the rows that they are.

    `driver_keys` are those of the batch by slot, and `origin` tells whose events a slot has.
    """

    table: ViewTable
    driver_keys: Sequence[DriverValues]
    origin: Callable[[int], Key | None]
    new: list[DriverValues] = field(default_factory=list)
    changed: list[DriverValues] = field(default_factory=list)
    removed: list[DriverValues] = field(default_factory=list)
    known: dict[DriverValues, Known] = field(default_factory=dict)

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
