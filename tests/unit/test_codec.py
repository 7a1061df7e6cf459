"""A family of events: stored names, decoding, and what is refused when it is declared."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pydantic
import pytest

from diptych.codec import Events
from diptych.errors import (
    ConfigurationError,
    InvalidInput,
    LimitExceeded,
    UndecodableEvent,
    UnknownEventType,
)
from diptych.messages import RecordedEvent

ID = UUID("12345678-1234-5678-1234-567812345678")
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Opened:
    order_id: UUID
    total: Decimal
    note: str = ""


class Shipped(msgspec.Struct, frozen=True):
    order_id: UUID


class Closed(pydantic.BaseModel, frozen=True):
    order_id: UUID
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Picky:
    number: int

    def __post_init__(self) -> None:
        if self.number == 13:
            raise KeyError("a class may do anything when it is made")


events = Events("order", Opened, Shipped, Closed, Picky, ignore=["Noted"])


def recorded(type: str, data: bytes, *, position: int = 7) -> RecordedEvent:  # noqa: A002
    return RecordedEvent(position, "", "order-1", 1, ID, type, data, b"{}", NOON, None, ())


@pytest.mark.parametrize(
    "event",
    [Opened(ID, Decimal("1.50")), Shipped(ID), Closed(order_id=ID, reason="late"), Picky(1)],
    ids=str,
)
async def test_an_event_comes_back_under_the_name_of_its_class(event: Any) -> None:
    data = events.encode(event, event_id=ID)
    assert data.type == type(event).__name__
    assert (data.event_id, data.tags, data.occurred_at) == (ID, (), None)
    stored = recorded(data.type, data.data)
    assert events.decode_all(stored) == (event,)
    assert await events.decode([stored]) == [(stored, event)]


def test_a_stored_name_may_differ_from_the_class() -> None:
    family = Events("order", Opened, names={Opened: "opened.v2"})
    data = family.encode(Opened(ID, Decimal(1)), event_id=ID)
    assert data.type == "opened.v2"
    assert family.decode_all(recorded("opened.v2", data.data)) == (Opened(ID, Decimal(1)),)
    with pytest.raises(UnknownEventType):
        family.decode_all(recorded("Opened", data.data))


def test_an_import_says_when_its_events_occurred() -> None:
    at = NOON.astimezone(timezone(timedelta(hours=2)))
    data = events.encode(Shipped(ID), event_id=ID, occurred_at=at)
    assert data.occurred_at == NOON
    assert data.occurred_at.tzinfo is UTC
    with pytest.raises(InvalidInput, match="occurred_at: must have a time zone"):
        events.encode(Shipped(ID), event_id=ID, occurred_at=NOON.replace(tzinfo=None))


def test_tags_come_from_the_event_each_once() -> None:
    def tags(event: Opened | Shipped) -> list[str]:
        return [f"order:{event.order_id}", "all", "all"]

    family = Events("order", Opened, Shipped, tags=tags)
    assert family.encode(Shipped(ID), event_id=ID).tags == (f"order:{ID}", "all")


async def test_ignored_events_are_left_out() -> None:
    batch = [
        recorded("Noted", b"junk"),
        recorded("Shipped", b'{"order_id":"%s"}' % str(ID).encode()),
    ]
    assert await events.decode(batch) == [(batch[1], Shipped(ID))]
    assert events.decode_all(batch[0]) == ()


def test_an_unknown_type_is_named_with_its_position() -> None:
    for name in ("Nothing", "builtins.eval", "os.system", "__class__"):
        with pytest.raises(UnknownEventType) as stopped:
            events.decode_all(recorded(name, b"{}"))
        error = stopped.value
        assert (error.type, error.category, error.position) == (name, "order", 7)


@pytest.mark.parametrize(
    ("type", "data", "path"),
    [
        ("Opened", b"", "value"),
        ("Opened", b'{"order_id":"secret","total":"1"}', "order_id"),
        ("Opened", b'{"total":"1"}', "order_id"),
        ("Closed", b'{"order_id":"secret"}', "order_id"),
        ("Picky", b'{"number":13}', "value"),
    ],
)
def test_an_event_that_does_not_fit_is_named_without_its_content(
    type: str,  # noqa: A002
    data: bytes,
    path: str,
) -> None:
    with pytest.raises(UndecodableEvent) as stopped:
        events.decode_all(recorded(type, data))
    assert (stopped.value.type, stopped.value.path, stopped.value.position) == (type, path, 7)
    assert "secret" not in str(stopped.value)


def test_an_event_of_another_type_is_refused() -> None:
    @dataclass(frozen=True)
    class Other:
        order_id: UUID

    with pytest.raises(ConfigurationError, match=r"write Events\('order', ..., Other\)"):
        events.encode(Other(ID), event_id=ID)


def test_an_event_that_cannot_be_stored_is_refused_by_its_field() -> None:
    with pytest.raises(InvalidInput, match="note: must not contain the NUL character"):
        events.encode(Opened(ID, Decimal(1), "a\0"), event_id=ID)
    with pytest.raises(InvalidInput, match="total: must be a decimal number, not a number"):
        events.encode(Opened(ID, 1.5), event_id=ID)  # type: ignore[arg-type]


def test_an_event_over_one_megabyte_is_refused() -> None:
    frame = len(events.encode(Opened(ID, Decimal(1)), event_id=ID).data)
    events.encode(Opened(ID, Decimal(1), "x" * (1_000_000 - frame)), event_id=ID)
    with pytest.raises(LimitExceeded) as refused:
        events.encode(Opened(ID, Decimal(1), "x" * (1_000_001 - frame)), event_id=ID)
    assert refused.value.limit == 1_000_000


@pytest.mark.parametrize(
    ("declare", "problem"),
    [
        (lambda: Events("", Opened), "category '' must not be empty"),
        (lambda: Events("my-order", Opened), "contains '-'.*write 'my_order'"),
        (lambda: Events("order\n", Opened), "must be printable"),
        (lambda: Events("order"), r"write the event types: Events\('order', OrderCreated"),
        (lambda: Events("order", Opened, Opened), "Opened is twice"),
        (lambda: Events("order", Opened | Shipped), "one by one"),  # type: ignore[call-overload]
        (lambda: Events("order", int), "is not an event type; write dataclasses"),
        (lambda: Events("order", Opened, names={Shipped: "x"}), "not among its types; add it"),
        (lambda: Events("order", Opened, names={Opened: ""}), "stored name '' must not be empty"),
        (
            lambda: Events("order", Opened, Shipped, names={Shipped: "Opened"}),
            "Opened and Shipped are both stored as 'Opened'; write names={Shipped: \"another",
        ),
        (lambda: Events("order", Opened, ignore=["Opened"]), "both ignores and reads 'Opened'"),
    ],
)
def test_a_family_that_makes_no_sense_says_what_to_write(declare: Any, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        declare()


def test_a_type_that_cannot_be_stored_is_refused_when_the_family_is_declared() -> None:
    @dataclass(frozen=True)
    class Loose:
        anything: Any

    with pytest.raises(ConfigurationError, match=r"Loose.anything: Any cannot be stored"):
        Events("order", Loose)
