"""What stored events look like, and that samples of a shape are read by the type it is of."""

import random
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Literal, NewType
from uuid import UUID

import msgspec
import pytest
from pydantic import BaseModel, Field

from diptych.errors import ConfigurationError
from diptych.evolution.samples import sample
from diptych.evolution.shape import shape_of
from diptych.shapes import json_codec


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Size(IntEnum):
    SMALL = 1
    LARGE = 2


Name = NewType("Name", str)


@dataclass(frozen=True)
class Item:
    price: Decimal
    note: str = ""


@dataclass(frozen=True)
class Card:
    number: str


@dataclass(frozen=True)
class Cash:
    amount: Decimal
    change: Decimal | None = None


@dataclass(frozen=True)
class Tree:
    name: str
    children: tuple["Tree", ...] = ()


@dataclass(frozen=True)
class Everything:
    a_uuid: UUID
    a_moment: datetime
    a_date: date
    a_time: time
    a_duration: timedelta
    a_number: float
    a_flag: bool
    a_name: Name
    some_bytes: bytes
    either: int | str | None
    colour: Colour
    size: Size
    kind: Literal["a", "b"]
    items: tuple[Item, ...]
    pair: tuple[Item, int]
    by_name: dict[str, Item]
    tags: frozenset[str]
    paid: Card | Cash
    item: Item | None = None
    few: Annotated[int, msgspec.Meta(ge=1, lt=10)] = 1
    lists: list[list[int]] = field(default_factory=list)
    tree: Tree | None = None


EVERYTHING = {
    "a_uuid": "uuid",
    "a_moment": "datetime",
    "a_date": "date",
    "a_time": "time",
    "a_duration": "duration",
    "a_number": "number",
    "a_flag": "boolean",
    "a_name": "text",
    "some_bytes": "bytes",
    "either": "integer | null | text",
    "colour": "'blue' | 'red'",
    "size": "1 | 2",
    "kind": "'a' | 'b'",
    "items": "list",
    "items[]": "object",
    "items[].price": "decimal",
    "items[].note": "text, optional",
    "pair": "list of 2",
    "pair[0]": "object",
    "pair[0].price": "decimal",
    "pair[0].note": "text, optional",
    "pair[1]": "integer",
    "by_name": "map from text",
    "by_name{}": "object",
    "by_name{}.price": "decimal",
    "by_name{}.note": "text, optional",
    "tags": "list",
    "tags[]": "text",
    "paid": "object",
    "paid<Card>.number": "text",
    "paid<Cash>.amount": "decimal",
    "paid<Cash>.change": "decimal | null, optional",
    "item": "null | object, optional",
    "item.price": "decimal",
    "item.note": "text, optional",
    "few": "integer {ge=1, lt=10}, optional",
    "lists": "list, optional",
    "lists[]": "list",
    "lists[][]": "integer",
    "tree": "null | object, optional",
    "tree.name": "text",
    "tree.children": "list, optional",
    "tree.children[]": "object as at tree",
}


class Struct(msgspec.Struct, rename="camel"):
    order_id: UUID
    first_item: Item


class Inner(BaseModel):
    name: str


class Model(BaseModel):
    order: int = Field(alias="orderId")
    inner: Inner
    many: list[Inner] = []
    colour: Colour = Colour.RED
    maybe: str | None = None
    short: str = Field(default="", max_length=5)


def test_a_shape_has_a_line_for_each_field() -> None:
    assert shape_of(Everything) == EVERYTHING


def test_a_shape_has_the_names_that_are_stored() -> None:
    assert list(shape_of(Struct)) == ["orderId", "firstItem", "firstItem.price", "firstItem.note"]


def test_a_pydantic_model_has_a_shape() -> None:
    assert shape_of(Model) == {
        "orderId": "integer",
        "inner": "object",
        "inner.name": "text",
        "many": "list, optional",
        "many[]": "object",
        "many[].name": "text",
        "colour": "'blue' | 'red', optional",
        "maybe": "null | text, optional",
        "short": "text {maxLength=5}, optional",
    }


@pytest.mark.parametrize("tp", [Everything, Struct, Tree, Cash], ids=lambda tp: tp.__name__)
def test_samples_of_a_shape_are_read_and_come_back(tp: type) -> None:
    shape, codec, chance = shape_of(tp), json_codec(tp), random.Random(1)
    for _ in range(300):
        event = codec.decode(msgspec.json.encode(sample(shape, chance)))
        assert codec.decode(codec.encode(event)) == event


def test_the_same_seed_makes_the_same_samples() -> None:
    first, second = ([sample(EVERYTHING, random.Random(7)) for _ in range(5)] for _ in range(2))
    assert first == second


def test_what_cannot_be_made_up_is_asked_for() -> None:
    for kind in ("text {pattern='[a-z]+'}", "integer {multiple_of=3}", "something else"):
        with pytest.raises(ConfigurationError, match="for code: give samples of your own"):
            sample({"code": kind}, random.Random(1))
