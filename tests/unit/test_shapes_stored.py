"""What was encoded decodes to an equal value, or is refused with its field named."""

import enum
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NewType, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pydantic
import pytest
from msgspec import Meta

from diptych.errors import InvalidInput, LimitExceeded
from diptych.shapes import json_codec

ID = UUID("12345678-1234-5678-1234-567812345678")
NOON = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)


class Colour(enum.Enum):
    RED = "red"


class Status(enum.StrEnum):
    OPEN = "open"


class Level(enum.IntEnum):
    HIGH = 3


@dataclass(frozen=True, slots=True)
class Item:
    name: str
    price: Decimal
    count: int = 1


@dataclass(frozen=True, slots=True)
class Card:
    number: str
    valid_to: date | None = None


@dataclass(frozen=True, slots=True)
class Transfer:
    iban: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Paid:
    payment: Card | Transfer
    earlier: tuple[Card | Transfer, ...] = ()
    by_name: dict[str, Card | Transfer] = field(default_factory=dict)
    card: Card | None = None


@dataclass(frozen=True, slots=True)
class Tree:
    name: str
    children: "tuple[Tree, ...]" = ()


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Box(Generic[T]):
    content: T
    spare: tuple[T, ...] = ()


class Struct(msgspec.Struct, frozen=True, rename="camel"):
    order_id: UUID
    sent_at: datetime


class Pump(msgspec.Struct, frozen=True, tag="pump"):
    power: int


class Valve(msgspec.Struct, frozen=True, tag="valve"):
    width: int


class Model(pydantic.BaseModel, frozen=True):
    order_id: UUID
    price: Decimal
    sent_at: datetime | None = None
    lines: tuple[int, ...] = ()
    text: str = ""
    raw: bytes = b""


Euros = NewType("Euros", Decimal)

VALUES: list[tuple[Any, Any]] = [
    (str, "Zoë \U0001f600 \\u0000"),
    (bool, True),
    (int, 2**63 - 1),
    (int, -(2**63)),
    (float, 1e-300),
    (float, 5e-324),
    (bytes, b"\x00\xff"),
    (UUID, ID),
    (Decimal, Decimal("10.500")),
    (Decimal, Decimal("-0.00")),
    (Decimal, Decimal("1E+5")),
    (Decimal, Decimal("12345678901234567890.12345678901234567890")),
    (datetime, NOON),
    (datetime, datetime.max.replace(tzinfo=UTC)),
    (date, date(1, 1, 1)),
    (time, time(23, 59, 59, 999999)),
    (timedelta, timedelta(days=-3, microseconds=5)),
    (timedelta, timedelta.max),
    (Colour, Colour.RED),
    (Status, Status.OPEN),
    (Level, Level.HIGH),
    (Literal["a", 1] | None, 1),
    (int | None, None),
    (int | str | None, "1"),
    (int | Decimal, Decimal("1.50")),
    (list[int], [1, 2]),
    (tuple[int, str], (1, "a")),
    (tuple[Item, ...], (Item("a", Decimal("1.0")),)),
    (frozenset[UUID], frozenset({ID})),
    (frozenset[Item], frozenset({Item("a", Decimal("1.0"))})),
    (set[str], {"a"}),
    (dict[str, Item], {"a": Item("a", Decimal("1.0"))}),
    (dict[UUID, int], {ID: 1}),
    (dict[int, str], {-1: "a"}),
    (dict[date, int], {date(2026, 1, 31): 1}),
    (dict[Status, int], {Status.OPEN: 1}),
    (dict[Level, int], {Level.HIGH: 1}),
    (Euros, Euros(Decimal("1.10"))),
    (Annotated[Decimal, "two places"], Decimal("1.10")),
    (Annotated[int, Meta(ge=1)], 1),
    (Item, Item("a", Decimal("1.10"), 2)),
    (Card | Transfer, Transfer("DE1", NOON)),
    (Paid, Paid(Card("1"), (Transfer("DE1", NOON), Card("2")), {"a": Card("3")}, Card("4"))),
    (Tree, Tree("a", (Tree("b", (Tree("c"),)), Tree("d")))),
    (Box[int], Box(1, (2, 3))),
    (Box[Card | Transfer], Box(Card("1"), (Transfer("DE1", NOON),))),
    (Struct, Struct(ID, NOON)),
    (Pump | Valve, Valve(3)),
    (Model, Model(order_id=ID, price=Decimal("1.10"), sent_at=NOON, lines=(1, 2))),
    (Box[Model | None], Box(Model(order_id=ID, price=Decimal("1.10")))),
]


