"""Old stored shapes are read as the types of today, by one way for all readers."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from diptych.codec import Events
from diptych.errors import ConfigurationError, UndecodableEvent
from diptych.messages import RecordedEvent
from diptych.upcast import Upcast

ID = UUID("12345678-1234-5678-1234-567812345678")
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Price:
    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class Opened:
    order_id: UUID
    price: Price


def with_currency(old: dict[str, Any]) -> dict[str, Any]:
    return old | {"currency": "EUR"}


def nested(old: dict[str, Any]) -> dict[str, Any]:
    price = Price(Decimal(old.pop("amount")), old.pop("currency"))
    return {"order_id": UUID(old["order_id"]), "price": price}


events = Events(
    "order",
    Opened,
    names={Opened: "Opened.v3"},
    upcasters=[
        Upcast("Opened.v2", "Opened.v3", change=nested),
        Upcast("Opened", "Opened.v2", change=with_currency),
    ],
)


def recorded(type: str, data: bytes) -> RecordedEvent:  # noqa: A002
    return RecordedEvent(7, "", "order-1", 1, ID, type, data, b"{}", NOON, None, ())


OLD = b'{"order_id":"12345678-1234-5678-1234-567812345678","amount":"1.50"}'


async def test_an_old_shape_goes_through_the_whole_chain() -> None:
    expected = Opened(ID, Price(Decimal("1.50"), "EUR"))
    stored = recorded("Opened", OLD)
    assert events.decode_all(stored) == (expected,)
    assert await events.decode([stored]) == [(stored, expected)]
    second = recorded("Opened.v2", OLD[:-1] + b',"currency":"USD"}')
    assert events.decode_all(second) == (Opened(ID, Price(Decimal("1.50"), "USD")),)


def test_new_events_are_stored_in_the_newest_shape() -> None:
    event = Opened(ID, Price(Decimal("1.50"), "EUR"))
    assert events.encode(event, event_id=ID).type == "Opened.v3"


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (b"{", "value"),
        (b'{"order_id":"12345678-1234-5678-1234-567812345678"}', "upcaster Opened.v2 -> Opened.v3"),
        (b"[]", "upcaster Opened -> Opened.v2"),
    ],
)
def test_what_an_upcaster_cannot_change_is_named(data: bytes, path: str) -> None:
    with pytest.raises(UndecodableEvent) as stopped:
        events.decode_all(recorded("Opened", data))
    assert (stopped.value.type, stopped.value.path, stopped.value.position) == ("Opened", path, 7)


def test_an_upcaster_that_gives_no_json_is_named() -> None:
    family = Events(
        "order",
        Opened,
        names={Opened: "Opened.v2"},
        upcasters=[Upcast("Opened", "Opened.v2", change=lambda old: old | {"x": object()})],
    )
    with pytest.raises(UndecodableEvent) as stopped:
        family.decode_all(recorded("Opened", OLD))
    assert stopped.value.path == "upcaster Opened -> Opened.v2"


def test_an_upcaster_whose_result_does_not_fit_is_named_by_field() -> None:
    family = Events("order", Opened, upcasters=[Upcast("old", "Opened", change=dict)])
    with pytest.raises(UndecodableEvent) as stopped:
        family.decode_all(recorded("old", OLD))
    assert stopped.value.path == "price"


def chain(*pairs: tuple[str, str]) -> list[Upcast]:
    return [Upcast(old, new, change=dict) for old, new in pairs]


@pytest.mark.parametrize(
    ("upcasters", "problem"),
    [
        (chain(("Opened", "v2")), "begins at 'Opened', which is the stored name.*Opened.v2"),
        (chain(("v0", "v1")), "leads to 'v1', which no type has; write names="),
        (chain(("v0", "v1"), ("v1", "v0")), "go round in a circle"),
        (chain(("v0", "v0")), "go round in a circle"),
        (chain(("v0", "Opened"), ("v0", "Opened")), "two upcasters begin at 'v0'; keep one"),
    ],
    ids=str,
)
def test_upcasters_that_make_no_sense_say_what_to_write(
    upcasters: list[Upcast], problem: str
) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        Events("order", Opened, upcasters=upcasters)


def test_a_name_cannot_be_both_ignored_and_changed() -> None:
    with pytest.raises(ConfigurationError, match="both ignores and reads 'v0'"):
        Events("order", Opened, upcasters=chain(("v0", "Opened")), ignore=["v0"])


# To several events, to none, to another name


@dataclass(frozen=True, slots=True)
class Paid:
    order_id: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shipped:
    order_id: str
    notes: tuple[str, ...] = ()


def split(old: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    both = [("Paid.v1", old), ("Shipped", old)]
    return both[: old.get("parts", 2)]


def noted(old: dict[str, Any]) -> dict[str, Any]:
    old["notes"].append("paid")
    return old


several = Events(
    "order",
    Paid,
    Shipped,
    upcasters=[
        Upcast("PaidAndShipped", ("Paid.v1", "Shipped"), change=split),
        Upcast("Paid.v1", "Paid", change=noted),
        Upcast("Settled", "PaidAndShipped"),
        Upcast("Sent", "Shipped"),
        Upcast("Touched", ()),
        Upcast("Poked", "Touched"),
    ],
)
BOTH = b'{"order_id":"1","notes":[]}'


@pytest.mark.parametrize("name", ["PaidAndShipped", "Settled"])
async def test_an_event_that_became_several_comes_with_each_of_them_in_order(name: str) -> None:
    stored, after = recorded(name, BOTH), recorded("Sent", BOTH)
    assert several.decode_all(stored) == (Paid("1", ("paid",)), Shipped("1"))
    pairs = await several.decode([stored, after])
    assert pairs == [(stored, Paid("1", ("paid",))), (stored, Shipped("1")), (after, Shipped("1"))]
    assert pairs[0][0] is pairs[1][0]


@pytest.mark.parametrize(("parts", "count"), [(0, 0), (1, 1), (2, 2)])
async def test_as_many_come_as_there_are(parts: int, count: int) -> None:
    stored = recorded("PaidAndShipped", b'{"order_id":"1","notes":[],"parts":%d}' % parts)
    assert len(several.decode_all(stored)) == len(await several.decode([stored])) == count


@pytest.mark.parametrize("name", ["Touched", "Poked"])
async def test_an_event_that_means_nothing_any_more_is_left_out(name: str) -> None:
    stored = recorded(name, b"not even JSON")
    assert several.decode_all(stored) == ()
    assert await several.decode([stored]) == []


def test_a_family_says_whether_some_events_stand_for_nothing() -> None:
    assert several.skips
    assert Events("order", Paid, ignore=["Sent"]).skips
    assert not Events("order", Shipped, upcasters=[Upcast("Sent", "Shipped")]).skips


def test_an_event_that_only_has_another_name_is_read_as_it_is() -> None:
    assert several.decode_all(recorded("Sent", BOTH)) == (Shipped("1"),)
    assert events.decode_all(recorded("Opened.v2", OLD[:-1] + b',"currency":"USD"}'))


def generates(old: dict[str, Any]) -> Any:
    yield "Paid", old
    yield "Shipped", old["missing"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda old: None, ""),
        (lambda old: old, "pairs"),
        (lambda old: [("Paid", None)], "object"),
        (lambda old: ["Paid"], "pairs"),
        (lambda old: [("Closed", old)], "'Closed', which it does not declare"),
        (lambda old: [("Paid", {"order_id": object()})], ""),
        (lambda old: [("Paid", {"order_id": "\ud800"})], ""),
        (generates, ""),
    ],
)
def test_an_upcaster_that_splits_wrongly_is_named(change: Any, problem: str) -> None:
    family = Events(
        "order", Paid, Shipped, upcasters=[Upcast("Both", ("Paid", "Shipped"), change=change)]
    )
    with pytest.raises(UndecodableEvent) as stopped:
        family.decode_all(recorded("Both", BOTH))
    assert (stopped.value.path, stopped.value.position) == ("upcaster Both -> Paid, Shipped", 7)
    assert problem in str(stopped.value.__cause__)


def test_an_upcaster_that_gives_no_object_is_named() -> None:
    family = Events("order", Paid, upcasters=[Upcast("Old", "Paid", change=lambda old: None)])  # type: ignore[arg-type, return-value]
    with pytest.raises(UndecodableEvent, match="upcaster Old -> Paid"):
        family.decode_all(recorded("Old", BOTH))


@pytest.mark.parametrize(
    ("upcasters", "problem"),
    [
        ([Upcast("A", ("Paid", "B"), change=split)], "leads to 'B', which no type has"),
        ([Upcast("A", ("Paid", "A"), change=split)], "go round in a circle"),
        (
            [Upcast("A", ("B", "Paid"), change=split), Upcast("B", ("Paid", "A"), change=split)],
            "go round in a circle",
        ),
        ([Upcast("Paid", ())], "begins at 'Paid'"),
    ],
)
def test_ways_that_lead_nowhere_are_refused(upcasters: list[Upcast], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        Events("order", Paid, Shipped, upcasters=upcasters)


def test_several_names_need_somebody_who_chooses() -> None:
    with pytest.raises(ConfigurationError, match="give it change="):
        Upcast("A", ("B", "C"))


def test_what_is_dropped_cannot_be_ignored_too() -> None:
    with pytest.raises(ConfigurationError, match="both ignores and reads 'Touched'"):
        Events("order", Paid, upcasters=[Upcast("Touched", ())], ignore=["Touched"])


async def test_an_old_event_among_many_lets_none_of_them_be_decoded_twice() -> None:
    made: list[int] = []

    @dataclass
    class Counted:
        number: int

        def __post_init__(self) -> None:
            made.append(self.number)

    family = Events(
        "order", Counted, names={Counted: "Counted.v2"}, upcasters=[Upcast("Counted", "Counted.v2")]
    )
    numbers = list(range(10))
    types = ["Counted" if number == 8 else "Counted.v2" for number in numbers]
    batch = [recorded(types[number], b'{"number":%d}' % number) for number in numbers]
    assert [event.number for _, event in await family.decode(batch)] == numbers
    assert made == numbers
