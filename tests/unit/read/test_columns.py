"""The columns of a row type."""

import enum
from dataclasses import InitVar, dataclass, field, make_dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pydantic
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import CreateTable

from diptych.errors import ConfigurationError
from diptych.read.columns import Places, RowLayout
from tests.unit.read.rows import (
    EXAMPLE,
    POSTGRES,
    SQLITE,
    Everything,
    Money,
    MoneyModel,
    MoneyStruct,
)

TYPES = {  # SQLite, PostgreSQL
    "id": ("CHAR(32)", "UUID"),
    "name": ("TEXT", 'TEXT COLLATE "C"'),
    "total": ("BIGINT", "NUMERIC(20, 2)"),
    "rate": ("TEXT", "NUMERIC"),
    "created_at": ("TEXT", "TIMESTAMP WITH TIME ZONE"),
    "shipped_at": ("TEXT", "TIMESTAMP WITH TIME ZONE"),
    "took": ("BIGINT", "BIGINT"),
    "due": ("DATE", "DATE"),
    "status": ("TEXT", 'TEXT COLLATE "C"'),
    "priority": ("BIGINT", "BIGINT"),
    "channel": ("TEXT", 'TEXT COLLATE "C"'),
    "count": ("BIGINT", "BIGINT"),
    "paid": ("BOOLEAN", "BOOLEAN"),
    "weight": ("DOUBLE", "DOUBLE PRECISION"),
    "photo": ("BLOB", "BYTEA"),
    "items": ("TEXT", "TEXT"),
    "labels": ("TEXT", "TEXT"),
    "note": ("TEXT", 'TEXT COLLATE "C"'),
}


@pytest.mark.parametrize("name", TYPES)
def test_a_field_has_the_documented_column_type_on_each_database(name: str) -> None:
    column = {each.name: each for each in RowLayout(Everything).columns()}[name]
    found = [column.type.compile(dialect) for dialect in (SQLITE, POSTGRES)]
    assert found == list(TYPES[name])


def test_only_fields_that_may_be_none_are_nullable() -> None:
    columns = RowLayout(Everything).columns()
    assert [each.name for each in columns if each.nullable] == ["shipped_at", "note"]


def test_columns_are_new_for_each_table() -> None:
    layout = RowLayout(Money)
    for name in ("one", "two"):
        sa.Table(name, sa.MetaData(), *layout.columns())


def test_names_and_types_of_the_fields_are_known() -> None:
    layout = RowLayout(Money)
    assert layout.names == ("amount", "limit")
    assert layout.field_type("amount") == Annotated[Decimal, Places(2)]


@pytest.mark.parametrize("row_type", [Money, MoneyStruct, MoneyModel])
def test_dataclass_struct_and_model_make_the_same_table(row_type: type[Any]) -> None:
    table = sa.Table("money", sa.MetaData(), *RowLayout(row_type).columns())
    assert 'amount BIGINT NOT NULL, \n\t"limit" BIGINT\n' in str(
        CreateTable(table).compile(dialect=SQLITE)
    )


@pytest.mark.parametrize("row_type", [Money, MoneyStruct, MoneyModel])
@pytest.mark.parametrize("dialect", [SQLITE, POSTGRES])
def test_dataclass_struct_and_model_come_back_equal(
    row_type: type[Any], dialect: sa.Dialect
) -> None:
    layout = RowLayout(row_type)
    row = row_type(amount=Decimal("1.50"))
    assert layout.row(layout.values(row, dialect), dialect) == row


@pytest.mark.parametrize("dialect", [SQLITE, POSTGRES])
def test_every_kind_of_value_comes_back_equal(dialect: sa.Dialect) -> None:
    layout = RowLayout(Everything)
    assert layout.row(layout.values(EXAMPLE, dialect), dialect) == EXAMPLE


def test_fields_that_must_be_named_are_named() -> None:
    @dataclass(kw_only=True)
    class Named:
        a: int
        b: str

    layout = RowLayout(Named)
    assert layout.row((1, "x"), SQLITE) == Named(a=1, b="x")


def test_a_row_of_one_field_is_a_row() -> None:
    @dataclass
    class One:
        a: int

    layout = RowLayout(One)
    assert layout.values(One(1), SQLITE) == (1,)
    assert layout.row((1,), SQLITE) == One(1)


def test_a_model_is_read_back_without_being_validated_again() -> None:
    class Doubled(pydantic.BaseModel):
        count: int

        @pydantic.field_validator("count")
        @classmethod
        def double(cls, count: int) -> int:
            return 2 * count

    row = Doubled(count=1)
    layout = RowLayout(Doubled)
    assert layout.row(layout.values(row, SQLITE), SQLITE) == row


def test_combined_flags_come_back() -> None:
    class Right(enum.Flag):
        READ = 1
        WRITE = 2

    layout = RowLayout(make_dataclass("Rights", [("rights", Right)]))
    both = layout.row_type(Right.READ | Right.WRITE)
    assert layout.row(layout.values(both, SQLITE), SQLITE) == both


class Mixed(enum.Enum):
    ONE = 1
    TWO = "2"


class Late(pydantic.BaseModel, extra="allow"):
    a: int


class Swapped(pydantic.BaseModel):
    a: int = pydantic.Field(alias="b")
    b: int = pydantic.Field(alias="a")


@dataclass
class Initialised:
    a: int
    b: InitVar[int]


@dataclass
class Derived:
    a: int
    b: int = field(init=False)


@dataclass
class Unfindable:
    a: "NowhereDefined"  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("row_type", "says"),
    [
        (int, "write a dataclass"),
        (make_dataclass("Empty", []), "no fields"),
        (make_dataclass("Hidden", [("_position", int)]), "rename '_position'"),
        (make_dataclass("Twins", [("name", str), ("Name", str)]), "one column in SQL"),
        (make_dataclass("Long", [("n" * 64, str)]), "longer than 63 bytes"),
        (make_dataclass("Odd", [("a", Mixed)]), "all values must be str"),
        (make_dataclass("Wide", [("a", Annotated[Decimal, Places(19)])]), "0 to 18 places"),
        (make_dataclass("Placed", [("a", Annotated[int, Places(2)])]), "belongs to a Decimal"),
        (make_dataclass("TwoArrays", [("a", list[int] | tuple[int, ...])]), "field a"),
        (make_dataclass("Callable", [("a", type(print))]), "field a"),
        (Late, "extra='allow'"),
        (Swapped, "alias"),
        (Initialised, "no InitVar"),
        (Derived, "no init=False"),
        (Unfindable, "NowhereDefined"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_cannot_be_a_row_is_refused_with_what_to_write(row_type: type[Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        RowLayout(row_type)


@pytest.mark.parametrize("name", ["rate", "items", "labels"])
def test_a_bare_decimal_or_json_cannot_be_sorted_by(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"Everything: {name} cannot be sorted.*write"):
        RowLayout(Everything).require_sortable(name)


@pytest.mark.parametrize("name", sorted(set(TYPES) - {"rate", "items", "labels"}))
def test_every_other_column_can_be_sorted_by(name: str) -> None:
    RowLayout(Everything).require_sortable(name)


def test_an_unknown_field_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="no field 'price'; it has amount, limit"):
        RowLayout(Money).require_sortable("price")


def test_another_database_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="not in 'mysql'"):
        RowLayout(Money).values(Money(Decimal(1)), mysql.dialect())


def test_renamed_fields_of_a_struct_keep_their_python_names() -> None:
    class Renamed(msgspec.Struct, rename="camel"):
        created_at: datetime

    assert RowLayout(Renamed).names == ("created_at",)
