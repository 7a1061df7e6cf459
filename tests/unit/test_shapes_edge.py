"""What strangers send is decoded strictly, or refused with its field and limit named."""

import enum
import time
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

import msgspec
import pydantic
import pytest
from msgspec import Meta

from diptych import Shown
from diptych.errors import InvalidInput, LimitExceeded, Rejected
from diptych.shapes import edge_decoder

ID = UUID("12345678-1234-5678-1234-567812345678")


class Status(enum.StrEnum):
    OPEN = "open"
    SHIPPED = "shipped"


@dataclass(frozen=True, slots=True)
class Item:
    product: str
    price: Decimal
    quantity: Annotated[int, Meta(ge=1)] = 1


@dataclass(frozen=True, slots=True)
class Card:
    number: str


@dataclass(frozen=True, slots=True)
class Cash:
    currency: Annotated[str, Meta(max_length=3)] = "EUR"


@dataclass(frozen=True, slots=True)
class Create:
    """Create an order."""

    order_id: UUID
    items: Annotated[tuple[Item, ...], Meta(max_length=3)]
    status: Status = Status.OPEN
    due: date | None = None
    at: datetime | None = None
    weights: dict[str, float] = field(default_factory=dict)
    size: Literal["s", "m"] | None = None
    payment: Card | Cash = Cash()


@dataclass(frozen=True, slots=True)
class Search:
    customer: UUID
    text: str | None = None
    page: Annotated[int, Meta(ge=1)] = 1
    open_only: bool = False
    status: tuple[Status, ...] = ()
    after: datetime | None = None


@dataclass(frozen=True, slots=True)
class Positive:
    number: int

    def __post_init__(self) -> None:
        if self.number < 0:
            raise ValueError(f"{self.number} is my secret")
        if self.number == 0:
            raise Rejected("not zero")


class Note(msgspec.Struct, frozen=True, rename="camel"):
    note_text: str


class Model(pydantic.BaseModel, frozen=True):
    order_id: UUID
    count: int = pydantic.Field(default=1, ge=1)
    inner: "Inner | None" = None
    at: datetime | None = None


class Inner(pydantic.BaseModel, frozen=True):
    name: str


@dataclass(frozen=True, slots=True)
class Holder:
    models: tuple[Model, ...]


def create(rest: str = "", items: str = "[]") -> bytes:
    return f'{{"order_id":"{ID}","items":{items}{rest}}}'.encode()


def item(rest: str) -> bytes:
    return create(items=f'[{{"product":"a","price":"1.00"}},{{{rest}}}]')


def test_a_body_becomes_a_command() -> None:
    body = item('"product":"b","price":"2.50","quantity":2')
    decoded = edge_decoder(Create).decode(body)
    assert decoded == Create(ID, (Item("a", Decimal("1.00")), Item("b", Decimal("2.50"), 2)))
    assert str(decoded.items[1].price) == "2.50"


def test_a_choice_is_made_by_type() -> None:
    body = create(',"payment":{"$type":"Card","number":"1"}')
    assert edge_decoder(Create).decode(body).payment == Card("1")


def test_times_become_utc() -> None:
    decoded = edge_decoder(Create).decode(create(',"at":"2026-01-31T12:00:00+05:30"'))
    assert decoded.at == datetime(2026, 1, 31, 6, 30, tzinfo=UTC)
    assert decoded.at.tzinfo is UTC


