"""Which kind of column a type hint asks for: plain, Places, enum, else JSON."""

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from functools import reduce
from operator import attrgetter, or_
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    NamedTuple,
    NewType,
    Protocol,
    Union,
    get_args,
    get_origin,
)

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from diptych.errors import ConfigurationError, InvalidInput
from diptych.read.column_types import INTEGER, KINDS, TEXT, Kind, Stored, Unfit, fixed_decimal, like

_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


@dataclass(frozen=True, slots=True)
class Places:
    """A Decimal column of exactly this many decimal places: `Annotated[Decimal, Places(2)]`.

    The column sorts, compares and sums exactly on every database, which a bare Decimal does not.
    It holds 19 digits in all. A value with more places is refused, never rounded. SQLite keeps
    the number scaled to an integer, so a query must not multiply, divide or average the column
    in SQL (the first two are refused).
    """

    places: int


class Hint(NamedTuple):
    """A type hint without its wrappers: Optional, Annotated, NewType, aliases."""

    bare: Any
    nullable: bool
    places: Places | None


def unwrap(hint: Any) -> Hint:
    nullable, places = False, None
    while True:
        origin = get_origin(hint)
        if origin is Annotated:
            places = next((each for each in hint.__metadata__ if isinstance(each, Places)), places)
            hint = hint.__origin__
        elif origin in {Union, UnionType} and NoneType in get_args(hint):
            nullable = True
            hint = reduce(or_, [each for each in get_args(hint) if each is not NoneType])
        elif isinstance(hint, NewType):
            hint = hint.__supertype__
        elif type(hint).__name__ == "TypeAliasType":  # `type X = ...`, from Python 3.12
            hint = hint.__value__
        else:
            return Hint(hint, nullable, places)


def kind_of(hint: Hint) -> Kind:
    """Raises ConfigurationError: no column can hold such values exactly."""
    if hint.places is not None:
        if hint.bare is not Decimal:
            raise ConfigurationError("Places(...) belongs to a Decimal")
        return fixed_decimal(hint.places.places)
    if isinstance(hint.bare, type):
        if issubclass(hint.bare, Enum):
            return _enumeration(hint.bare)
        if hint.bare in KINDS:
            return KINDS[hint.bare]
    if get_origin(hint.bare) is Literal:
        for kind in (TEXT, INTEGER):
            if all(type(value) is kind.python for value in get_args(hint.bare)):
                return kind
    return _document(hint.bare)


def _enumeration(python: type[Enum]) -> Kind:
    """A database enum takes new members only by ALTER, so the value of a member is kept."""
    values = [member.value for member in python.__members__.values()]
    plain = next((k for k in (TEXT, INTEGER) if {type(v) for v in values} == {k.python}), None)
    if plain is None:
        raise ConfigurationError(f"{python.__name__}: all values must be str, or all must be int")
    for value in values:
        plain.long_way(value, "sqlite", nullable=False)
    members = dict(zip(values, python.__members__.values(), strict=True))

    def read(value: object) -> Enum:
        member = members.get(value)
        return python(value) if member is None else member  # combined flags are not in members

    write = attrgetter("_value_")  # `value` is a property, four times as slow
    sqlite, postgresql = plain.sqlite.type, plain.postgresql.type
    return Kind(python, like(python), Stored(sqlite, write, read), Stored(postgresql, write, read))


class _Codec(Protocol):
    def encode(self, value: Any, /) -> bytes: ...
    def decode(self, data: bytes, /) -> Any: ...


class _Msgspec:
    def __init__(self, python: Any) -> None:
        self.encode = msgspec.json.Encoder().encode
        self.decode = msgspec.json.Decoder(python).decode


def _codec(python: Any) -> _Codec:
    try:
        return _Msgspec(python)
    except TypeError as error:
        raise ConfigurationError(f"{python!r} cannot be kept in a column: {error}") from error


def _document(python: Any) -> Kind:
    """JSON. Not `sa.JSON`: on SQLite that column has numeric affinity."""
    codec = _codec(python)

    def write(value: object) -> str:
        try:
            data = codec.encode(value)
        except InvalidInput as error:
            raise Unfit(error.problem, path=error.field) from None
        except (msgspec.MsgspecError, TypeError, ValueError, OverflowError):
            raise Unfit("cannot be written as JSON") from None
        if b"\\u0000" in data and _NUL.search(data):
            raise Unfit("must not contain NUL")
        return data.decode()

    def read(text: str) -> Any:
        return codec.decode(text.encode())

    plain = get_origin(python) or python
    return Kind(
        plain if isinstance(plain, type) else object,
        lambda value: value,
        Stored(sa.Text(), write, read),
        Stored(postgresql.JSONB(), write, read),
        advice="a field of its own for what you sort or filter by: this one is kept as JSON",
    )
