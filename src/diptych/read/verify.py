"""Verification: a candidate compared with the revision that serves, before it takes its place.

Both may be read at different places of the log, and neither waits for this. So a row counts only
where both revisions have seen all that concerns it: no event that came later than the place of
the one that is behind has touched it, in either of them. Where a retry applied events late, views
over the view have seen them in another order than the new revision: their rows do not count.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from diptych.read.builder import Candidate
from diptych.read.database import ReadDatabase, Snapshot
from diptych.read.group import root_of
from diptych.read.schema import CHECKPOINTS, DIVERGED, RETRIES, REVISIONS, SERVING
from diptych.read.table import POSITION, VERSION, ViewTable

_SAMPLE: Final = 2_000
"""Rows of each table that are compared, from each side."""

_LISTED: Final = 20


@dataclass(frozen=True, slots=True)
class Difference:
    """A row of `table` that is not the same in both; `key` begins with the tenant.

    `fields` names those that differ. `problem` is `changed`; `missing` from the new revision; or
    `surplus` in it.
    """

    table: str
    key: tuple[str, ...]
    problem: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Counted:
    """How many rows a table has in the new revision, and in the one before."""

    table: str
    rows: int
    before: int


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of comparing with revision `against`.

    `expected` tells that the rule is another one: then differences are no finding. `compared` is
    the number of rows that were, `different` how many of them differ, `differences` the first of
    those. `same_place` tells that both had seen the same events: only then do counts have to agree.
    """

    against: int
    expected: bool
    same_place: bool
    counted: tuple[Counted, ...]
    compared: int
    different: int
    differences: tuple[Difference, ...]

    @property
    def finding(self) -> bool:
        """Whether the revision before, or the new one, is not what its events say."""
        uneven = any(each.rows != each.before for each in self.counted)
        return not self.expected and bool(self.different or (self.same_place and uneven))


async def verify(candidate: Candidate, *, database: ReadDatabase) -> Verification | None:
    """Compare it; None if there is nothing to compare it with.

    Raises: StoreError.
    """
    async with database.snapshot(projecting=True) as snapshot:
        other = await _other(snapshot, candidate)
        if other is None:
            return None
        comparing = _Comparing(snapshot, candidate, other)
        return await comparing.run(database.dialect)


@dataclass(frozen=True, slots=True)
class _Other:
    """The revision to compare with: of the same code, or else the newest of other code."""

    revision: int
    same: bool


async def _other(snapshot: Snapshot, candidate: Candidate) -> _Other | None:
    columns = REVISIONS.c
    broken = sa.exists().where(
        CHECKPOINTS.c.revision == columns.id, CHECKPOINTS.c.status == DIVERGED
    )
    rows = await snapshot.execute(
        sa.select(columns.id, columns.fingerprint)
        .where(columns.view == candidate.model.name, columns.status == SERVING, ~broken)
        .order_by(columns.id.desc())
    )
    same = [row.id for row in rows if row.id == candidate.replaces]
    others = [row.id for row in rows if row.fingerprint != candidate.model.fingerprint]
    if same:
        return _Other(same[0], same=True)
    return _Other(others[0], same=False) if others and candidate.replaces is None else None


