"""Any row that fits comes back equal from SQLite, and sorts there as it does in Python."""

import sqlite3
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.schema import CreateTable

from diptych.read.columns import RowLayout
from tests.soak import SOAK
from tests.unit.read.rows import POSTGRES, SQLITE, Everything, Item, Priority, Status

LAYOUT = RowLayout(Everything)
TABLE = sa.Table("kept", sa.MetaData(), *LAYOUT.columns())
PUT = f"INSERT INTO kept VALUES ({', '.join('?' * len(LAYOUT.names))})"

int64 = st.integers(-(2**63), 2**63 - 1)
text = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
zones = st.timedeltas(timedelta(hours=-14), timedelta(hours=14)).map(timezone) | st.just(UTC)
times = st.datetimes(
    datetime(2, 1, 1),  # noqa: DTZ001
    datetime(9998, 12, 31),  # noqa: DTZ001
    timezones=zones,
)
rows = st.builds(
    Everything,
    id=st.uuids(),
    name=text,
    total=st.integers(-(2**63) + 1, 2**63 - 1).map(lambda n: Decimal((n < 0, digits(n), -2))),
    rate=st.decimals(allow_nan=False, allow_infinity=False),
    created_at=times,
    shipped_at=st.none() | times,
    took=int64.map(lambda n: timedelta(microseconds=n)),
    due=st.dates(),
    status=st.sampled_from(Status),
    priority=st.sampled_from(Priority),
    channel=st.sampled_from(["web", "shop"]),
    count=int64,
    paid=st.booleans(),
    weight=st.floats(allow_nan=False),
    photo=st.binary(),
    items=st.lists(st.builds(Item, text, int64)).map(tuple),
    labels=st.lists(text),
    note=st.none() | text,
)


def digits(number: int) -> tuple[int, ...]:
    return tuple(map(int, str(abs(number))))


@given(st.lists(rows, max_size=5))
@settings(deadline=None, max_examples=100 * SOAK)
def test_any_rows_come_back_equal_from_sqlite(given_rows: list[Everything]) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute(str(CreateTable(TABLE).compile(dialect=SQLITE)))
    connection.executemany(PUT, [LAYOUT.values(row, SQLITE) for row in given_rows])
    found = connection.execute("SELECT * FROM kept ORDER BY rowid").fetchall()
    connection.close()
    assert [LAYOUT.row(values, SQLITE) for values in found] == given_rows


@given(rows)
@settings(deadline=None, max_examples=50 * SOAK)
def test_any_row_comes_back_equal_from_the_values_for_postgresql(row: Everything) -> None:
    assert LAYOUT.row(LAYOUT.values(row, POSTGRES), POSTGRES) == row


@given(st.lists(rows, min_size=2, max_size=6))
@settings(deadline=None, max_examples=50 * SOAK)
def test_driver_values_sort_as_the_values_do(given_rows: list[Everything]) -> None:
    for name in ("id", "total", "created_at", "took", "due", "count", "weight"):
        values = sorted(getattr(row, name) for row in given_rows)
        written = [LAYOUT.value(name, value, SQLITE) for value in values]
        assert written == sorted(written)
