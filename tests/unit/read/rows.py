"""A row with every kind of column, in the three ways to write one, and where it is kept."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, NewType
from uuid import UUID

import msgspec
import pydantic
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from diptych.read.columns import Places, RowLayout

SQLITE = sqlite.dialect()
POSTGRES = postgresql.dialect()

CustomerName = NewType("CustomerName", str)


class Status(Enum):
    OPEN = "open"
    SHIPPED = "shipped"


class Priority(IntEnum):
    LOW = 0
    HIGH = 1


@dataclass(frozen=True, slots=True)
class Item:
    product_id: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Everything:
    id: UUID
    name: CustomerName
    total: Annotated[Decimal, Places(2)]
    rate: Decimal
    created_at: datetime
    shipped_at: datetime | None
    took: timedelta
    due: date
    status: Status
    priority: Priority
    channel: Literal["web", "shop"]
    count: int
    paid: bool
    weight: float
    photo: bytes
    items: tuple[Item, ...]
    labels: list[str]
    note: str | None


EXAMPLE = Everything(
    id=UUID("6f0a9e1c-91a8-4d7e-9e63-0d2f9d6b2b11"),
    name=CustomerName("Zoë"),
    total=Decimal("12345678901234567.89"),
    rate=Decimal("1E-30"),
    created_at=datetime(2026, 11, 21, 9, 30, tzinfo=UTC),
    shipped_at=None,
    took=timedelta(days=-1, microseconds=1),
    due=date(2026, 12, 24),
    status=Status.SHIPPED,
    priority=Priority.LOW,
    channel="web",
    count=2**63 - 1,
    paid=True,
    weight=0.1,
    photo=b"\x00\xff",
    items=(Item("a", 1), Item("b", 2**62 + 1)),
    labels=["x", 'quoted "y"'],
    note="",
)


@dataclass(frozen=True)
class Money:
    amount: Annotated[Decimal, Places(2)]
    limit: Annotated[Decimal, Places(2)] | None = None


class MoneyStruct(msgspec.Struct, frozen=True):
    amount: Annotated[Decimal, Places(2)]
    limit: Annotated[Decimal, Places(2)] | None = None


class MoneyModel(pydantic.BaseModel, frozen=True):
    amount: Annotated[Decimal, Places(2)]
    limit: Annotated[Decimal, Places(2)] | None = None


class Kept:
    """Rows of one layout in a table of a SQLite database in memory."""

    def __init__(self, layout: RowLayout[Any], connection: sa.Connection) -> None:
        self.layout, self.connection = layout, connection
        self.table = sa.Table("kept", sa.MetaData(), *layout.columns())
        self.table.create(connection)

    def put(self, *rows: Any) -> None:
        """Past SQLAlchemy, as the projector does."""
        marks = ", ".join("?" * len(self.layout.names))
        values = [self.layout.values(row, SQLITE) for row in rows]
        self.connection.connection.executemany(f"INSERT INTO kept VALUES ({marks})", values)

    def raw(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(found) for found in self.connection.exec_driver_sql(sql)]

    def rows(self) -> list[Any]:
        found: Sequence[tuple[Any, ...]] = self.raw("SELECT * FROM kept ORDER BY rowid")
        return [self.layout.row(values, SQLITE) for values in found]


@contextmanager
def kept(row_type: type[Any]) -> Iterator[Kept]:
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        yield Kept(RowLayout(row_type), connection)
    engine.dispose()