@pytest.mark.parametrize(
    ("body", "place", "problem"),
    [
        (b"", "body", "is empty; it must be JSON"),
        (b" ", "body", "is not complete JSON"),
        (b'{"order_id"', "body", "is not complete JSON"),
        (create() + b"x", "body", "is not valid JSON at byte"),
        (create() + create(), "body", "is not valid JSON at byte"),
        (b"\xef\xbb\xbf" + create(), "body", "is not valid JSON at byte 0"),
        (create().decode().encode("utf-16"), "body", "is not valid JSON at byte 0"),
        (b"[]", "body", "must be an object, not a list"),
        (b"null", "body", "must be an object, not null"),
        (b"{}", "order_id", "is required"),
        (create(',"user_id":"me"'), "user_id", "is not a known field"),
        (create(',"a\\u0000\\nb":"me"'), "body", "has a field that is not known"),
        (create(f',"{"k" * 70}":1'), "body", "has a field that is not known"),
        (item('"price":"1"'), "items.1.product", "is required"),
        (item('"product":1,"price":"1"'), "items.1.product", "must be a string, not an integer"),
        (item('"product":"a\\u0000","price":"1"'), "items.1.product", "must not contain the NUL"),
        (item('"product":"a\0","price":"1"'), "body", "is not valid JSON at byte"),
        (item('"product":"\\ud800","price":"1"'), "body", "is not valid JSON at byte"),
        (item('"product":"\\udc00\\ud800","price":"1"'), "body", "is not valid JSON at byte"),
        (item('"product":"XX","price":"1"').replace(b"XX", b"\xff"), "body", "must be valid"),
        (item('"product":"XX","price":"1"').replace(b"XX", b"\xc0\x80"), "body", "valid Unicode"),
        (item('"product":"a","price":1'), "items.1.price", "must be a decimal number as a string"),
        (item('"product":"a","price":1.5'), "items.1.price", 'a string, such as "12.50"'),
        (item('"product":"a","price":"NaN"'), "items.1.price", "must be a decimal number"),
        (item('"product":"a","price":"1e1000000"'), "items.1.price", "must be a decimal number"),
        (item('"product":"a","price":" 1"'), "items.1.price", "must be a decimal number"),
        (item('"product":"a","price":"1\\n"'), "items.1.price", "must be a decimal number"),
        (item('"product":"a","price":"1_0"'), "items.1.price", "must be a decimal number"),
        (item('"product":"a","price":"\u0661"'), "items.1.price", "must be a decimal number"),
        (item(f'"product":"a","price":"{"1" * 31}"'), "items.1.price", "at most 30 characters"),
        (item('"product":"a","price":"1","quantity":0'), "items.1.quantity", "must be at least 1"),
        (item('"product":"a","price":"1","quantity":1.0'), "items.1.quantity", "an integer, not"),
        (item('"product":"a","price":"1","quantity":true'), "items.1.quantity", "not true"),
        (item('"product":"a","price":"1","quantity":"1"'), "items.1.quantity", "not a string"),
        (item('"product":"a","price":"1","quantity":null'), "items.1.quantity", "not null"),
        (item(f'"product":"a","price":"1","quantity":{2**63}'), "items.1.quantity", "at most 9"),
        (item(f'"product":"a","price":"1","quantity":{"9" * 5000}'), "items.1.quantity", "beyond"),
        (item('"product":"a","price":"1","price":"2"'), "price", "is given twice"),
        (item('"product":"a","price":"1","pri\\u0063e":"2"'), "price", "is given twice"),
        (create(items='[{"product":"a","price":"1"}' + ',{"product":"a","price":"1"}' * 3 + "]"),
         "items", "at most 3 items"),
        (create(',"status":"secret"'), "status", "must be one of open, shipped"),
        (create(',"status":1'), "status", "must be a string, not an integer"),
        (create(',"size":"secret"'), "size", "must be one of s, m"),
        (create(',"due":"secret"'), "due", "must be a date such as 2026-01-31"),
        (create(',"at":"2026-01-31T12:00:00"'), "at", "must have a time zone, such as a final Z"),
        (create(',"at":"10000-01-01T00:00:00Z"'), "at", "must be a date and time such as"),
        (create(',"at":"0001-01-01T00:00:00+05:00"'), "at", "between the years 1 and 9999"),
        (create(',"at":5'), "at", "must be a date and time such as 2026-01-31T12:00:00Z or null"),
        (create(',"weights":{"secret":"secret"}'), "weights.*", "must be a number, not a string"),
        (create(',"weights":{"a":NaN}'), "body", "is not valid JSON at byte"),
        (create(',"weights":{"a":Infinity}'), "body", "is not valid JSON at byte"),
        (create(',"weights":{"a":-Infinity}'), "body", "is not valid JSON at byte"),
        (create(',"weights":{"a":1e400}'), "weights.*", "beyond the range"),
        (create(',"weights":{"a\\u0000":1}'), "weights", "must not contain the NUL character"),
        (create(',"weights":{"a":1,"a":2}'), "a", "is given twice"),
        (create(',"weights":{"a\\n":1,"a\\n":2}'), "body", "is given twice"),
        (create(',"payment":{"number":"1"}'), "payment.$type", "is required"),
        (create(',"payment":{"$type":"Gold"}'), "payment.$type", "must be one of Card, Cash"),
        (create(',"payment":{"$type":"Cash","currency":"secret"}'), "payment.currency", "at most"),
        (f'{{"order_id":"{{{ID}}}"}}'.encode(), "order_id", "must be a UUID"),
        (create(',"order_id":"../secret"'), "order_id", "must be a UUID"),
    ],
)  # fmt: skip
def test_a_bad_body_is_refused_with_its_field_and_limit(
    body: bytes, place: str, problem: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        edge_decoder(Create).decode(body)
    assert refused.value.field == place
    assert problem in refused.value.problem
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 65 + b"]" * 65,
        b'"\\"[\\\\",' + b"[" * 65,
        create(items="[" * 100_000 + "]" * 100_000),
    ],
    ids=len,
)
def test_deep_nesting_is_refused_before_it_is_parsed(body: bytes) -> None:
    started = time.perf_counter()
    with pytest.raises(LimitExceeded, match="at most 64 levels of nesting"):
        edge_decoder(Create).decode(body)
    assert time.perf_counter() - started < 0.5


