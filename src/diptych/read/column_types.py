"""How a value of each Python type lies in SQLite and in PostgreSQL: exactly, or not at all.

Each kind of value has one driver value per database, which comes back equal and, unless the kind
advises otherwise, sorts and compares there as it does in Python. Traps avoided, all of them seen:

- SQLAlchemy's `Numeric` goes through a float on SQLite: 12345678901234567.89 becomes …568.00. A
  Decimal of fixed places is a scaled integer there. Decimal arithmetic rounds to the ambient
  context, so ours names one that traps `Inexact`.
- `DateTime(timezone=True)` drops the zone on SQLite. A time is text in UTC there, always of the
  same width, so that it sorts.
- SQLite turns NaN into NULL; NaN is refused.
- A column declared `JSON` has numeric affinity on SQLite and damages big integers: it is `TEXT`.
- NUL and lone surrogates in text fail late and untyped in the drivers; they are refused here.
- Text sorts by code point on SQLite, by language on PostgreSQL unless its collation is "C".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec
import sqlalchemy as sa

from diptych.errors import ConfigurationError

MAX_INTEGER: Final = 2**63 - 1
_MAX_DIGITS: Final = 131_072, 16_383
"""What PostgreSQL's NUMERIC holds before and after the point."""
_TIME_WIDTH: Final = len("2024-01-31T23:59:59.000001Z")


class Unfit(ValueError):
    """A value does not fit its column; who knows the column's name adds it."""

    def __init__(self, problem: str, *, path: str = "") -> None:
        super().__init__(problem)
        self.problem, self.path = problem, path


@dataclass(frozen=True, slots=True)
class Stored:
    """A column type of one database, and what makes a value the driver's and back.

    `write` may rely on a value of exactly the kind's type; it raises `Unfit`. None: as it is.
    """

    type: sa.types.TypeEngine[Any]
    write: Callable[[Any], object] | None = None
    read: Callable[[Any], Any] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """How the values of one Python type are stored.

    `exact` makes a value of exactly that type from one of a subclass, or raises `Unfit`.
    `advice` says what to write where the column must sort or compare; it is empty if it does.
    `scaled` tells that a database's number may be a multiple of the value.
    """

    python: type
    exact: Callable[[Any], Any]
    sqlite: Stored
    postgresql: Stored
    advice: str = ""
    scaled: bool = False

    def stored(self, dialect: str) -> Stored:
        if dialect == "sqlite":
            return self.sqlite
        if dialect == "postgresql":
            return self.postgresql
        raise ConfigurationError(f"rows are kept in SQLite or PostgreSQL, not in {dialect!r}")

    def long_way(self, value: Any, dialect: str, *, nullable: bool) -> object:
        """The driver's value of anything, or Unfit."""
        if value is None:
            if nullable:
                return None
            raise Unfit("must not be None")
        write = self.stored(dialect).write
        exact = self.exact(value)
        return exact if write is None else write(exact)


def _misfit(python: type, value: object) -> Unfit:
    return Unfit(f"must be {python.__name__}, not {type(value).__name__}")


def like(python: type, convert: Callable[[Any], Any] | None = None) -> Callable[[Any], Any]:
    """Takes a subclass; `convert` where a driver looks at the exact type."""

    def exact(value: object) -> object:
        if not isinstance(value, python):
            raise _misfit(python, value)
        return value if convert is None else convert(value)

    return exact


def _integer(value: int) -> int:
    if not -MAX_INTEGER - 1 <= value <= MAX_INTEGER:
        raise Unfit("must fit 64 bits")
    return value


def _float(value: float) -> float:
    if value != value:
        raise Unfit("must not be NaN")
    return value


def _exact_float(value: object) -> float:
    """An int passes as a float for type checkers, but a large one would not come back equal."""
    if isinstance(value, float) or (type(value) is int and abs(value) <= 2**53):
        return float(value)
    raise _misfit(float, value)


