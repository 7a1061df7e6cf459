"""`check_upcasters` finds what is not read, not read alike, or does not come back."""

from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from diptych.codec import Events
from diptych.errors import ConfigurationError
from diptych.evolution.schema import write
from diptych.testing import check_upcasters
from diptych.upcast import Upcast


@dataclass(frozen=True)
class Paid:
    order: str
    cents: int


@dataclass(frozen=True)
class Shipped:
    order: str


@dataclass(frozen=True)
class Positive:
    cents: int

    def __post_init__(self) -> None:
        if self.cents < 1:
            raise ValueError("too few")


OLD = {
    "order": {
        "Bought": {"order": "text", "euros": "integer {ge=0, le=1000}", "note": "text, optional"}
    }
}
_numbers = count()


def in_cents(old: dict[str, Any]) -> dict[str, Any]:
    return {"order": old["order"], "cents": 100 * old["euros"]}


def split(old: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [("Paid", in_cents(old)), ("Shipped", {"order": old["order"]})]


def family(*upcasters: Upcast, **options: Any) -> Events[Any]:
    return Events("order", Paid, Shipped, upcasters=upcasters, **options)


@pytest.mark.parametrize(
    "sound",
    [
        family(Upcast("Bought", "Paid", change=in_cents)),
        family(Upcast("Bought", ("Paid", "Shipped"), change=split)),
        family(Upcast("Bought", ())),
        family(ignore=["Bought"]),
    ],
)
def test_sound_upcasters_pass(sound: Events[Any]) -> None:
    check_upcasters(sound, schema=OLD)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda old: {"order": old["order"], "cents": 100 * old["cents"]}, "Bought -> Paid"),
        (lambda old: {"order": old["order"]}, "cents"),
        (lambda old: {"order": old["note"], "cents": 1}, "Bought -> Paid"),
        (lambda old: {"order": old["order"], "cents": next(_numbers)}, "not pure"),
        (lambda old: {"order": old["order"], "cents": old["euros"] * 1.5}, "cents"),
    ],
)
def test_an_upcaster_that_is_wrong_for_some_event_is_found(change: Any, says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        check_upcasters(family(Upcast("Bought", "Paid", change=change)), schema=OLD)


def test_a_stored_name_without_an_upcaster_is_found() -> None:
    with pytest.raises(AssertionError, match="no event type 'Bought'"):
        check_upcasters(family(), schema=OLD)


def test_a_type_that_changed_without_a_new_name_is_found() -> None:
    changed = {"order": {"Paid": {"order": "text", "amount": "integer"}}}
    with pytest.raises(AssertionError, match="cents"):
        check_upcasters(family(), schema=changed)


def test_samples_may_be_given_where_a_type_wants_more_than_its_fields_say() -> None:
    strict = Events("order", Positive)
    with pytest.raises(AssertionError, match="Positive"):
        check_upcasters(strict, schema={})
    check_upcasters(strict, schema={}, given={"Positive": [{"cents": 1}]})
    with pytest.raises(AssertionError, match="Positive"):
        check_upcasters(strict, schema={}, given={"Positive": [{"cents": 1}, {"cents": 0}]})


def test_the_schema_is_read_from_its_file(tmp_path: Path) -> None:
    write(tmp_path / "events.json", OLD)
    with pytest.raises(AssertionError, match="Bought"):
        check_upcasters(family(), schema=tmp_path / "events.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ConfigurationError):
        check_upcasters(family(), schema=str(tmp_path / "broken.json"))


def test_the_events_that_fail_are_shown_and_the_same_each_time() -> None:
    broken = family(Upcast("Bought", "Paid", change=lambda old: {"order": old["note"]}))
    said = []
    for _ in range(2):
        with pytest.raises(AssertionError) as caught:
            check_upcasters(broken, schema=OLD)
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert 'stored: {"order":' in said[0]
