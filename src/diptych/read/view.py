"""`View`: a table that is made by folding events per key."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import is_dataclass
from datetime import timedelta
from functools import cached_property
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar, overload

import sqlalchemy as sa

from diptych.codec import Events
from diptych.errors import ConfigurationError
from diptych.messages import RecordedEvent
from diptych.read.bound_view import BoundView, Part
from diptych.read.columns import RowLayout
from diptych.read.keying import Keying
from diptych.read.model import Decoded, Key, OnError, ReadModel, Rebuild, parks_of
from diptych.read.table import Shape, revised, view_table

Row = TypeVar("Row")
Src = TypeVar("Src")
E = TypeVar("E")
K = TypeVar("K")

MAX_LAG = timedelta(seconds=10)

_MOST_PARTITIONS: Final = 64


class View(ReadModel, Generic[Row]):
    """A read model with one row per key, folded from events, or from the rows of another view.

    Args:
        name: of the view and, with the number of its revision, of its table.
        events: the families whose events it is folded from; all of their types.
        source: instead of `events`, the view over whose rows this one is. Whenever an event changes
            a row of the source, the pair of what it was and what it is is folded into the row that
            the pair names by its key; if its key changed, `(before, None)` into the old row and
            `(None, after)` into the new one. A source row whose key is None is for no row. Both
            views are one group: projected, stopped, parked and rebuilt as one.
        row: a frozen dataclass, msgspec Struct or pydantic model. Each field becomes a column.
        key: the field, or fields, of the row that tell one row from another. Without `keys`, each
            event (with `source` each row of it) has these fields too, and is folded into the row
            that it names.
        sticky: not every event has the key. One that has it tells it for its stream; the others
            are for the row that their stream was told last. Moving a stream to another row takes
            nothing away from the old one: where that matters, write a view over a view.
        keys: takes the keys of an event's rows from the event: any number, each counted once. For
            a key of several fields it gives tuples.
        project: `(row, event, recorded) -> row`, and with `keys` a fourth parameter, the key;
            with `source` `(row, before, after) -> row`, where None stands for no row. The row is
            None before the first event of its key; None as the result deletes it. It must be
            pure: it runs again after a crash, and over the whole log for a new revision.
        indexes: the fields that pages filter by, then the one they are sorted by.
        search: text fields that full-text search looks in.
        max_lag: how old the oldest event may be that is not in the table yet.
        version: stands for the rule in the fingerprint, instead of the source code of `project`.
        partitions: how many projectors share the rows between them, each those of its keys. Every
            one of them reads all events; so it pays where folding and writing are what takes
            long, on PostgreSQL with several processes. Another number is another revision.
        rebuild: what to do where there is no table for this code yet. "auto": whoever projects
            builds it, and the view is ready when it is complete. "ask": it is not ready until
            `diptych rebuild` was run. "never": the application is not opened before that.
        on_error: what becomes of an event that cannot be applied after a few attempts. "stop": the
            view waits there for an operator. "park": the events of its key are set aside, in
            order, with all that come later, until an operator retries or discards them; the other
            keys go on, and queries say what is missing. `Park(keys=, events=)` says how much may be
            parked (1,000 and 100,000); beyond, the view stops. What cannot be decoded has no key
            and stops the view in any case.

    Raises:
        ConfigurationError: an event type lacks the key, a column cannot be what it is used for,
            the row is mutable, or a fingerprint cannot be made.
    """

    @overload
    def __init__(
        self,
        name: str,
        *,
        events: Sequence[Events[E]],
        row: type[Row],
        key: str | tuple[str, ...],
        sticky: bool = False,
        project: Callable[[Row | None, E, RecordedEvent], Row | None],
        indexes: Sequence[tuple[str, ...]] = (),
        search: Sequence[str] = (),
        max_lag: timedelta = MAX_LAG,
        version: str | None = None,
        partitions: int = 1,
        rebuild: Rebuild = "auto",
        on_error: OnError = "stop",
    ) -> None: ...

    @overload
    def __init__(
        self,
        name: str,
        *,
        events: Sequence[Events[E]],
        row: type[Row],
        key: str | tuple[str, ...],
        keys: Callable[[E], Iterable[K]],
        project: Callable[[Row | None, E, RecordedEvent, K], Row | None],
        indexes: Sequence[tuple[str, ...]] = (),
        search: Sequence[str] = (),
        max_lag: timedelta = MAX_LAG,
        version: str | None = None,
        partitions: int = 1,
        rebuild: Rebuild = "auto",
        on_error: OnError = "stop",
    ) -> None: ...

    @overload
    def __init__(
        self,
        name: str,
        *,
        source: "View[Src]",
        row: type[Row],
        key: str | tuple[str, ...],
        project: Callable[[Row | None, Src | None, Src | None], Row | None],
        indexes: Sequence[tuple[str, ...]] = (),
        search: Sequence[str] = (),
        max_lag: timedelta = MAX_LAG,
        version: str | None = None,
    ) -> None: ...

    def __init__(
        self,
        name: str,
        *,
        row: type[Row],
        key: str | tuple[str, ...],
        project: Callable[..., Row | None],
        events: Sequence[Events[Any]] = (),
        source: "View[Any] | None" = None,
        keys: Callable[[Any], Iterable[Any]] | None = None,
        sticky: bool = False,
        indexes: Sequence[tuple[str, ...]] = (),
        search: Sequence[str] = (),
        max_lag: timedelta = MAX_LAG,
        version: str | None = None,
        partitions: int = 1,
        rebuild: Rebuild = "auto",
        on_error: OnError = "stop",
    ) -> None:
        _require_frozen(row)
        self.row_type, self.layout, self.source = row, RowLayout(row), source
        fields = (key,) if isinstance(key, str) else key
        self.shape = Shape(fields, tuple(map(tuple, indexes)), tuple(search))
        self.shape.check(self.layout)
        keying = Keying(name, fields, keys, sticky=sticky, over=source.layout if source else None)
        parts = (*keying.parts, *_split(name, partitions))
        super().__init__(
            name,
            events=_families(name, events, source, own=(rebuild, on_error)),
            rule=(project, keys),
            version=version,
            shape=(row, fields, self.shape.indexes, self.shape.search, *parts),
            max_lag=max_lag,
            partitions=partitions,
            rebuild=rebuild,
            parks=parks_of(name, on_error),
        )
        self.sticky = keying.check(self.families, row=self.layout, partitions=partitions)
        self.stream_prefix = keying.stream_prefix(self.families)
        self.rule = keying.rule(project, touches=self._touches)

    @cached_property
    def sortable(self) -> tuple[str, ...]:
        """The fields that pages can be ordered by: those whose column compares as its values."""
        return tuple(name for name in self.layout.names if self._is_sortable(name))

    @property
    def lineage(self) -> "tuple[View[Any], ...]":
        """The view that is folded from events, and those over it up to this one."""
        return (self,) if self.source is None else (*self.source.lineage, self)

    @property
    def key_of(self) -> Callable[[Any], object]:
        """Reads the key from a row, or from an event that has its fields."""
        return attrgetter(*self.shape.key)

    def keys_of(self, decoded: Sequence[Decoded]) -> Sequence[Key]:
        """The keys that events name themselves; sticky ones only of events that have them."""
        if self.sticky is None:
            return self.rule.batch(decoded).keys
        told = ((recorded.tenant, self.sticky.told_by(event)) for recorded, event in decoded)
        return [key for key in told if key[1] is not None]

    def bind(
        self, revision: int, dialect: sa.Dialect, *, partition: int | None = None
    ) -> BoundView[Row]:
        name = revised(self.name, revision)
        return BoundView(
            rule=self.rule,
            layout=self.layout,
            table=view_table(name, self.layout, self.shape, dialect),
            dialect=dialect,
            search=self.shape.search,
            stream_prefix=self.stream_prefix,
            part=None if partition is None else Part(partition, self.partitions),
            sticky=self.sticky.bind(f"{name}__keys", dialect) if self.sticky else None,
        )

    @property
    def _touches(self) -> bool:
        """A row whose fields may be mutable is written even if it is the same object."""
        return bool(self.stream_prefix) or self.sortable != self.layout.names

    def _built_on(self) -> Sequence[str]:
        return () if self.source is None else (self.source.fingerprint,)

    def _is_sortable(self, name: str) -> bool:
        try:
            self.layout.require_sortable(name)
        except ConfigurationError:
            return False
        return True


def _families(
    name: str,
    events: Sequence[Events[Any]],
    source: View[Any] | None,
    *,
    own: tuple[Rebuild, OnError],
) -> Sequence[Events[Any]]:
    if (source is None) == (not events):
        raise ConfigurationError(f"view {name}: write either events= or source=")
    if source is None:
        return events
    if own != ("auto", "stop"):
        raise ConfigurationError(
            f"view {name} is rebuilt and parked with {source!r}: say rebuild= and on_error= there"
        )
    if source.partitions > 1:
        raise ConfigurationError(
            f"view {name} is over {source!r}, which has partitions: its rows are changed by several"
            " projectors, in no order; leave partitions= out there"
        )
    return source.families


def _split(name: str, partitions: int) -> tuple[int, ...]:
    """A view that is not split has the fingerprint that it had before there were partitions."""
    if not 1 <= partitions <= _MOST_PARTITIONS:
        raise ConfigurationError(f"view {name}: partitions= takes 1 to {_MOST_PARTITIONS}")
    return (partitions,) if partitions > 1 else ()


def _require_frozen(row: type[Any]) -> None:
    """A row that was changed in place would be taken for unchanged."""
    if is_dataclass(row):
        frozen = bool(row.__dataclass_params__.frozen)  # type: ignore[attr-defined]
    elif hasattr(row, "__struct_config__"):
        frozen = bool(row.__struct_config__.frozen)
    else:
        frozen = bool(getattr(row, "model_config", {}).get("frozen"))
    if not frozen:
        raise ConfigurationError(f"row {row!r} must be frozen: write frozen=True")
