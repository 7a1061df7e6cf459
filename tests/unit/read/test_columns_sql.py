"""In a real database: what came in comes out, in the order that it has in Python."""

import random
from dataclasses import make_dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from diptych.errors import ConfigurationError, InvalidInput
from diptych.read.columns import Places, RowLayout, ordered
from tests.unit.read.rows import EXAMPLE, POSTGRES, SQLITE, Everything, Money, kept


def of_one(hint: Any) -> type[Any]:
    return make_dataclass("OfOne", [("value", hint)], frozen=True)


def test_a_row_put_in_past_sqlalchemy_comes_back_equal() -> None:
    with kept(Everything) as store:
        store.put(EXAMPLE)
        assert store.rows() == [EXAMPLE]


def test_sqlalchemy_reads_and_writes_the_same_values() -> None:
    with kept(Everything) as store:
        values = {name: getattr(EXAMPLE, name) for name in store.layout.names}
        store.connection.execute(store.table.insert(), [values])
        assert store.rows() == [EXAMPLE]
        found = store.connection.execute(sa.select(store.table)).one()
        assert Everything(*found) == EXAMPLE


SORTED = {
    "decimal": (Annotated[Decimal, Places(2)], [Decimal(n) / 100 for n in range(-150, 150, 7)]),
    "datetime": (
        datetime,
        [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=n * 333_333) for n in range(40)],
    ),
    "timedelta": (timedelta, [timedelta(microseconds=n) for n in range(-20, 20)]),
    "text": (str, sorted(["", "a", "B", "z", "Z", "ä", "é", "zz", "\uffff", "🙂"])),
    "int": (int, [-(2**63), -1, 0, 9, 10, 2**53 + 1, 2**53 + 2, 2**63 - 1]),
    "float": (float, [float("-inf"), -1.5, 0.0, 0.1, 1e300, float("inf")]),
    "bool": (bool, [False, True]),
    "uuid": (UUID, [UUID(int=n) for n in (0, 15, 2**64, 2**127, 2**128 - 1)]),
}


@pytest.mark.parametrize("kind", SORTED)
def test_a_column_sorts_as_its_values_do(kind: str) -> None:
    hint, values = SORTED[kind]
    row_type = of_one(hint)
    with kept(row_type) as store:
        store.put(*(row_type(each) for each in random.Random(1).sample(values, len(values))))
        column = store.table.c.value
        found = store.connection.scalars(sa.select(column).order_by(ordered(column)))
        assert list(found) == values


@pytest.mark.parametrize("kind", SORTED)
def test_a_column_compares_as_its_values_do(kind: str) -> None:
    hint, values = SORTED[kind]
    row_type = of_one(hint)
    middle = values[len(values) // 2]
    with kept(row_type) as store:
        store.put(*(row_type(each) for each in values))
        column = store.table.c.value
        for condition, expected in (
            (column == middle, [middle]),
            (column < middle, values[: len(values) // 2]),
            (column.in_([values[0], middle]), [values[0], middle]),
        ):
            found = store.connection.scalars(sa.select(column).where(condition).order_by(column))
            assert list(found) == expected


@pytest.mark.parametrize("descending", [False, True])
def test_none_sorts_last_in_both_directions(descending: bool) -> None:
    with kept(Money) as store:
        rows = [Money(Decimal(n), None if n == 1 else Decimal(n)) for n in range(3)]
        store.put(*rows)
        by = ordered(store.table.c.limit, descending=descending)
        found = list(store.connection.scalars(sa.select(store.table.c.limit).order_by(by)))
        assert found == [*sorted([Decimal(0), Decimal(2)], reverse=descending), None]


@pytest.mark.parametrize("descending", [False, True])
def test_an_index_still_serves_the_order_with_none_last(descending: bool) -> None:
    with kept(Money) as store:
        sa.Index("by_limit", store.table.c.limit).create(store.connection)
        by = ordered(store.table.c.limit, descending=descending)
        query = sa.select(store.table.c.limit).order_by(by).compile(dialect=SQLITE)
        plan = str(store.raw(f"EXPLAIN QUERY PLAN {query}"))
        assert "USING COVERING INDEX by_limit" in plan
        assert "TEMP B-TREE" not in plan


def test_a_column_that_is_never_none_is_sorted_plainly() -> None:
    amount, limit = RowLayout(Money).columns()
    assert "NULLS" not in str(ordered(amount, descending=True).compile(dialect=POSTGRES))
    assert "NULLS LAST" in str(ordered(limit).compile(dialect=POSTGRES))


def test_money_sums_exactly() -> None:
    with kept(Money) as store:
        store.put(*(Money(Decimal("0.10")) for _ in range(3)))
        total = store.connection.scalar(sa.select(sa.func.sum(store.table.c.amount)))
        assert str(total) == "0.30"


def test_adding_in_sql_keeps_the_places_and_multiplying_is_refused() -> None:
    with kept(Money) as store:
        store.put(Money(Decimal("1.50")))
        amount = store.table.c.amount
        assert store.connection.scalar(sa.select(amount + Decimal("0.25"))) == Decimal("1.75")
        for wrong in (lambda: amount * Decimal(2), lambda: 2 * amount, lambda: amount / amount):
            with pytest.raises(ConfigurationError, match="multiplied"):
                wrong()


def test_a_value_in_a_statement_is_refused_as_it_is_in_a_row() -> None:
    with kept(Everything) as store:
        for name, value in (("total", Decimal("0.001")), ("name", "\0"), ("count", 2**63)):
            query = sa.select(store.table).where(store.table.c[name] == value)
            with pytest.raises(InvalidInput, match=name):
                store.connection.execute(query)


def test_a_literal_that_would_not_be_converted_is_refused() -> None:
    amount = RowLayout(Money).columns()[0]
    with pytest.raises(sa.exc.CompileError):
        (amount == Decimal("1.50")).compile(dialect=SQLITE, compile_kwargs={"literal_binds": True})


def test_a_missing_value_is_refused_by_the_database_too() -> None:
    with kept(Money) as store, pytest.raises(sa.exc.IntegrityError):
        store.connection.execute(store.table.insert().values(amount=None))


TRAPS = [
    pytest.param(Annotated[Decimal, Places(2)], Decimal("12345678901234567.89"), id="numeric"),
    pytest.param(Decimal, Decimal("12345678901234567.890"), id="bare-decimal"),
    pytest.param(list[int], [2**63 - 1, -(2**63)], id="json-affinity"),
    pytest.param(str, "007", id="text-affinity"),
    pytest.param(str, "1e5", id="text-looks-like-a-number"),
    pytest.param(UUID, UUID("00000000000000000000000000000123"), id="hex-looks-like-a-number"),
    pytest.param(UUID, UUID("1e100000000000000000000000000000"), id="hex-looks-like-a-float"),
    pytest.param(float, 0.1 + 0.2, id="float"),
    pytest.param(float, 1.0, id="whole-float"),
]


@pytest.mark.parametrize(("hint", "value"), TRAPS)
def test_sqlite_changes_no_value(hint: Any, value: object) -> None:
    row_type = of_one(hint)
    with kept(row_type) as store:
        store.put(row_type(value))
        (found,) = store.rows()
        assert found == row_type(value)
        assert type(found.value) is type(value)


def test_a_zone_is_not_dropped() -> None:
    with kept(Everything) as store:
        store.put(replace(EXAMPLE, shipped_at=datetime(2026, 6, 1, tzinfo=UTC)))
        (found,) = store.rows()
        assert found.shipped_at.tzinfo is UTC