@pytest.mark.parametrize(("tp", "value"), VALUES, ids=str)
def test_a_value_comes_back_equal_and_of_its_type(tp: Any, value: Any) -> None:
    codec = json_codec(tp)
    back = codec.decode(codec.encode(value))
    assert back == value
    assert type(back) is type(value)
    if "Model" not in repr(value):  # pydantic has a UTC of its own
        assert repr(back) == repr(value)


def test_decimals_keep_their_zeros() -> None:
    codec = json_codec(Decimal)
    assert str(codec.decode(codec.encode(Decimal("10.500")))) == "10.500"


@pytest.mark.parametrize(
    "zone",
    [
        ZoneInfo("America/New_York"),
        timezone(timedelta(hours=5, minutes=30)),
        timezone(timedelta(minutes=53, seconds=28)),
        timezone(timedelta(seconds=1)),
        timezone(timedelta(hours=-3)),
    ],
    ids=str,
)
def test_times_are_stored_as_the_same_instant_in_utc(zone: Any) -> None:
    sent = Struct(ID, NOON.astimezone(zone))
    data = json_codec(Struct).encode(sent)
    assert b'"sentAt":"2026-01-31T12:00:00.123456Z"' in data
    assert json_codec(Struct).decode(data) == sent


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (Item("a\0b", Decimal(1)), "name: must not contain the NUL character"),
        (Item("\ud800", Decimal(1)), "name: must be valid Unicode"),
        (Item("a", Decimal("NaN")), "price: must be a number"),
        (Item("a", Decimal("-Infinity")), "price: must be a number"),
        (Item("a", Decimal(1), 2**63), "count: must be at most 9223372036854775807"),
        (Item("a", Decimal(1), -(2**63) - 1), "count: must be at least -9223372036854775808"),
        (Item("a", Decimal(1), 2**100), "count: must be at most 9223372036854775807"),
        (Item("a", "1.0"), "price: must be a decimal number, not a string"),  # type: ignore[arg-type]
        (Item("a", 1.0), "price: must be a decimal number, not a number"),  # type: ignore[arg-type]
        (Item(None, Decimal(1)), "name: must be a string, not null"),  # type: ignore[arg-type]
        (Item("a", Decimal(1), True), "count: must be an integer, not true or false"),
        (Struct(ID, datetime(2026, 1, 31)), "sent_at: must have a time zone"),  # noqa: DTZ001
        (Struct(str(ID), NOON), "order_id: must be a UUID, not a string"),  # type: ignore[arg-type]
        (Paid(Transfer("a", datetime(2026, 1, 31))), "payment.at: must have"),  # noqa: DTZ001
        (Paid(Card("1"), (Card("a\0"),)), "earlier.0.number: must not contain the NUL"),
        (Paid(Card("1"), by_name={"k": Card("a\0")}), r"by_name.\*.number: must not contain"),
        (Paid(Card("1"), by_name={"k\0": Card("a")}), "by_name: must not contain the NUL"),
        (Paid(Item("a", Decimal(1))), r"payment.\$type: is required"),  # type: ignore[arg-type]
        (Box(float("nan")), "content: must be at least"),
        (Box(float("inf")), "content: must be at most"),
        (Model(order_id=ID, price=Decimal(1), text="a\0"), "text: must not contain the NUL"),
        (Model(order_id=ID, price=Decimal(1), raw=b"\xff"), "Model cannot be written as JSON"),
        (
            Model(order_id=ID, price=Decimal(1), sent_at=datetime(2026, 1, 31)),  # noqa: DTZ001
            "sent_at: must have a time zone",
        ),
        (time(12, tzinfo=UTC), "must not have a time zone"),
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=5))), "between the years 1 and 9999"),
    ],
    ids=str,
)
def test_what_cannot_be_stored_exactly_is_refused_by_name(value: Any, problem: str) -> None:
    tp = Box[float] if isinstance(value, Box) else type(value)
    with pytest.raises(InvalidInput, match=problem):
        json_codec(tp).encode(value)


