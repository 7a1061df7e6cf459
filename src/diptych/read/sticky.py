"""Sticky keys: which row the events of a stream are for, where not all of them have its key.

An event that has the key tells it for its stream, and the events of the stream that lack it are for
the row that was told last. What was told is a table beside that of the rows, one row for each
stream, written in the same transaction: so a stream may be told in one page and continued in
another. It depends on nothing but the events before, whatever becomes of the rows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, make_dataclass, replace
from operator import attrgetter
from typing import Any, Final

import sqlalchemy as sa

from diptych.errors import ConfigurationError, InvalidInput
from diptych.messages import RecordedEvent
from diptych.read.columns import RowLayout
from diptych.read.database import Loading, Transaction
from diptych.read.model import Decoded, Key, Unapplied
from diptych.read.recent import Recent
from diptych.read.slices import breathe, slices
from diptych.read.table import Shape, ViewTable, view_table

_SHAPE: Final = Shape(("stream",), (), ())

_Stream = tuple[str, str]
_Rows = list[tuple[object, ...]]


class StickyRule:
    """Events of `types` have the key `fields`; they tell it, unless one of them is None."""

    def __init__(
        self, view: str, fields: Sequence[str], *, types: Sequence[type], row: RowLayout[Any]
    ) -> None:
        self.view, self.types = view, frozenset(types)
        self._key_of: Callable[[Any], object] = attrgetter(*fields)
        self._several = len(fields) > 1
        names = [f"key_{number}" for number in range(len(fields))]
        hints = [row.field_type(name) for name in fields]
        told = make_dataclass("Told", [("stream", str), *zip(names, hints, strict=True)])
        self.layout: RowLayout[Any] = RowLayout(told)
        self.told_key: Callable[[Any], object] = attrgetter(*names)

    def bind(self, name: str, dialect: sa.Dialect) -> "StickyKeys":
        """With the table of that name."""
        return StickyKeys(self, view_table(name, self.layout, _SHAPE, dialect), dialect)

    def told_by(self, event: object) -> object | None:
        """The key that an event has, if it has one."""
        if type(event) not in self.types:
            return None
        key = self._key_of(event)
        return None if None in self.parts(key) else key

    def parts(self, key: Any) -> tuple[object, ...]:
        return key if self._several else (key,)

    def unknown(self, recorded: RecordedEvent) -> ConfigurationError:
        return ConfigurationError(
            f"view {self.view}: {recorded.type} lacks the key, and no event before it in"
            f" {recorded.stream} told one: give View(keys=) a function from the event to its keys"
        )


def told_keys(decoded: Sequence[Decoded]) -> tuple[list[Key], Sequence[Decoded]]:
    """Unpacks what `tell` packed: the steps, and the key of each."""
    keys = [(recorded.tenant, told[1]) for recorded, told in decoded]
    return keys, [(recorded, told[0]) for recorded, told in decoded]


@dataclass(slots=True)
class Told:
    """The events of a batch, each with its key, and what the streams were told by them."""

    table: ViewTable
    decoded: list[Decoded] = field(default_factory=list)
    new: _Rows = field(default_factory=list)
    changed: _Rows = field(default_factory=list)

    async def write(self, tx: Transaction) -> None:
        for write, rows in ((tx.insert, self.new), (tx.update, self.changed)):
            for part in slices(len(rows)):
                await breathe(part)
                await write(self.table, rows[part])


@dataclass(frozen=True, slots=True, eq=False)
class StickyKeys:
    """What the streams were told, in one revision."""

    rule: StickyRule
    table: ViewTable
    dialect: sa.Dialect
    recent: Recent[object] | None = None
    """Streams whose keys need not be loaded."""

    def remembering(self) -> "StickyKeys":
        return replace(self, recent=Recent())

    async def tell(
        self, snapshot: Loading, decoded: Sequence[Decoded], *, given: Key | None = None
    ) -> Told:
        """The key of each event, from itself or from its stream; or the one that is `given`: then
        the events come late, have told their streams already, and tell them nothing.

        Raises: Unapplied: an event lacks the key, and its stream was never told one.
        """
        if given is not None:
            late = [(recorded, (event, given[1])) for recorded, event in decoded]
            return Told(self.table, late)
        before = await self._load(snapshot, {(e.tenant, e.stream): None for e, _ in decoded})
        now: dict[_Stream, object] = dict(before)
        last: dict[_Stream, RecordedEvent] = {}
        told = Told(self.table)
        for recorded, event in decoded:
            stream = (recorded.tenant, recorded.stream)
            key = self._told_by(recorded, event)
            if key is not None:
                if stream not in now or now[stream] != key:
                    now[stream], last[stream] = key, recorded
            elif stream not in now:
                raise Unapplied(recorded.position) from self.rule.unknown(recorded)
            told.decoded.append((recorded, (event, now[stream])))
        for stream, recorded in last.items():  # so a row does not depend on where a page ended
            rows = told.changed if stream in before else told.new
            rows.append(self._values(now[stream], recorded))
        if self.recent is not None:
            self.recent.add({stream: now[stream] for stream in last})
        return told

    def _told_by(self, recorded: RecordedEvent, event: object) -> object | None:
        try:
            return self.rule.told_by(event)
        except Exception as error:  # a property of the event
            raise Unapplied(recorded.position) from error

    async def _load(
        self, snapshot: Loading, streams: Mapping[_Stream, None]
    ) -> Mapping[_Stream, object]:
        found: dict[_Stream, object] = {}
        if self.recent is not None:
            known = {stream: self.recent.get(stream) for stream in streams}
            found = {stream: key for stream, key in known.items() if key is not None}
        wanted = [stream for stream in streams if stream not in found]
        for part in slices(len(wanted)):
            await breathe(part)
            for tenant, *values, _ in await snapshot.load(self.table, wanted[part]):
                row = self.rule.layout.row(values, self.dialect)
                found[str(tenant), row.stream] = self.rule.told_key(row)
        return found

    def _values(self, key: object, recorded: RecordedEvent) -> tuple[object, ...]:
        row = self.rule.layout.row_type(recorded.stream, *self.rule.parts(key))
        try:
            values = self.rule.layout.values(row, self.dialect)
        except InvalidInput as error:
            raise Unapplied(recorded.position) from error
        return (recorded.tenant, *values, recorded.position, None)
