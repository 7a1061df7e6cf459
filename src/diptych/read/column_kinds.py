"""Which kind of column a type hint asks for: plain, Places, enum, else JSON."""

from dataclasses import dataclass
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
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
    Union,
    get_args,
    get_origin,
)

import sqlalchemy as sa

from diptych.errors import ConfigurationError, InvalidInput
from diptych.read.column_types import INTEGER, KINDS, MAX_INTEGER, TEXT, Kind, Stored, Unfit, like
from diptych.shapes import json_codec

_MAX_PLACES: Final = 18
_EXACT: Final = Context(
    prec=19, Emax=18, Emin=-18, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow]
)


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
        return _fixed_decimal(hint.places.places)
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


def _fixed_decimal(places: int) -> Kind:
    """A Decimal of at most `places` places that fits 64 bits when scaled, on both databases."""
    if not 0 <= places <= _MAX_PLACES:
        raise ConfigurationError(f"Places({places}): write 0 to {_MAX_PLACES} places")
    scale, step = Decimal(10**places), Decimal((0, (1,), -places))
    multiply, whole = _EXACT.multiply, _EXACT.to_integral_exact
    largest = multiply(MAX_INTEGER, step)
    problem = f"must be a number of at most {places} places between -{largest} and {largest}"

    def scaled(value: Decimal) -> int:
        try:
            number = int(whole(multiply(value, scale)))
        except (ArithmeticError, ValueError):
            raise Unfit(problem) from None
        if not -MAX_INTEGER <= number <= MAX_INTEGER:
            raise Unfit(problem)
        return number

    def checked(value: Decimal) -> Decimal:
        scaled(value)
        return value

    sqlite = Stored(sa.BigInteger(), scaled, lambda value: multiply(value, step))
    postgresql = Stored(sa.Numeric(20, places), checked)
    return Kind(Decimal, like(Decimal, Decimal), sqlite, postgresql, scaled=True)


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


def _document(python: Any) -> Kind:
    """JSON as text. Not `sa.JSON`: on SQLite that column has numeric affinity. Not JSONB: it puts
    the keys of a dict in another order, so a fold could tell a row that was read from one that
    was kept, and its result would depend on where a batch ended."""
    codec = json_codec(python)

    def write(value: object) -> str:
        try:
            return codec.encode(value).decode()
        except InvalidInput as refused:
            path = "" if refused.field == "value" else refused.field  # "value" is all of it
            raise Unfit(refused.problem, path=path) from None

    def read(text: str) -> Any:
        return codec.decode(text.encode())

    plain = get_origin(python) or python
    return Kind(
        plain if isinstance(plain, type) else object,
        lambda value: value,
        Stored(sa.Text(), write, read),
        Stored(sa.Text(), write, read),
        advice="a field of its own for what you sort or filter by: this one is kept as JSON",
    )