@dataclass(frozen=True, slots=True)
class _Comparing:
    """Two revisions in one snapshot."""

    snapshot: Snapshot
    candidate: Candidate
    other: _Other

    async def run(self, dialect: sa.Dialect) -> Verification:
        here = await self._place(self.candidate.revision)
        there = await self._place(self.other.revision)
        new, old = self.candidate.bound, self.candidate.model.bind(self.other.revision, dialect)
        there_too = set(await self._tables())
        counted = [
            Counted(name, await self._rows(name), await self._rows(other))
            for name, other in zip(new.tables, old.tables, strict=True)
            if other in there_too
        ]
        compared, found = 0, list[Difference]()
        if self.other.same:
            largest = max((each.before for each in counted), default=0)
            root = root_of(new) if await self._had_retries() else None
            few = new.keyed if root is None else root.keyed
            for one, other in zip(few, old.keyed[: len(few)], strict=True):
                pair = _Pair(one, other, here, there)
                rows, differences = await pair.compare(self.snapshot, every=_every(largest))
                compared, found = compared + rows, [*found, *differences]
        return Verification(
            against=self.other.revision,
            expected=not self.other.same,
            same_place=here == there,
            counted=tuple(counted),
            compared=compared,
            different=len(found),
            differences=tuple(found[:_LISTED]),
        )

    async def _had_retries(self) -> bool:
        """Of the other revision: such that views over the view have seen late."""
        asked = sa.select(RETRIES.c.acts).where(RETRIES.c.revision == self.other.revision).limit(1)
        return bool(await self.snapshot.execute(asked))

    async def _place(self, revision: int) -> int:
        column = CHECKPOINTS.c.position
        rows = await self.snapshot.execute(
            sa.select(sa.func.min(column).label("at")).where(CHECKPOINTS.c.revision == revision)
        )
        place: int = rows[0].at
        return place

    async def _tables(self) -> Sequence[str]:
        """Those of the other revision: other code may have had fewer."""
        rows = await self.snapshot.execute(
            sa.select(REVISIONS.c.tables).where(REVISIONS.c.id == self.other.revision)
        )
        names: list[str] = json.loads(rows[0].tables)
        return names

    async def _rows(self, table: str) -> int:
        counting = sa.select(sa.func.count().label("rows")).select_from(sa.table(table))
        rows = await self.snapshot.execute(counting)
        number: int = rows[0].rows
        return number


@dataclass(frozen=True, slots=True)
class _Pair:
    """A table in the new revision, at place `here`, and in the one before, at `there`."""

    new: ViewTable
    old: ViewTable
    here: int
    there: int

    async def compare(self, snapshot: Snapshot, *, every: int) -> tuple[int, Sequence[Difference]]:
        """How many rows were compared, every so-many-th by place; those that differ."""
        rows = await snapshot.execute(_joined(self.old, self.new, every))
        found = [each for row in rows if (each := self._difference(row)) is not None]
        surplus = await snapshot.execute(_only_in(self.new, self.old, every))
        found += [
            Difference(self.new.name, _key(row, self.new), "surplus")
            for row in surplus
            if self.there >= self.here and _at(row) <= self.here
        ]
        return len(rows) + len(surplus), found

    def _difference(self, row: sa.Row[Any]) -> Difference | None:
        """The columns of the old row, then those of the new one, which may not be there."""
        columns = _columns(self.old)
        old, new = tuple(row[: len(columns)]), tuple(row[len(columns) :])
        place = columns.index(POSITION)
        both = min(self.here, self.there)
        if old[place] > both or (new[place] or 0) > both or old == new:
            return None
        if new[place] is None:
            if self.here > self.there:
                return None  # it may have been deleted since
            return Difference(self.new.name, _key(row, self.old), "missing")
        fields = tuple(
            name for name, one, other in zip(columns, old, new, strict=True) if one != other
        )
        return Difference(self.new.name, _key(row, self.old), "changed", fields)


def _every(rows: int) -> int:
    """An odd number: streams of events often have even lengths."""
    return max(rows // _SAMPLE, 1) | 1 if rows > _SAMPLE else 1


def _columns(table: ViewTable) -> tuple[str, ...]:
    keys = table.full_key
    return (*keys, *(name for name in table.fields if name not in keys), POSITION, VERSION)


def _joined(old: ViewTable, new: ViewTable, every: int) -> sa.Select[Any]:
    one, other = old.table.alias("one"), new.table.alias("other")
    same = sa.and_(*(one.c[name] == other.c[name] for name in old.full_key))
    columns: list[sa.ColumnElement[Any]] = [
        sa.type_coerce(side.c[name], sa.types.NullType())
        for side in (one, other)
        for name in _columns(old)
    ]
    found: sa.Select[Any] = sa.select(*columns).outerjoin_from(one, other, same)
    return found.where(one.c[POSITION] % every == 0)


def _only_in(new: ViewTable, old: ViewTable, every: int) -> sa.Select[Any]:
    one, other = new.table.alias("one"), old.table.alias("other")
    same = sa.and_(*(one.c[name] == other.c[name] for name in old.full_key))
    columns = [one.c[name] for name in (*new.full_key, POSITION)]
    there = sa.exists().where(same).correlate(one)
    return sa.select(*columns).where(one.c[POSITION] % every == 0, ~there)


def _key(row: sa.Row[Any], table: ViewTable) -> tuple[str, ...]:
    return tuple(str(value) for value in row[: len(table.full_key)])


def _at(row: sa.Row[Any]) -> int:
    position: int = row[-1]
    return position
