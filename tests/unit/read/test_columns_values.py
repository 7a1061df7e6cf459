"""Values that fit their column come back equal; all others are refused by name."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal, localcontext
from enum import IntEnum, StrEnum
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from diptych.errors import InvalidInput
from diptych.read.columns import RowLayout
from tests.unit.read.rows import EXAMPLE, POSTGRES, SQLITE, Everything, Item

LAYOUT = RowLayout(Everything)
BOTH = pytest.mark.parametrize("dialect", [SQLITE, POSTGRES], ids=["sqlite", "postgresql"])


class Word(StrEnum):
    HELLO = "hello"


class Number(IntEnum):
    SEVEN = 7


class LocalId(UUID):
    """As asyncpg's."""


class LocalTime(datetime):
    pass


FITTING: dict[str, list[Any]] = {
    "total": [Decimal("-92233720368547758.07"), Decimal("1.5"), Decimal("1E+3"), Decimal("-0.00")],
    "rate": [Decimal("1E+1000"), Decimal("0.1") ** 20, Decimal("-0")],
    "created_at": [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999999, UTC),
        datetime(2026, 3, 29, 2, 30, tzinfo=timezone(timedelta(hours=5, minutes=45))),
        LocalTime(2026, 1, 1, tzinfo=UTC),
    ],
    "took": [timedelta(0), timedelta(microseconds=-1), timedelta(days=106_751_991)],
    "due": [date.min, date.max],
    "count": [-(2**63), 0, True, Number.SEVEN],
    "weight": [float("inf"), -0.0, 5e-324, 3, 2**53],
    "name": ["", "naïve 🙂", "\x01\x7f\ufffe", Word.HELLO],
    "id": [LocalId(int=1), UUID(int=2**128 - 1)],
    "labels": [[], ["\\u0000", "\\"], ["🙂"]],
    "items": [(), (Item("x", -(2**63)),)],
}


@BOTH
@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in FITTING.items() for value in values]
)
def test_a_value_at_the_edge_comes_back_equal(
    name: str, value: object, dialect: sa.Dialect
) -> None:
    row = replace(EXAMPLE, **{name: value})
    assert LAYOUT.row(LAYOUT.values(row, dialect), dialect) == row


REFUSED: dict[str, list[tuple[Any, str]]] = {
    "total": [
        (Decimal("1.005"), "at most 2 places"),
        (Decimal("92233720368547758.08"), "between"),
        (Decimal("1E+999999"), "between"),
        (Decimal("1E-999999"), "at most 2 places"),
        (Decimal("0.0050000000000000000000000000000000000000001"), "at most 2 places"),
        (Decimal("NaN"), "places"),
        (Decimal("sNaN"), "places"),
        (Decimal("-Infinity"), "places"),
        (1, "must be Decimal, not int"),
        (1.5, "must be Decimal, not float"),
        (None, "must not be None"),
    ],
    "rate": [
        (Decimal("NaN"), "finite"),
        (Decimal("Infinity"), "finite"),
        (Decimal("1E+131072"), "131072 digits"),
        (Decimal("1E-16384"), "16383 after"),
    ],
    "created_at": [
        (datetime(2026, 1, 1), "time zone"),  # noqa: DTZ001
        (LocalTime(2026, 1, 1), "time zone"),
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))), "years 1 to 9999"),
        (date(2026, 1, 1), "must be datetime, not date"),
    ],
    "took": [(timedelta.max, "64 bits"), (1, "must be timedelta")],
    "due": [(datetime(2026, 1, 1, tzinfo=UTC), "must be date, not datetime")],
    "count": [(2**63, "64 bits"), (-(2**63) - 1, "64 bits"), (1.0, "must be int"), ("1", "int")],
    "weight": [(float("nan"), "NaN"), (2**53 + 1, "must be float"), (True, "must be float")],
    "paid": [(1, "must be bool, not int")],
    "photo": [("x", "must be bytes"), (bytearray(b"x"), "must be bytes")],
    "name": [("a\0b", "NUL"), ("\ud800", "lone surrogate"), (b"x", "must be str"), (Number, "str")],
    "note": [("\0", "NUL"), (5, "must be str")],
    "id": [("6f0a9e1c91a84d7e9e630d2f9d6b2b11", "must be UUID, not str")],
    "status": [("open", "must be Status, not str"), (Word.HELLO, "must be Status, not Word")],
    "labels": [
        (["a\0"], "NUL"),
        (["\\\0"], "NUL"),
        (["\ud800"], ""),
        ([object()], "must be a string"),
    ],
}


@BOTH
@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [(name, value, problem) for name, values in REFUSED.items() for value, problem in values],
)
def test_a_value_that_does_not_fit_is_refused_by_name(
    name: str, value: object, problem: str, dialect: sa.Dialect
) -> None:
    with pytest.raises(InvalidInput) as caught:
        LAYOUT.values(replace(EXAMPLE, **{name: value}), dialect)
    assert caught.value.field.split(".")[0] == name
    assert problem in caught.value.problem
    with pytest.raises(InvalidInput):
        LAYOUT.value(name, value, dialect)


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("items", (Item("a", 1), Item("b\0", 2)), "items.1.product_id"),
        ("items", (Item("a", 2**63),), "items.0.quantity"),
        ("labels", ["a", float("nan")], "labels.1"),
        ("labels", "a", "labels"),
    ],
)
def test_what_does_not_fit_inside_json_is_found(name: str, value: object, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        LAYOUT.values(replace(EXAMPLE, **{name: value}), SQLITE)
    assert caught.value.field == field


def test_the_first_value_that_does_not_fit_is_named() -> None:
    with pytest.raises(InvalidInput) as caught:
        LAYOUT.values(replace(EXAMPLE, name="\0", note="\0"), SQLITE)
    assert caught.value.field == "name"


@BOTH
def test_one_value_is_made_as_those_of_a_row(dialect: sa.Dialect) -> None:
    values = LAYOUT.values(EXAMPLE, dialect)
    assert values == tuple(
        LAYOUT.value(name, getattr(EXAMPLE, name), dialect) for name in LAYOUT.names
    )


@BOTH
def test_a_low_precision_around_it_changes_no_decimal(dialect: sa.Dialect) -> None:
    with localcontext(prec=3):
        values = LAYOUT.values(EXAMPLE, dialect)
        assert LAYOUT.row(values, dialect).total == Decimal("12345678901234567.89")


def test_a_decimal_comes_back_from_sqlite_with_its_places() -> None:
    assert str(LAYOUT.row(LAYOUT.values(EXAMPLE, SQLITE), SQLITE).total) == "12345678901234567.89"
    whole = replace(EXAMPLE, total=Decimal(3))
    assert str(LAYOUT.row(LAYOUT.values(whole, SQLITE), SQLITE).total) == "3.00"


@pytest.mark.parametrize("moment", FITTING["created_at"][:2])
def test_a_time_that_asyncpg_gives_without_zone_gets_it_back(moment: datetime) -> None:
    values = LAYOUT.values(replace(EXAMPLE, created_at=moment), POSTGRES)
    given = [moment.replace(tzinfo=None) if each == moment else each for each in values]
    assert LAYOUT.row(given, POSTGRES).created_at == moment


def test_times_have_one_width_on_sqlite() -> None:
    times = [datetime(2026, 1, 1, 12, tzinfo=UTC), datetime(5, 1, 1, 0, 0, 0, 7, UTC)]
    found = [LAYOUT.value("created_at", each, SQLITE) for each in times]
    assert found == ["2026-01-01T12:00:00.000000Z", "0005-01-01T00:00:00.000007Z"]
