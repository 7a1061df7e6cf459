"""What `--json` prints, and what a terminal is never sent."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from uuid import UUID

import msgspec
import pytest

from diptych.cli.plain import as_line, printable


class Text(str):
    """As SQLAlchemy's names are."""

    __slots__ = ()


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True)
class Inner:
    at: datetime
    left: timedelta | None


@dataclass(frozen=True)
class Outer:
    id: UUID
    inner: tuple[Inner, ...]
    colour: Colour
    name: str
    money: Decimal
    lag: timedelta


def test_results_become_json() -> None:
    inner = Inner(datetime(2026, 1, 2, tzinfo=UTC), None)
    outer = Outer(
        UUID(int=1), (inner,), Colour.RED, Text("a"), Decimal("1.50"), timedelta(seconds=1.5)
    )
    assert json.loads(as_line({"outer": outer, "raw": msgspec.Raw(b'{"big": 1e400}')})) == {
        "outer": {
            "id": str(UUID(int=1)),
            "inner": [{"at": "2026-01-02T00:00:00+00:00", "left_seconds": None}],
            "colour": "red",
            "name": "a",
            "money": "1.50",
            "lag_seconds": 1.5,
        },
        "raw": {"big": float("inf")},
    }


@pytest.mark.parametrize("text", ["\x1b[2J", "\x9b31m", "\u202e", "\U000e0001", "a\rb", "\x00"])
def test_a_terminal_is_not_sent_what_it_would_obey(text: str) -> None:
    assert printable(text).isprintable()
    line = as_line({"text": text})
    assert line.isprintable()
    assert json.loads(line) == {"text": text}


def test_text_stays_as_it_is() -> None:
    assert printable("Zürich 東京 🎈\n\tx") == "Zürich 東京 🎈\n\tx"
