"""The columns of a row type, and its rows to and from the values that a driver takes.

This is the inner loop of the projector. What each column does is looked up once per database; a
value whose class is the declared one goes straight to its writer. Only None, subclasses and
values that do not fit take the long way, which knows the column's name.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DontWrapMixin
from sqlalchemy.sql import operators

from diptych.errors import ConfigurationError, InvalidInput
from diptych.read.column_kinds import Places, kind_of, unwrap
from diptych.read.column_types import Kind, Unfit
from diptych.read.row_types import constructor, row_fields

__all__ = ["ColumnType", "Places", "RowLayout", "ordered"]

Row = TypeVar("Row")


class _Misfit(InvalidInput, DontWrapMixin):
    """Comes out of SQLAlchemy as it is, not as a StatementError."""


@dataclass(frozen=True, slots=True, eq=False)
class _Field:
    name: str
    hint: Any
    kind: Kind
    nullable: bool

    def bind(self, value: object, dialect: str, *, nullable: bool) -> object:
        try:
            return self.kind.long_way(value, dialect, nullable=nullable)
        except Unfit as unfit:
            field = f"{self.name}.{unfit.path}" if unfit.path else self.name
            raise _Misfit(field, unfit.problem) from None


class _ScaledComparator(sa.types.TypeDecorator.Comparator[Any]):
    """A product or quotient would be wrong by the scale, and only on SQLite."""

    def operate(self, op: Any, *other: Any, **kwargs: Any) -> Any:
        if op in _BREAKS_SCALE:
            raise ConfigurationError("a column with Places cannot be multiplied or divided in SQL")
        return super().operate(op, *other, **kwargs)

    reverse_operate = operate


_BREAKS_SCALE: Final = {operators.mul, operators.truediv, operators.floordiv, operators.mod}


class ColumnType(sa.types.TypeDecorator[Any]):
    """A column's SQL type; in SQLAlchemy's statements it converts as `RowLayout` does."""

    impl = sa.Text
    cache_ok = True

    def __init__(self, field: _Field) -> None:
        super().__init__()
        self.field = field
        self.impl = field.kind.sqlite.type  # type: ignore[assignment]  # as its base class does

    @property
    def comparator_factory(  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        self,
    ) -> Any:
        return _ScaledComparator if self.field.kind.scaled else super().comparator_factory

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name == "default":  # of `str(statement)`
            return self.field.kind.sqlite.type
        return self.field.kind.stored(dialect.name).type

    def bind_processor(self, dialect: sa.Dialect) -> Any:
        bind, name = self.field.bind, dialect.name
        return lambda value: bind(value, name, nullable=True)

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:  # noqa: ARG002
        read = self.field.kind.stored(dialect.name).read
        if self.field.kind.python is int:
            read = int  # SUM makes a Decimal on PostgreSQL
        return None if read is None else lambda value: None if value is None else read(value)

    def literal_processor(self, dialect: sa.Dialect) -> None:
        """None makes SQLAlchemy refuse literals, which would not be converted."""


class RowLayout(Generic[Row]):
    """The columns of a dataclass, msgspec Struct or pydantic model: one for each field.

    Raises:
        ConfigurationError: the type cannot be a row, or a field cannot be kept exactly; the
            message names the field and says what to write.
    """

    def __init__(self, row_type: type[Row]) -> None:
        hints = row_fields(row_type)
        self.row_type = row_type
        self.names = tuple(hints)
        self._fields = {name: _field(row_type, name, hint) for name, hint in hints.items()}
        self._build = constructor(row_type, self.names)
        self._get = _getter(self.names)
        self._getters = tuple(map(attrgetter, self.names))
        self._writers: dict[str, _Writers] = {}
        self._readers: dict[str, _Readers] = {}

    def columns(self) -> list[sa.Column[Any]]:
        """New columns, for one table. A field that may be None is nullable, no other is."""
        return [
            sa.Column(field.name, ColumnType(field), nullable=field.nullable)
            for field in self._fields.values()
        ]

    def values(self, row: Row, dialect: sa.Dialect) -> tuple[object, ...]:
        """What the driver takes, in the order of `names`.

        Raises:
            InvalidInput: a value does not fit its column, which `field` names; or `row` is not
                of the row type.
        """
        writers = self._writers.get(dialect.name) or self._prepare_writers(dialect.name)
        try:
            values = self._get(row)
        except AttributeError as error:
            raise InvalidInput("row", f"must be a {self.row_type.__name__}") from error
        try:
            return tuple(
                [
                    (value if write is None else write(value))
                    if value.__class__ is python
                    else long_way(value)
                    for value, (python, write, long_way) in zip(values, writers, strict=False)
                ]
            )
        except Unfit:
            for name, value in zip(self.names, values, strict=True):
                self.value(name, value, dialect)  # raises for the first that does not fit
            raise

    def values_of(self, rows: Sequence[Row], dialect: sa.Dialect) -> list[tuple[object, ...]]:
        """`values` of each row, made column by column: in less than half of the time.

        Raises:
            InvalidInput: of the first row that has a value that does not fit.
        """
        writers = self._writers.get(dialect.name) or self._prepare_writers(dialect.name)
        try:
            columns = [
                _column(list(map(get, rows)), *writer)
                for get, writer in zip(self._getters, writers, strict=True)
            ]
        except (Unfit, AttributeError):
            return [self.values(row, dialect) for row in rows]
        return list(zip(*columns, strict=True))

    def column(self, name: str, values: list[Any], dialect: sa.Dialect) -> Sequence[object] | None:
        """What the driver takes for one field of many rows; None if a value does not fit."""
        writers = self._writers.get(dialect.name) or self._prepare_writers(dialect.name)
        try:
            return _column(values, *writers[self.names.index(name)])
        except Unfit:
            return None

    def row(self, values: Sequence[object], dialect: sa.Dialect) -> Row:
        """The row whose `values` the driver gave back. A pydantic model is not validated again."""
        readers = self._readers.get(dialect.name) or self._prepare_readers(dialect.name)
        return self._build(
            [
                value if read is None or value is None else read(value)
                for value, read in zip(values, readers, strict=True)
            ]
        )

    def value(self, name: str, value: object, dialect: sa.Dialect) -> object:
        """What the driver takes for one field, as `values` does for all."""
        field = self._field(name)
        return field.bind(value, dialect.name, nullable=field.nullable)

    def built(self, values: Sequence[object]) -> Row:
        """The row with these values, in the order of `names`."""
        return self._build(values)

    def read(self, name: str, value: object, dialect: sa.Dialect) -> Any:
        """The value of one field that the driver gave back, as `row` reads all."""
        read = self._field(name).kind.stored(dialect.name).read
        return value if read is None or value is None else read(value)

    def field_type(self, name: str) -> Any:
        """The type hint of a field, as it is declared."""
        return self._field(name).hint

    def require_sortable(self, name: str) -> None:
        """Refuses to sort, filter or index by a field that its column cannot compare.

        Raises:
            ConfigurationError: there is no such field, or it is kept as text or JSON whose order
                is not the order of the values.
        """
        advice = self._field(name).kind.advice
        if advice:
            raise ConfigurationError(
                f"row {self.row_type.__name__}: {name} cannot be sorted, filtered or indexed by;"
                f" write {advice}"
            )

    def _field(self, name: str) -> _Field:
        field = self._fields.get(name)
        if field is None:
            known = ", ".join(self.names)
            raise ConfigurationError(
                f"row {self.row_type.__name__} has no field {name!r}; it has {known}"
            )
        return field

    def _prepare_writers(self, dialect: str) -> "_Writers":
        self._writers[dialect] = tuple(
            (field.kind.python, field.kind.stored(dialect).write, _long_way(field, dialect))
            for field in self._fields.values()
        )
        return self._writers[dialect]

    def _prepare_readers(self, dialect: str) -> "_Readers":
        self._readers[dialect] = tuple(
            field.kind.stored(dialect).read for field in self._fields.values()
        )
        return self._readers[dialect]


_Writers = tuple[tuple[type, Callable[[Any], object] | None, Callable[[Any], object]], ...]
_Readers = tuple[Callable[[Any], Any] | None, ...]


def _column(
    values: list[Any],
    python: type,
    write: Callable[[Any], object] | None,
    long_way: Callable[[Any], object],
) -> Sequence[object]:
    """The driver's values of one field; raises Unfit."""
    if set(map(type, values)) != {python}:
        plain = write or _as_it_is
        return [plain(each) if each.__class__ is python else long_way(each) for each in values]
    return values if write is None else list(map(write, values))


def _as_it_is(value: object) -> object:
    return value


def _field(row_type: type[object], name: str, declared: Any) -> _Field:
    hint = unwrap(declared)
    try:
        return _Field(name, declared, kind_of(hint), hint.nullable)
    except (ConfigurationError, InvalidInput) as error:
        raise ConfigurationError(f"row {row_type.__name__}, field {name}: {error}") from error


def _long_way(field: _Field, dialect: str) -> Callable[[Any], object]:
    long_way = field.kind.long_way
    if not field.nullable:
        return lambda value: long_way(value, dialect, nullable=False)
    return lambda value: None if value is None else long_way(value, dialect, nullable=True)


def _getter(names: tuple[str, ...]) -> Callable[[Any], tuple[object, ...]]:
    get = attrgetter(*names)
    return get if len(names) > 1 else lambda row: (get(row),)


def ordered(column: sa.Column[Any], *, descending: bool = False) -> sa.UnaryExpression[Any]:
    """Sorts None last on every database: by default it is first on SQLite, last on PostgreSQL.

    A column that is never None gets no NULLS LAST, since PostgreSQL could not read an index
    backwards for it.
    """
    by = column.desc() if descending else column.asc()
    return by.nulls_last() if column.nullable else by