def test_text_that_only_looks_suspect_is_stored() -> None:
    codec = json_codec(Item)
    for name in (r"\u0000", "NaN", "Infinity", "T12:00:00+01:00", "\\\\u0000"):
        item = Item(name, Decimal(1))
        assert codec.decode(codec.encode(item)) == item


def test_beside_suspect_text_every_other_value_is_stored_as_ever() -> None:
    codec = json_codec(tuple[str, Level, Decimal, bool, float])
    values = ("NaN", Level.HIGH, Decimal("1E+400"), True, 1e308)
    assert codec.decode(codec.encode(values)) == values


def test_a_limit_of_the_type_holds_for_what_is_stored() -> None:
    codec = json_codec(Annotated[str, Meta(max_length=3)])
    with pytest.raises(LimitExceeded) as refused:
        codec.encode("secret")
    assert (refused.value.limit, refused.value.unit) == (3, "characters")


def test_a_field_that_is_not_there_gets_its_default_and_an_unknown_one_is_passed_over() -> None:
    assert json_codec(Item).decode(b'{"name":"a","price":"1.0","old":1}') == Item(
        "a", Decimal("1.0")
    )
    paid = b'{"payment":{"$type":"Card","number":"1","old":1}}'
    assert json_codec(Paid).decode(paid) == Paid(Card("1"))


def test_a_class_that_joins_a_union_reads_what_was_stored_without_its_name() -> None:
    data = b'{"payment":{"$type":"Card","number":"1"},"card":{"number":"2"}}'
    assert json_codec(Paid).decode(data) == Paid(Card("1"), card=Card("2"))


def test_the_members_of_a_union_of_records_carry_their_class() -> None:
    data = json_codec(Paid).encode(Paid(Card("1")))
    assert b'"payment":{"$type":"Card","number":"1"' in data


def test_equal_sets_of_anything_have_one_canonical_form() -> None:
    codec = json_codec(frozenset[frozenset[Item]])
    one, two, three = (Item("a", Decimal(price)) for price in "123")
    value = frozenset({frozenset({one, two}), frozenset({three})})
    names = [
        [item["price"] for item in part] for part in msgspec.json.decode(codec.canonical(value))
    ]
    assert names == [["1", "2"], ["3"]]


def test_equal_sets_and_dicts_have_one_canonical_form() -> None:
    codec = json_codec(dict[str, frozenset[str]])
    one = codec.canonical({"b": frozenset("xyz"), "a": frozenset()})
    assert one == codec.canonical({"a": frozenset(), "b": frozenset("zyx")})
    assert one == b'{"a":[],"b":["x","y","z"]}'


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"", "value"),
        (b"{", "value"),
        (b"[]", "value"),
        (b'{"name":"a"}', "price"),
        (b'{"name":"a","price":"x"}', "price"),
        (b'{"name":"a","price":"1","count":"x"}', "count"),
        (b'{"name":"\xff","price":"1"}', "value"),
    ],
)
def test_stored_bytes_that_do_not_fit_are_refused_by_name(data: bytes, place: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        json_codec(Item).decode(data)
    assert refused.value.field == place


def test_a_model_that_changes_in_json_is_refused() -> None:
    class Shouting(pydantic.BaseModel):
        name: str

        @pydantic.field_serializer("name")
        def shout(self, name: str) -> str:
            return name.upper()

    with pytest.raises(InvalidInput, match="not equal to itself"):
        json_codec(Shouting).encode(Shouting(name="a"))


def test_a_model_inside_a_dataclass_is_refused_at_its_place() -> None:
    codec = json_codec(Box[Model])
    with pytest.raises(InvalidInput) as refused:
        codec.decode(b'{"content":{"order_id":"x","price":"1"},"spare":[]}')
    assert refused.value.field == "content.order_id"


def test_codecs_are_made_once() -> None:
    assert json_codec(Item) is json_codec(Item)
    assert json_codec(Annotated[int, ["not", "hashable"]]).decode(b"1") == 1