MANY_KEYS = ",".join(f'"k{number}":1' for number in range(80_000))
LARGE = [
    create(f',"weights":{{{MANY_KEYS},"k79999":1}}'),
    create(f',"weights":{{{MANY_KEYS}}},"x":1'),
    create(f',"{"k" * 1_000_000}":1'),
    create(',"' + " - at `$" * 120_000 + '":1'),
    create(f',"status":"{"s" * 1_000_000}"'),
    create(',"weights":{"a":' + "9" * 1_000_000 + "}"),
    item(f'"product":"a","price":"{"1" * 1_000_000}"'),
    b'"' * 1_000_000,
    b'{"' + b'\\"' * 500_000,
    b"[]," * 330_000,
    b" " * 1_000_000,
    b"\xff" * 1_000_000,
    create(items="[" + "{}," * 300_000 + "{}]"),
]


@pytest.mark.parametrize("body", LARGE, ids=lambda body: str(body[:80]))
def test_large_bodies_are_refused_in_time_that_grows_with_their_size(body: bytes) -> None:
    started = time.process_time()
    with pytest.raises(InvalidInput) as refused:
        edge_decoder(Create).decode(body)
    assert time.process_time() - started < 1
    assert len(str(refused.value)) < 200


def test_a_million_combining_marks_are_text() -> None:
    text = "\u0301" * 1_000_000
    body = item(f'"product":"{text}","price":"1"')
    assert edge_decoder(Create).decode(body).items[1].product == text


def test_brackets_that_do_not_nest_are_not_counted() -> None:
    text = "[[[[{{{{" * 100 + r"\"" + "\\\\"
    items = ",".join('{"product":"a","price":"1"}' for _ in range(100))
    with pytest.raises(LimitExceeded, match="items: at most 3 items"):
        edge_decoder(Create).decode(create(items=f"[{items}]"))
    body = create(items=f'[{{"product":"{text}","price":"1"}}]')
    assert edge_decoder(Create).decode(body).items[0].product == "[[[[{{{{" * 100 + '"\\'


