"""What views and projections have in common: events in, tables out, one fingerprint."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, Final, Literal, Protocol, get_args

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from diptych.codec import Events
from diptych.errors import ConfigurationError
from diptych.listed import listed
from diptych.messages import RecordedEvent
from diptych.read.database import Loading, Transaction, Wanted
from diptych.read.table import ViewTable, check_table_name
from diptych.rules.fingerprint import fingerprint
from diptych.store.contract import category_of

_SLICE: Final = 1_000
"""Events that are decoded before the event loop gets its turn: a few milliseconds."""

_DIALECT: Final = sqlite.dialect()

Decoded = tuple[RecordedEvent, Any]


Key = tuple[str, object]
"""Of a row: the tenant, and the value of its key (a tuple if it has several fields)."""


class Unapplied(Exception):
    """The rule could not apply the event at `position` to the row of `key`; the cause says why.

    `key` is None where the failure is not that of one row. If it is not `exact`, the row cannot be
    stored: then the event is only the last of those that made it what it is.
    """

    def __init__(self, position: int, *, key: Key | None = None, exact: bool = True) -> None:
        super().__init__(f"the event at {position} could not be applied")
        self.position, self.key, self.exact = position, key, exact


@dataclass(frozen=True, slots=True)
class Park:
    """How much a view parks at the most, in all its partitions together."""

    keys: int = 1_000
    events: int = 100_000


OnError = Literal["stop", "park"] | Park


Write = Callable[[Transaction], Awaitable[None]]
"""What a batch does to the tables, in one transaction."""


Rebuild = Literal["auto", "ask", "never"]
"""What is done for code that finds no table of its own: built by whoever projects; built when an
operator says so, until when the view is not ready; or the code is not started at all."""


def together(writes: Sequence[Write]) -> Write:
    """All of them, one after the other."""
    if len(writes) == 1:
        return writes[0]

    async def write(tx: Transaction) -> None:
        for each in writes:
            await each(tx)

    return write


class Aside(Protocol):
    """Keeps events of some keys from being applied.

    `given` is the key that all events are for, where they are applied for one key only.
    """

    @property
    def given(self) -> Key | None: ...

    def which(self, keys: Sequence[Key], text_of: Callable[[Key], str]) -> AbstractSet[int]:
        """The numbers of those of a batch's keys whose events are not applied. `text_of` gives a
        key as it is stored."""
        ...

    def take(self, number: int, recorded: RecordedEvent) -> None:
        """An event of the batch that is not applied, and the number of its key."""
        ...


class Bound(Protocol):
    """A view or projection with the tables of one revision."""

    @property
    def tables(self) -> Sequence[str]: ...

    @property
    def keyed(self) -> Sequence[ViewTable]:
        """Those of the tables that have one row for each key, made by folding."""
        ...

    async def create(self, tx: Transaction) -> None: ...

    def remembering(self) -> "Bound":
        """The same for one who alone writes these tables, prepares one batch behind the other, and
        writes all of them, in order: a batch may be prepared while the one before is written."""
        ...

    async def prepare(
        self, snapshot: Loading, decoded: Sequence[Decoded], aside: Aside | None = None
    ) -> Write:
        """Work out what the events do, in order, to the rows as the snapshot shows them; without
        those that are to be set `aside`, for which the rows have keys.

        The result is worth something only until the tables change: write it with the checkpoint
        that was read before, or not at all.

        Raises, here or in the result:
            Unapplied: the rule failed; what was applied before it must be rolled back.
            StoreError: the database failed.
        """
        ...


class ReadModel(ABC):
    """A view or a projection: named, fed by families of events, known by its fingerprint."""

    over: tuple[str, ...] = ()
    """The names of the views over it that are projected with it."""

    def __init__(
        self,
        name: str,
        *,
        events: Sequence[Events[Any]],
        rule: Sequence[object],
        version: str | None,
        shape: Sequence[object],
        max_lag: timedelta,
        partitions: int = 1,
        rebuild: Rebuild = "auto",
        parks: Park | None = None,
    ) -> None:
        check_table_name(type(self).__name__.lower(), name)
        self.name = name
        self.rebuild: Rebuild = rebuild
        if rebuild not in get_args(Rebuild):
            raise ConfigurationError(f"{self!r}: rebuild= is one of {get_args(Rebuild)}")
        self.families = listed("events", events, Events, write="Events(...)")
        self.max_lag = max_lag
        self.partitions, self.parks = partitions, parks
        self._parts, self._version, self._shape = rule, version, shape
        self.categories = frozenset(family.category for family in self.families)
        if not self.families or len(self.categories) < len(self.families):
            raise ConfigurationError(f"{self!r}: events= takes one family of each category")
        if max_lag <= timedelta(0):
            raise ConfigurationError(f"{self!r}: max_lag must be longer than nothing")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    @cached_property
    def fingerprint(self) -> str:
        """Of the rule and the shape of the tables; `version` stands for the rule if it is given.

        Raises ConfigurationError: the source of the rule cannot be followed.
        """
        stored = [part for family in self.families for part in family.parts]
        rule = [*self._parts, *stored] if self._version is None else [self._version]
        try:
            parts = [*rule, *self._shape, *self._built_on()]
            return fingerprint(*parts, kinds={sa.Table: table_content})
        except ConfigurationError as error:
            raise ConfigurationError(f"{self!r}: {error}, or give version=") from error

    def _built_on(self) -> Sequence[str]:
        """The fingerprints of what it is folded from, if that is not events."""
        return ()

    @cached_property
    def wanted(self) -> Wanted:
        return Wanted(self.name, self.fingerprint)

    @abstractmethod
    def bind(self, revision: int, dialect: sa.Dialect, *, partition: int | None = None) -> Bound:
        """This, with the tables of a revision; what it prepares is for one partition, or all."""

    async def decode(self, events: Sequence[RecordedEvent]) -> Sequence[Decoded]:
        """The events as objects, in order; those that a family ignores are left out.

        Raises: UnknownEventType, UndecodableEvent.
        """
        decoded: list[Decoded] = []
        for start in range(0, len(events), _SLICE):
            if start:
                await asyncio.sleep(0)
            decoded.extend(await self._decode(events[start : start + _SLICE]))
        return decoded

    async def _decode(self, events: Sequence[RecordedEvent]) -> Sequence[Decoded]:
        if len(self.families) == 1:
            return await self.families[0].decode(events)
        parts: dict[str, list[RecordedEvent]] = {name: [] for name in self.categories}
        for event in events:
            parts[category_of(event.stream)].append(event)
        decoded: list[Decoded] = []
        for family in self.families:
            decoded.extend(await family.decode(parts[family.category]))
        return sorted(decoded, key=lambda pair: pair[0].position)


def parks_of(view: str, on_error: OnError) -> Park | None:
    """Raises ConfigurationError: there is no such policy."""
    match on_error:
        case "stop":
            return None
        case "park":
            return Park()
        case Park(keys=keys, events=events) if min(keys, events) > 0:
            return on_error
        case _:
            raise ConfigurationError(
                f"view {view}: on_error= is 'stop', 'park' or Park(keys=, events=) of at least 1"
            )


def table_content(table: sa.Table) -> list[object]:
    """What a table is in a fingerprint: its DDL, as one dialect spells it, and the defaults that
    SQLAlchemy fills in by itself."""
    indexes = sorted(table.indexes, key=lambda index: str(index.name))
    made: list[sa.ClauseElement] = [CreateTable(table), *map(CreateIndex, indexes)]
    filled = (each for column in table.columns for each in (column.default, column.onupdate))
    defaults = [getattr(each, "arg", each) for each in filled if each is not None]
    return [*(str(each.compile(dialect=_DIALECT)) for each in made), *defaults]