def _any_decimal(value: Decimal) -> Decimal:
    before, after = _MAX_DIGITS
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or value.adjusted() >= before or exponent < -after:
        raise Unfit(f"must be finite, with at most {before} digits before the point, {after} after")
    return value


# Text and times


def _text(value: str) -> str:
    if "\0" in value:
        raise Unfit("must not contain NUL")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Unfit("must not contain a lone surrogate") from None
    return value


def _in_utc(value: datetime) -> datetime:
    if value.tzinfo is UTC:
        return value
    if value.utcoffset() is None:
        raise Unfit("must have a time zone")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise Unfit("must be within the years 1 to 9999 in UTC") from None


def _utc_text(value: datetime) -> str:
    """By msgspec, ten times as fast as `isoformat`; it leaves out a fraction of zero."""
    text: str = msgspec.to_builtins(_in_utc(value))
    return text if len(text) == _TIME_WIDTH else text[:-1] + ".000000Z"


def _aware(value: datetime) -> datetime:
    """asyncpg gives the first and the last moment that Python knows without their zone."""
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)


def _exact_datetime(value: datetime) -> datetime:
    return datetime.combine(value.date(), value.timetz())


def _exact_date(value: object) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return date(value.year, value.month, value.day)
    raise _misfit(date, value)


def _microseconds(value: timedelta) -> int:
    return _integer((value.days * 86_400 + value.seconds) * 1_000_000 + value.microseconds)


def _duration(microseconds: int) -> timedelta:
    """Takes a Decimal too: SUM makes one on PostgreSQL."""
    return timedelta(microseconds=int(microseconds))


def _hex(value: UUID) -> str:
    return "%032x" % value.int  # noqa: UP031 - faster than a format string


_parse_uuid: Final = msgspec.json.Decoder(UUID).decode


def _from_hex(text: str) -> UUID:
    """By msgspec, four times as fast as `UUID(text)`."""
    return _parse_uuid(f'"{text}"')


# The table


_SQLITE_TEXT: Final = sa.Text()
_POSTGRES_TEXT: Final = sa.Text(collation="C")
_BIGINT: Final = sa.BigInteger()

TEXT: Final = Kind(
    str, like(str, str.__str__), Stored(_SQLITE_TEXT, _text), Stored(_POSTGRES_TEXT, _text)
)
INTEGER: Final = Kind(int, like(int, int), Stored(_BIGINT, _integer), Stored(_BIGINT, _integer))

KINDS: Final[Mapping[type, Kind]] = {
    kind.python: kind
    for kind in (
        TEXT,
        INTEGER,
        Kind(bool, like(bool), Stored(sa.Boolean(), None, bool), Stored(sa.Boolean())),
        Kind(float, _exact_float, Stored(sa.Double(), _float), Stored(sa.Double(), _float)),
        Kind(bytes, like(bytes, bytes), Stored(sa.LargeBinary()), Stored(sa.LargeBinary())),
        Kind(
            UUID,
            like(UUID),
            Stored(sa.Uuid(), _hex, _from_hex),
            Stored(sa.Uuid()),
        ),
        Kind(
            Decimal,
            like(Decimal, Decimal),
            Stored(_SQLITE_TEXT, lambda value: str(_any_decimal(value)), Decimal),
            Stored(sa.Numeric(), _any_decimal),
            advice="Annotated[Decimal, Places(2)], which is kept as a number on every database",
        ),
        Kind(
            datetime,
            like(datetime, _exact_datetime),
            Stored(_SQLITE_TEXT, _utc_text, datetime.fromisoformat),
            Stored(sa.DateTime(timezone=True), _in_utc, _aware),
        ),
        Kind(
            date,
            _exact_date,
            Stored(sa.Date(), msgspec.to_builtins, date.fromisoformat),
            Stored(sa.Date()),
        ),
        Kind(
            timedelta,
            like(timedelta),
            Stored(_BIGINT, _microseconds, _duration),
            Stored(_BIGINT, _microseconds, _duration),
        ),
    )
}
