"""Messages of generated types and values: exact round trips, and an edge that only refuses."""

import enum
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, make_dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from datetime import time as daytime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diptych.errors import InvalidInput
from diptych.shapes import edge_decoder, json_codec
from tests.soak import SOAK


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclass(frozen=True, slots=True)
class Card:
    number: str
    valid_to: date | None = None


@dataclass(frozen=True, slots=True)
class Transfer:
    iban: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Tree:
    name: str
    children: "tuple[Tree, ...]" = ()


class Struct(msgspec.Struct, frozen=True, rename="camel"):
    line_count: int
    unit_price: Decimal


@dataclass(frozen=True, slots=True)
class Typed:
    """A type, and values of it."""

    type: Any
    values: st.SearchStrategy[Any]
    hashable: bool = True


TEXT = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=12)
INT64 = st.integers(-(2**63), 2**63 - 1)
ZONES = st.timedeltas(timedelta(hours=-14), timedelta(hours=14)).map(timezone) | st.just(UTC)
TIMES = st.datetimes(
    datetime(1, 1, 2),  # noqa: DTZ001
    datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=ZONES,
)
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False)
CARDS = st.builds(Card, TEXT, st.none() | st.dates())
TRANSFERS = st.builds(Transfer, TEXT, TIMES)
TREES = st.recursive(
    st.builds(Tree, TEXT),
    lambda inner: st.builds(Tree, TEXT, st.lists(inner, max_size=3).map(tuple)),
)

LEAVES = [
    Typed(str, TEXT),
    Typed(bool, st.booleans()),
    Typed(int, INT64),
    Typed(float, st.floats(allow_nan=False, allow_infinity=False)),
    Typed(bytes, st.binary(max_size=12)),
    Typed(UUID, st.uuids()),
    Typed(Decimal, DECIMALS),
    Typed(datetime, TIMES),
    Typed(date, st.dates()),
    Typed(daytime, st.times()),
    Typed(timedelta, st.timedeltas()),
    Typed(Colour, st.sampled_from(Colour)),
    Typed(Level, st.sampled_from(Level)),
    Typed(Card, CARDS),
    Typed(Card | Transfer, CARDS | TRANSFERS),
    Typed(Tree, TREES),
    Typed(Struct, st.builds(Struct, INT64, DECIMALS)),
]
KEYS = [
    Typed(str, TEXT),
    Typed(int, INT64),
    Typed(UUID, st.uuids()),
    Typed(date, st.dates()),
    Typed(Colour, st.sampled_from(Colour)),
    Typed(Level, st.sampled_from(Level)),
]


def containers(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    def fixed(parts: list[Typed]) -> Typed:
        types = tuple(part.type for part in parts)
        hashable = all(part.hashable for part in parts)
        return Typed(tuple[types], st.tuples(*(part.values for part in parts)), hashable)  # type: ignore[valid-type]

    makers: list[Callable[[Typed], Typed]] = [
        lambda t: Typed(list[t.type], st.lists(t.values, max_size=3), hashable=False),
        lambda t: Typed(tuple[t.type, ...], st.lists(t.values, max_size=3).map(tuple), t.hashable),
        lambda t: Typed(t.type | None, st.none() | t.values, t.hashable),
    ]
    plain = st.builds(lambda make, typed: make(typed), st.sampled_from(makers), inner)
    hashed = inner.filter(lambda typed: typed.hashable).map(
        lambda t: Typed(frozenset[t.type], st.frozensets(t.values, max_size=3))
    )
    mapped = st.builds(
        lambda key, t: Typed(
            dict[key.type, t.type],
            st.dictionaries(key.values, t.values, max_size=3),
            hashable=False,
        ),
        st.sampled_from(KEYS),
        inner,
    )
    return plain | hashed | mapped | st.lists(inner, min_size=1, max_size=3).map(fixed)


TYPES = st.recursive(st.sampled_from(LEAVES), containers, max_leaves=4)


@st.composite
def messages(draw: st.DrawFn) -> tuple[Any, Any]:
    """A type of message, a dataclass or a Struct, and one of that type."""
    typed = draw(st.lists(TYPES, min_size=1, max_size=4))
    fields = [(f"field_{index}", one.type) for index, one in enumerate(typed)]
    cls: Any
    if draw(st.booleans()):
        cls = make_dataclass("Message", fields, frozen=True, slots=draw(st.booleans()))
    else:
        cls = msgspec.defstruct("Message", fields, frozen=True)
    return cls, cls(*(draw(one.values) for one in typed))


many = settings(
    max_examples=100 * SOAK, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@given(messages())
@many
def test_what_was_encoded_decodes_to_the_same(message: tuple[Any, Any]) -> None:
    tp, value = message
    codec = json_codec(tp)
    data = codec.encode(value)
    back = codec.decode(data)
    assert back == value
    assert codec.canonical(back) == codec.canonical(value)  # decimals with all of their zeros
    json.loads(data, parse_constant=refuse)


@given(messages())
@many
def test_the_edge_takes_what_storage_wrote_or_refuses_it_by_name(message: tuple[Any, Any]) -> None:
    tp, value = message
    outcome = at_edge(tp, json_codec(tp).encode(value))
    if isinstance(outcome, InvalidInput):  # a decimal with an exponent, or with many digits
        assert "decimal" in outcome.problem or "30 characters" in outcome.problem
    else:
        assert outcome == value


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["2026-01-31T12:00:00Z", "1.5", "P1D", "a\0", "red", "Card", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["field_0", "field_1", "$type", "number", "name", "a\0"])
            | st.text(max_size=4),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(messages(), JSON)
@many
def test_the_edge_refuses_any_json_with_nothing_but_invalid_input(
    message: tuple[Any, Any], body: Any
) -> None:
    takes_or_refuses(message[0], json.dumps(body).encode())
    takes_or_refuses(message[0], json.dumps({"field_0": body}).encode())


@given(messages(), st.data())
@many
def test_the_edge_refuses_any_bytes_with_nothing_but_invalid_input(
    message: tuple[Any, Any], data: st.DataObject
) -> None:
    tp, value = message
    takes_or_refuses(tp, data.draw(st.binary(max_size=40)))
    sound = json_codec(tp).encode(value)
    at = data.draw(st.integers(0, len(sound)))
    piece = data.draw(
        st.binary(max_size=3) | st.sampled_from([b"null", b"[", b"}", b'"', b"\\u0000"])
    )
    takes_or_refuses(tp, sound[:at] + piece + sound[at + data.draw(st.integers(0, 3)) :])


def at_edge(tp: Any, body: bytes) -> Any:
    """The value, or the one error that may be raised."""
    try:
        return edge_decoder(tp).decode(body)
    except InvalidInput as refused:
        return refused


def takes_or_refuses(tp: Any, body: bytes) -> None:
    outcome = at_edge(tp, body)
    if isinstance(outcome, InvalidInput):
        assert outcome.field
        assert len(str(outcome)) < 400
    else:
        json_codec(tp).encode(outcome)


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


@given(
    st.dictionaries(st.sampled_from(["field_0", "x"]), st.text() | st.lists(st.text())),
    messages(),
)
@many
def test_the_edge_refuses_any_text_with_nothing_but_invalid_input(
    values: dict[str, Any], message: tuple[Any, Any]
) -> None:
    with suppress(InvalidInput):
        edge_decoder(message[0]).decode_text(values, extra=values)
