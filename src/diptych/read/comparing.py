"""Comparing rows of the read database with those of a refold, always at one place of the log."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal, get_args

import sqlalchemy as sa

from diptych.read.database import ReadDatabase, Snapshot
from diptych.read.keyed_rows import Found, FullKey, KeyedRows, Values, is_readable, plain_key
from diptych.read.model import Key, ReadModel
from diptych.read.place import Place, place_in
from diptych.read.progress import Meter, OnProgress
from diptych.read.refold import Refold, id_of
from diptych.read.view import View

_CHUNK: Final = 200
_LISTED: Final = 1_000
"""Findings that are described; all are counted."""

Asked = Callable[[KeyedRows], sa.Select[Any]]

Problem = Literal["missing", "surplus", "different"]


class Changed(Exception):
    """Rows were changed by an operator meanwhile, or are those of another revision now."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A row that is not what its events say.

    It is `missing`, `surplus`, or `different` in `fields` (`_position` and `_version` are those of
    its last event). `expected` and `found` are what is in these fields, only if it was asked for.
    """

    tenant: str
    key: tuple[str, ...]
    problem: Problem
    fields: tuple[str, ...] = ()
    expected: tuple[str, ...] = ()
    found: tuple[str, ...] = ()


@dataclass(slots=True)
class Tally:
    """What was found so far; `values` tells whether findings show them."""

    values: bool = False
    rows: int = 0
    counts: dict[Problem, int] = field(default_factory=lambda: dict.fromkeys(get_args(Problem), 0))
    findings: list[Finding] = field(default_factory=list)

    def compare(
        self, key: FullKey, *, names: Sequence[str], expected: Values | None, found: Values | None
    ) -> None:
        self.rows += 1
        finding = difference(key, names=names, expected=expected, found=found, values=self.values)
        if finding is not None:
            self.counts[finding.problem] += 1
            if len(self.findings) < _LISTED:
                self.findings.append(finding)


def difference(
    key: FullKey,
    *,
    names: Sequence[str],
    expected: Values | None,
    found: Values | None,
    values: bool = False,
) -> Finding | None:
    """None if there is none."""
    if expected == found:
        return None
    problem: Problem = "different"
    fields = tuple(names)
    if expected is None or found is None:
        problem = "surplus" if expected is None else "missing"
        fields = tuple(names) if values else ()
    else:
        unequal = [one != other for one, other in zip(expected, found, strict=True)]
        fields = tuple(name for name, differs in zip(names, unequal, strict=True) if differs)
    tenant, *parts = key
    return Finding(
        tenant=tenant,
        key=tuple(map(str, parts)),
        problem=problem,
        fields=fields,
        expected=_shown(names, expected, fields) if values else (),
        found=_shown(names, found, fields) if values else (),
    )


def _shown(names: Sequence[str], row: Values | None, fields: Collection[str]) -> tuple[str, ...]:
    if row is None:
        return ()
    return tuple(repr(value) for name, value in zip(names, row, strict=True) if name in fields)


class Live:
    """The rows of one slot of a view in the read database, each time with where they are.

    `model` is what the view is projected as.
    """

    def __init__(
        self,
        view: View[Any],
        *,
        model: ReadModel,
        partition: int | None,
        database: ReadDatabase,
    ) -> None:
        self._view, self._model, self._partition = view, model, partition
        self._database = database
        self._rows: dict[int, KeyedRows] = {}
        self._place: Place | None = None
        self._bound = view.bind(0, database.dialect, partition=partition)

    async def read(self, asked: Asked) -> tuple[Place, Found]:
        """Rows and place, of one snapshot. The rows may be those of other partitions too."""
        async with self._database.snapshot([self._model.wanted], projecting=True) as snapshot:
            place = await self._place_in(snapshot)
            rows = self._of(place.slot.revision)
            return place, rows.of(await snapshot.execute(asked(rows)))

    async def count(self) -> int:
        """Of all partitions."""
        async with self._database.snapshot([self._model.wanted], projecting=True) as snapshot:
            place = await self._place_in(snapshot)
            found = await snapshot.execute(self._of(place.slot.revision).count())
        rows: int = found[0].rows
        return rows

    async def _place_in(self, snapshot: Snapshot) -> Place:
        part, over = self._partition or 0, self._view.source is not None
        known = self._place
        self._place = await place_in(snapshot, self._model, partition=part, over=over, known=known)
        return self._place

    def is_ours(self, key: Key) -> bool:
        return self._bound.is_ours(key)

    def key_id(self, key: FullKey) -> str:
        """Under which a key is parked."""
        return id_of(self._bound, plain_key(key))

    def _of(self, revision: int) -> KeyedRows:
        found = self._rows.get(revision)
        if found is None:
            bound = self._view.bind(revision, self._database.dialect)
            found = self._rows[revision] = KeyedRows(bound)
        return found


class Comparing:
    """Compares rows of `live` with those of `refold`, which goes on to wherever they are."""

    def __init__(
        self, live: Live, refold: Refold, tally: Tally, on_progress: OnProgress | None
    ) -> None:
        self._live, self._refold, self._tally = live, refold, tally
        self._folding = Meter("folding", on_progress)
        self._comparing = Meter("comparing", on_progress)
        self._names = refold.rows.names
        self._place: Place | None = None

    @property
    def place(self) -> Place:
        """The last one."""
        if self._place is None:
            raise AssertionError("nothing was compared")
        return self._place

    async def all(self) -> None:
        """What is there with what is expected, and then the other way round."""
        total, last, more = await self._live.count(), None, True
        while more:
            found = await self._read(partial(KeyedRows.after, key=last, limit=_CHUNK))
            expected = await self._refold.under(found.rows)
            for key, values in found.rows.items():
                if self._is_ours(key):
                    self._compare(key, expected.get(key), values)
            self._comparing.at(self._tally.rows, max(total, self._tally.rows))
            last, more = found.last, len(found.rows) == _CHUNK
        await self._find_missing()

    async def _find_missing(self) -> None:
        last, more = None, True
        while more:
            keys = await self._refold.after(last, limit=_CHUNK)
            there = (await self._read(partial(KeyedRows.under, keys=tuple(keys.rows)))).rows
            expected = await self._refold.under(keys.rows)  # it may have gone on
            for key, values in expected.items():
                if key not in there:
                    self._compare(key, values, None)
            last, more = keys.last, len(keys.rows) == _CHUNK

    async def these(self, keys: Sequence[FullKey]) -> None:
        """The rows of some keys, whether they are there or not."""
        for start in range(0, max(len(keys), 1), _CHUNK):
            chunk = tuple(keys[start : start + _CHUNK])
            there = (await self._read(partial(KeyedRows.under, keys=chunk))).rows
            expected = await self._refold.under(chunk)
            for key in chunk:
                self._compare(key, expected.get(key), there.get(key))
            self._comparing.at(start + len(chunk), len(keys))

    async def some(self, number: int) -> None:
        """So many of those that are there, and as many of those that are expected."""
        found = (await self._read(partial(KeyedRows.some, number=number))).rows
        expected = await self._refold.some(number)
        self.unreadable(found)
        keys = [key for key in {**found, **expected} if is_readable(key)]
        await self.these([key for key in keys if self._is_ours(key)])

    def unreadable(self, found: Mapping[FullKey, Values]) -> None:
        """Rows whose key is none; nothing can be expected there, at no place of the log."""
        for key, values in found.items():
            if not is_readable(key):
                self._compare(key, None, values)

    async def _read(self, asked: Asked) -> Found:
        """Rows that are there; the refold is where they are.

        Raises: Changed.
        """
        place, found = await self._live.read(asked)
        if self._place is not None and not self._place.comparable(place):
            raise Changed
        self._place = place
        await self._refold.to(place.position, place.skips, meter=self._folding)
        return found

    def _compare(self, key: FullKey, expected: Values | None, found: Values | None) -> None:
        if expected is not None and found is not None:
            found = self._settled(key, expected, found)
        self._tally.compare(key, names=self._names, expected=expected, found=found)

    def _settled(self, key: FullKey, expected: Values, found: Values) -> Values:
        """What is there, but for its version after a discard: those events are seen without
        effect."""
        if self.place.skips.discarded and self._live.key_id(key) in self.place.skips.discarded:
            return (*found[:-1], expected[-1])
        return found

    def _is_ours(self, key: FullKey) -> bool:
        return not is_readable(key) or self._live.is_ours(plain_key(key))
