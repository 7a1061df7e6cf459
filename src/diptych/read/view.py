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
from diptych.read.fold import Rule, many_keys, one_key, with_key
from diptych.read.model import ReadModel, Rebuild
from diptych.read.table import Shape, revised, view_table

Row = TypeVar("Row")
E = TypeVar("E")
K = TypeVar("K")

MAX_LAG = timedelta(seconds=10)

_MOST_PARTITIONS: Final = 64


class View(ReadModel, Generic[Row]):
    """A read model with one row per key, folded from events.

    Args:
        name: of the view and, with the number of its revision, of its table.
        events: the families whose events it is folded from; all of their types.
        row: a frozen dataclass, msgspec Struct or pydantic model. Each field becomes a column.
        key: the field, or fields, of the row that tell one row from another. Without `keys`, each
            event has these fields too, and is folded into the row that it names.
        keys: takes the keys of an event's rows from the event: any number, each counted once. For
            a key of several fields it gives tuples.
        project: `(row, event, recorded) -> row`, and with `keys` a fourth parameter, the key. The
            row is None before the first event of its key; None as the result deletes it. It must
            be pure: it runs again after a crash, and over the whole log for a new revision.
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
        project: Callable[[Row | None, E, RecordedEvent], Row | None],
        indexes: Sequence[tuple[str, ...]] = (),
        search: Sequence[str] = (),
        max_lag: timedelta = MAX_LAG,
        version: str | None = None,
        partitions: int = 1,
        rebuild: Rebuild = "auto",
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
    ) -> None: ...

    def __init__(
        self,
        name: str,
        *,
        events: Sequence[Events[Any]],
        row: type[Row],
        key: str | tuple[str, ...],
        project: Callable[..., Row | None],
        keys: Callable[[Any], Iterable[Any]] | None = None,
        indexes: Sequence[tuple[str, ...]] = (),
        search: Sequence[str] = (),
        max_lag: timedelta = MAX_LAG,
        version: str | None = None,
        partitions: int = 1,
        rebuild: Rebuild = "auto",
    ) -> None:
        _require_frozen(row)
        if not 1 <= partitions <= _MOST_PARTITIONS:
            raise ConfigurationError(f"view {name}: partitions= takes 1 to {_MOST_PARTITIONS}")
        self.row_type, self.layout = row, RowLayout(row)
        fields = (key,) if isinstance(key, str) else key
        self.shape = Shape(fields, tuple(map(tuple, indexes)), tuple(search))
        self.shape.check(self.layout)
        super().__init__(
            name,
            events=events,
            rule=(project, keys),
            version=version,
            shape=(row, fields, self.shape.indexes, self.shape.search, *_split(partitions)),
            max_lag=max_lag,
            partitions=partitions,
            rebuild=rebuild,
        )
        if keys is None:
            self._require_key(fields)
        self.stream_prefix = self._stream_prefix(fields, keys)
        self.rule = self._rule(project, keys)

    @cached_property
    def sortable(self) -> tuple[str, ...]:
        """The fields that pages can be ordered by: those whose column compares as its values."""
        return tuple(name for name in self.layout.names if self._is_sortable(name))

    @property
    def key_of(self) -> Callable[[Any], object]:
        """Reads the key from a row, or from an event that has its fields."""
        return attrgetter(*self.shape.key)

    def bind(
        self, revision: int, dialect: sa.Dialect, *, partition: int | None = None
    ) -> BoundView[Row]:
        table = view_table(revised(self.name, revision), self.layout, self.shape, dialect)
        return BoundView(
            rule=self.rule,
            layout=self.layout,
            table=table,
            dialect=dialect,
            search=self.shape.search,
            stream_prefix=self.stream_prefix,
            part=None if partition is None else Part(partition, self.partitions),
        )

    def _rule(
        self, project: Callable[..., Any], keys: Callable[[Any], Iterable[Any]] | None
    ) -> Rule:
        """A row whose fields may be mutable is written even if it is the same object."""
        return Rule(
            name=self.name,
            expand=one_key(self.key_of) if keys is None else many_keys(keys),
            project=project if keys is None else with_key(project),
            row_key=self.key_of,
            touches=bool(self.stream_prefix) or self.sortable != self.layout.names,
        )

    def _stream_prefix(self, fields: tuple[str, ...], keys: object) -> str:
        """What comes before the key in a stream's name, if the key may be the stream's."""
        if keys is None and len(fields) == 1 and len(self.families) == 1:
            return f"{self.families[0].category}-"
        return ""

    def _is_sortable(self, name: str) -> bool:
        try:
            self.layout.require_sortable(name)
        except ConfigurationError:
            return False
        return True

    def _require_key(self, fields: tuple[str, ...]) -> None:
        for family in self.families:
            for event in family.types:
                for name in fields:
                    if not _has(event, name):
                        raise ConfigurationError(
                            f"view {self.name} is keyed by {name!r}, which {event.__qualname__}"
                            f" lacks: add the field to the event, or give View(keys=) a function"
                            " from the event to the keys of its rows"
                        )


def _split(partitions: int) -> tuple[int, ...]:
    """A view that is not split has the fingerprint that it had before there were partitions."""
    return (partitions,) if partitions > 1 else ()


def _has(event: type[Any], name: str) -> bool:
    annotated = any(name in vars(base).get("__annotations__", {}) for base in event.__mro__)
    return annotated or isinstance(getattr(event, name, None), property)


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
