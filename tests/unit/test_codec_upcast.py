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
    assert events.decode_one(stored) == expected
    assert await events.decode([stored]) == [(stored, expected)]
    second = recorded("Opened.v2", OLD[:-1] + b',"currency":"USD"}')
    assert events.decode_one(second) == Opened(ID, Price(Decimal("1.50"), "USD"))


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
        events.decode_one(recorded("Opened", data))
    assert (stopped.value.type, stopped.value.path, stopped.value.position) == ("Opened", path, 7)


def test_an_upcaster_that_gives_no_json_is_named() -> None:
    family = Events(
        "order",
        Opened,
        names={Opened: "Opened.v2"},
        upcasters=[Upcast("Opened", "Opened.v2", change=lambda old: old | {"x": object()})],
    )
    with pytest.raises(UndecodableEvent) as stopped:
        family.decode_one(recorded("Opened", OLD))
    assert stopped.value.path == "upcaster Opened -> Opened.v2"


def test_an_upcaster_whose_result_does_not_fit_is_named_by_field() -> None:
    family = Events("order", Opened, upcasters=[Upcast("old", "Opened", change=dict)])
    with pytest.raises(UndecodableEvent) as stopped:
        family.decode_one(recorded("old", OLD))
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
