"""A rule with a bit of everything, whose fingerprint must be the same wherever it is made."""

from __future__ import annotations

import enum
import functools
import math
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, TypeVar

from diptych.rules.fingerprint import fingerprint

VAT = Decimal("0.19")
GRACE = timedelta(days=3)
START = datetime(2026, 1, 1, tzinfo=UTC)
RATES = {"de": (VAT, 1), "fr": (Decimal("0.20"), 2)}
WORDS = {"free", "gift", "none"}
Money = Annotated[Decimal, "EUR"]
CustomerId = NewType("CustomerId", str)
T = TypeVar("T")


class Status(enum.StrEnum):
    OPEN = enum.auto()
    SHIPPED = "shipped"

    @property
    def final(self) -> bool:
        return self in FINAL


FINAL = {Status.SHIPPED}


class Right(enum.Flag):
    READ = 1
    WRITE = 2


class Point(NamedTuple):
    x: int
    y: int = 0

    def moved(self, by: int) -> Point:
        return self._replace(x=self.x + by)


@dataclass(frozen=True)
class Base(Generic[T]):
    id: int
    value: T

    def label(self) -> str:
        return f"{self.id:>{math.floor(4.5)}}-{self.value!r}{{}}"


@dataclass(frozen=True, slots=True)
class Row(Base[Any]):
    total: Money = VAT
    kind: Literal["a", "b"] = "a"
    status: Status | None = None
    customer: CustomerId | None = None
    tags: list[str] = field(default_factory=list)

    def label(self) -> str:
        return super(Row, self).label() + "é\U0001fae8"

    @staticmethod
    def empty() -> Row:
        return Row(0, None)

    @classmethod
    def of(cls, total: Decimal) -> Row:
        return cls(1, None, total=total)


@dataclass(frozen=True, slots=True)
class Discount:
    percent: int

    def __call__(self, total: Decimal) -> Decimal:
        return total * (100 - self.percent) / 100


DISCOUNT = Discount(5)


def traced(function: Callable[..., T]) -> Callable[..., T]:
    @functools.wraps(function)
    def traced_call(*args: Any, **kwargs: Any) -> T:
        return function(*args, **kwargs)

    return traced_call


@traced
def taxed(total: Decimal, *, country: str = "de") -> Decimal:
    return total * (1 + RATES[country][0])


@functools.singledispatch
def shown(value: object) -> str:
    return str(value)


@shown.register
def _(value: int) -> str:
    return f"{value:,}"


@functools.lru_cache
def cached(n: int) -> int:
    return n if n < 2 else cached(n - 1) + even(n)


def even(n: int) -> int:
    return n % 2 == 0 or odd(n - 1)


def odd(n: int) -> int:
    return n % 2 == 1 or even(n - 1)


@contextmanager
def noted() -> Any:
    yield Point(1, 2).moved(3)


def limited(limit: int) -> Callable[[int], int]:
    def inner(n: int) -> int:
        return min(n, limit) if n else inner(limit)

    return inner


LIMITED = limited(9)
HALVED = functools.partial(max, 0.5)


def project(row: Row | None, event: Any, recorded: object) -> Row | None:
    """What it does is of no importance."""
    total: Decimal = sum((DISCOUNT(taxed(x.total)) for x in event.items), Decimal())
    match event:
        case Row(id=number, status=Status.OPEN) if number > cached(3):
            return Row.of(total) if event.at > START + GRACE else Row.empty()
        case {"kind": "a" | "b" as kind} if kind not in WORDS:
            return row
        case [first, *_] if (n := LIMITED(len(first))) and not -n < HALVED(shown(n)):
            with noted() as point:
                return None if Right.READ | Right.WRITE else point
    return row


def main() -> str:
    return fingerprint(project, Row, Right.READ | Right.WRITE, ("key", 3, 0.1, b"\x00", None))


if __name__ == "__main__":
    print(main())