def test_values_from_the_path_are_converted_and_merged() -> None:
    decoder = edge_decoder(Search)
    assert decoder.decode(b"", extra={"customer": str(ID)}) == Search(ID)
    assert decoder.decode(b"{}", extra={"customer": ID, "page": "2"}) == Search(ID, page=2)
    body = b' { "text" : "a" } '
    assert decoder.decode(body, extra={"customer": str(ID)}) == Search(ID, "a")
    same = f'{{"customer":"{str(ID).upper()}"}}'.encode()
    assert decoder.decode(same, extra={"customer": str(ID)}) == Search(ID)


@pytest.mark.parametrize(
    ("body", "extra", "place", "problem"),
    [
        (b"{}", {"customer": "secret"}, "customer", "must be a UUID"),
        (b"{}", {"customer": ID, "page": "0"}, "page", "must be at least 1"),
        (b"{}", {"customer": ID, "page": "secret"}, "page", "must be an integer, not a string"),
        (b"{}", {"customer": ID, "page": "1.5"}, "page", "must be an integer, not a string"),
        (b"{}", {"customer": ID, "after": "5"}, "after", "must be a date and time such as"),
        (b"{}", {"customer": ID, "text": "a\0"}, "text", "must not contain the NUL character"),
        (b"{}", {"customer": ID, "text": "\ud800"}, "text", "must be valid Unicode"),
        (b"{}", {"customer": ID, "status": ["x"]}, "status.0", "must be one of open, shipped"),
        (b"{}", {"customer": ID, "other": "x"}, "other", "is not a known field"),
        (b"{}", {}, "customer", "is required"),
        (b"[]", {"customer": ID}, "body", "must be an object"),
        (b'{"a"', {"customer": ID}, "body", "is not complete JSON"),
        (f'{{"customer":"{UUID(int=1)}"}}'.encode(), {"customer": ID}, "customer", "contradicts"),
        (b'{"customer":"secret"}', {"customer": ID}, "customer", "must be a UUID"),
        (
            f'{{"customer":"{ID}","customer":"{ID}"}}'.encode(),
            {"customer": ID},
            "customer",
            "twice",
        ),
    ],
)
def test_bad_values_from_the_path_are_refused(
    body: bytes, extra: dict[str, object], place: str, problem: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        edge_decoder(Search).decode(body, extra=extra)
    assert refused.value.field == place
    assert problem in refused.value.problem
    assert "secret" not in str(refused.value)


def test_a_query_string_becomes_a_query() -> None:
    values = {
        "text": "null",
        "page": "3",
        "open_only": "true",
        "status": ["open", "shipped"],
        "after": "2026-01-31T12:00:00Z",
    }
    assert edge_decoder(Search).decode_text(values, extra={"customer": str(ID)}) == Search(
        ID,
        text="null",
        page=3,
        open_only=True,
        status=(Status.OPEN, Status.SHIPPED),
        after=datetime(2026, 1, 31, 12, tzinfo=UTC),
    )


def test_a_query_string_must_not_contradict_the_path() -> None:
    decoder = edge_decoder(Search)
    assert decoder.decode_text({"customer": str(ID)}, extra={"customer": str(ID)}) == Search(ID)
    with pytest.raises(InvalidInput, match="customer: contradicts"):
        decoder.decode_text({"customer": str(UUID(int=1))}, extra={"customer": str(ID)})


def test_the_check_of_a_class_refuses_without_repeating_the_value() -> None:
    with pytest.raises(InvalidInput, match="is refused by the check of its own type") as refused:
        edge_decoder(Positive).decode(b'{"number":-1}')
    assert "secret" not in str(refused.value)
    with pytest.raises(Rejected, match="not zero"):
        edge_decoder(Positive).decode(b'{"number":0}')


def test_structs_are_read_under_their_json_names() -> None:
    assert edge_decoder(Note).decode(b'{"noteText":"a"}') == Note("a")
    with pytest.raises(InvalidInput, match="note_text: is not a known field"):
        edge_decoder(Note).decode(b'{"note_text":"a"}')


def test_models_are_held_to_the_same_rules() -> None:
    decoder = edge_decoder(Model)
    assert decoder.decode(b'{"count":2}', extra={"order_id": str(ID)}) == Model(
        order_id=ID, count=2
    )
    assert decoder.decode_text({"order_id": str(ID), "count": "2"}).count == 2


@pytest.mark.parametrize(
    ("rest", "place", "problem"),
    [
        ("", "order_id", "is required"),
        ('"order_id":"secret"', "order_id", "is refused by its model: uuid parsing"),
        (f'"order_id":"{ID}","x":1', "x", "is not a known field"),
        (f'"order_id":"{ID}","count":"1"', "count", "is refused by its model: int type"),
        (f'"order_id":"{ID}","count":0', "count", "is refused by its model: greater than equal"),
        (f'"order_id":"{ID}","inner":{{"name":"a","x":1}}', "inner.x", "is not a known field"),
        (f'"order_id":"{ID}","inner":{{"name":"a\\u0000"}}', "inner.name", "NUL"),
        (f'"order_id":"{ID}","at":"2026-01-31T12:00:00"', "at", "must have a time zone"),
        (f'"order_id":"{ID}","order_id":"{ID}"', "order_id", "is given twice"),
    ],
)
def test_a_bad_model_is_refused(rest: str, place: str, problem: str) -> None:
    for tp, before, after in ((Model, "", ""), (Holder, '{"models":[', "]}")):
        with pytest.raises(InvalidInput) as refused:
            edge_decoder(tp).decode(f"{before}{{{rest}}}{after}".encode())
        assert refused.value.field.removeprefix("models.0.") == place
        assert problem in refused.value.problem
        assert "secret" not in str(refused.value)


def test_the_schema_says_what_is_accepted() -> None:
    whole, components = edge_decoder(Create).schema(exclude=["order_id"])
    assert whole == {"$ref": "#/components/schemas/Create"}
    created = components["Create"]
    assert created["description"] == "Create an order."
    assert created["additionalProperties"] is False
    assert created["required"] == ["items"]
    assert "order_id" not in created["properties"]
    price = components["Item"]["properties"]["price"]
    assert (price["type"], price["format"]) == ("string", "decimal")
    assert components["Item"]["properties"]["quantity"]["minimum"] == 1
    assert created["properties"]["payment"]["anyOf"][0] == {"$ref": "#/components/schemas/Card"}


Short = Annotated[str, Meta(max_length=5), Shown(max_length=3)]


@dataclass(frozen=True)
class Telling:
    """Fields that tell limits which are checked elsewhere."""

    count: Annotated[int, Shown(minimum=1)]
    price: Annotated[Decimal, Shown(pattern="^1$")]
    items: Annotated[
        tuple[Annotated[str, Meta(max_length=5), Shown(max_length=3)], ...], Shown(max_items=2)
    ] = ()


def test_what_is_shown_is_told_and_not_checked() -> None:
    _, components = edge_decoder(Telling).schema()
    told = components["Telling"]["properties"]
    assert (told["count"]["minimum"], told["count"]["maximum"]) == (1, 2**63 - 1)
    assert (told["price"]["pattern"], told["price"]["maxLength"]) == ("^1$", 30)
    assert told["items"]["items"] == {"type": "string", "maxLength": 3}
    assert told["items"]["maxItems"] == 2
    value = edge_decoder(Telling).decode(b'{"count": 0, "price": "2", "items": ["abcd"]}')
    assert value == Telling(0, Decimal(2), ("abcd",))
    with pytest.raises(LimitExceeded):
        edge_decoder(Telling).decode(b'{"count": 0, "price": "2", "items": ["abcdef"]}')


def test_the_schema_of_a_model_is_its_own() -> None:
    whole, components = edge_decoder(Model).schema(ref_template="#/x/{name}", exclude=["order_id"])
    assert (whole["additionalProperties"], whole["required"]) == (False, [])
    assert whole["properties"]["inner"]["anyOf"][0] == {"$ref": "#/x/Inner"}
    assert components["Inner"]["required"] == ["name"]


def test_decoders_are_made_once() -> None:
    assert edge_decoder(Create) is edge_decoder(Create)
