"""A type that cannot be stored exactly is refused when it is declared, and the message helps."""

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

import msgspec
import pydantic
import pytest
from msgspec import Meta

from diptych.errors import ConfigurationError
from diptych.shapes import edge_decoder, json_codec

T = TypeVar("T")


class Mixed(enum.Enum):
    NUMBER = 1
    TEXT = "one"


class Permission(enum.Flag):
    READ = 1


class Point(NamedTuple):
    x: int


class Open:
    pass


class Array(msgspec.Struct, array_like=True):
    x: int


class Model(pydantic.BaseModel):
    x: int


@dataclass
class Box(Generic[T]):
    content: T


@dataclass
class Item:
    x: int


OtherItem = dataclass(type("Item", (), {"__annotations__": {"x": int}}))


def holder(tp: Any) -> Any:
    """A dataclass with a list of dataclasses with a field of the type."""
    inner = dataclass(type("Inner", (), {"__annotations__": {"field": tp}}))
    return dataclass(type("Outer", (), {"__annotations__": {"lines": list[inner]}}))


@pytest.mark.parametrize(
    ("tp", "problem"),
    [
        (Any, "Any cannot be stored exactly; write one exact type"),
        (object, "object cannot be stored exactly; write one exact type"),
        (Open, "Open cannot be stored exactly; write one exact type"),
        (type, "type cannot be stored exactly; write one exact type"),
        (complex, "complex cannot be stored exactly"),
        (Point, "Point cannot be stored exactly"),
        (Permission, "Permission cannot be stored exactly"),
        (Callable[[], int], "Callable.* cannot be stored exactly"),
        (list, "list cannot be stored exactly; write what it holds"),
        (tuple[()], "cannot be stored exactly; write what it holds"),
        (dict, "dict cannot be stored exactly; write what it holds"),
        (list[Any], "Any cannot be stored exactly"),
        (int | Open, "Open cannot be stored exactly"),
        (Sequence[int], r"Sequence\[int\] cannot be stored exactly; write tuple"),
        (Mapping[str, int], r"Mapping\[str, int\] cannot be stored exactly; write dict"),
        (dict[float, int], "float cannot be the key of a JSON object; write str"),
        (dict[tuple[int, int], int], "cannot be the key of a JSON object; write str"),
        (Mixed, "Enums must contain either all str or all int values"),
        (Literal[Mixed.NUMBER], "Literal may only contain"),
        (str | bytes, "Type unions may not contain more than one str-like type"),
        (list[int] | tuple[int, ...], "Type unions may not contain more than one array-like"),
        (dict[str, int] | Item, "Type unions may not contain more than one dict-like"),
        (Model | int, "Type unions containing a custom type may not contain any additional"),
        (Item | OtherItem, "two classes of this union have the same name"),
        (Annotated[str, Meta(ge=1)], "Can only set `ge` on a numeric type"),
        (Annotated[Decimal, Meta(ge=1)], "Can only set `ge` on a numeric type"),
        (Annotated[int, Meta(ge=1), Meta(ge=2)], "Multiple `Meta` annotations setting `ge`"),
        (Array, "stored events are JSON objects; leave out array_like=True"),
        (Box, "T cannot be stored exactly"),
    ],
    ids=str,
)
def test_it_is_refused_with_the_path_of_its_field(tp: Any, problem: str) -> None:
    outer = holder(tp)
    for make in (json_codec, edge_decoder):
        with pytest.raises(ConfigurationError, match=f"^Outer.lines.field.*: .*{problem}"):
            make(outer)


def test_a_type_that_is_not_found_says_where() -> None:
    with pytest.raises(ConfigurationError, match=r"Outer.lines: .*Nowhere.*write the types"):
        json_codec(holder("Nowhere"))


def test_a_field_that_the_constructor_does_not_take_is_refused() -> None:
    @dataclass
    class Computed:
        x: int
        twice: int = field(init=False, default=0)

    with pytest.raises(ConfigurationError, match=r"Computed.twice: .*write a property"):
        json_codec(Computed)


def test_a_constructor_argument_that_is_not_kept_is_refused() -> None:
    @dataclass
    class Made:
        x: int
        y: InitVar[int]

    with pytest.raises(ConfigurationError, match=r"Made.* cannot be stored: .*InitVar"):
        json_codec(Made)


def test_metadata_of_others_is_passed_over() -> None:
    tp = Annotated[datetime | None, "anything", {"not": "hashable"}, Meta(description="when")]
    assert json_codec(tp).decode(b"null") is None
    assert edge_decoder(holder(tp)).decode(b'{"lines":[{"field":null}]}')
