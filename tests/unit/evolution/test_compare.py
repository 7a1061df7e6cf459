"""What breaks stored events is found, with the line to write; what does not is let through."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from diptych.codec import Events
from diptych.errors import ConfigurationError
from diptych.evolution.compare import Finding, compare, merged, problems_of
from diptych.evolution.schema import FORMAT, Schema, read, schema_of, write
from diptych.evolution.shape import Shape
from diptych.upcast import Upcast


@dataclass(frozen=True)
class Item:
    product: str
    price: int


@dataclass(frozen=True)
class Opened:
    order_id: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Closed:
    order_id: str
    reason: str = ""


@dataclass(frozen=True)
class OnlyId:
    order_id: str


@dataclass(frozen=True)
class WantsMore:
    order_id: str
    customer: str


order_events = Events("order", Opened, Closed)
TODAY = schema_of([order_events])


def same(data: dict[str, Any]) -> dict[str, Any]:
    return data


def earlier(name: str = "Opened", **changes: str | None) -> Schema:
    """Today's shapes, as if fields had been otherwise before; None: they were not there."""
    fields = {key.replace("__", "[]."): kind for key, kind in changes.items()}
    shape = {**TODAY["order"][name], **fields}
    before = {key: kind for key, kind in shape.items() if kind is not None}
    return {"order": {**TODAY["order"], name: before}}


def only(schema: Schema, *families: Events[Any]) -> Finding:
    (found,) = compare(schema, families or [order_events])
    return found


def test_nothing_is_found_where_nothing_changed() -> None:
    assert compare(TODAY, [order_events]) == []


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        (earlier(customer="text"), "customer was removed"),
        (earlier(customer="text, optional"), "customer was removed"),
        (earlier(order_id=None), "order_id is newly required"),
        (earlier(order_id="text, optional"), "order_id is newly required"),
        (earlier(order_id="integer"), "order_id was integer and is text"),
        (earlier(order_id="null | text"), "order_id was null | text and is text"),
        (earlier(order_id=None, id="text"), "id was renamed to order_id"),
        (earlier(items__price="decimal"), "items[].price was decimal and is integer"),
        (
            earlier(items__price=None, items__cost="integer"),
            "items[].cost was renamed to items[].price",
        ),
        (earlier(items__weight="integer"), "items[].weight was removed"),
        (earlier("Closed", reason="integer, optional"), "reason was integer and is text"),
    ],
)
def test_what_breaks_is_named_with_the_line_to_write(schema: Schema, problem: str) -> None:
    found = only(schema)
    assert found.breaks
    assert found.problems == (problem,)
    assert found.write == (
        f'Events("order", …) with names={{{found.type}: "{found.type}.v2"}} and'
        f' upcasters=[Upcast("{found.type}", "{found.type}.v2", change=…)]'
    )


def test_the_line_to_write_counts_on() -> None:
    family = Events("order", Opened, Closed, names={Opened: "Opened.v9"})
    shapes = TODAY["order"]
    old = {"order": {"Opened.v9": {**shapes["Opened"], "more": "text"}, "Closed": shapes["Closed"]}}
    assert '"Opened.v9", "Opened.v10"' in only(old, family).write


def test_a_container_that_is_gone_is_one_problem() -> None:
    assert list(problems_of({"a": "list", "a[]": "object", "a[].b": "text"}, {})) == [
        "a was removed"
    ]
    assert list(problems_of({}, {"a": "list", "a[]": "object", "a[].b": "text"})) == [
        "a is newly required"
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({}, {"a": "text, optional"}),
        ({}, {"a": "object, optional", "a.b": "text"}),
        ({}, {"a": "list, optional", "a[]": "integer"}),
        ({"a": "text"}, {"a": "text, optional"}),
        ({"a": "text"}, {"a": "null | text"}),
        ({"a": "'x' | 'y'"}, {"a": "'x' | 'y' | 'z'"}),
        ({"a": "integer {ge=1}"}, {"a": "integer"}),
        ({"a": "text"}, {"a": "object | text", "a.b": "integer"}),
        ({"a": "object", "a.b": "text"}, {"a": "object", "a.b": "text", "a.c": "text, optional"}),
    ],
)
def test_a_shape_may_grow(old: Shape, new: Shape) -> None:
    assert list(problems_of(old, new)) == []
    assert list(problems_of(new, new)) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"a": "'x' | 'y'"}, {"a": "'x'"}),
        ({"a": "integer"}, {"a": "integer {ge=1}"}),
        ({"a": "list", "a[]": "integer"}, {"a": "list", "a[]": "text"}),
        ({"a": "list"}, {"a": "list of 2"}),
        ({"a": "object", "a.b": "text"}, {"a": "object", "a.b": "text", "a.c": "text"}),
        ({"a": "object", "a.b": "text"}, {"a": "null | object"}),
    ],
)
def test_a_shape_may_not_shrink_or_turn_into_another(old: Shape, new: Shape) -> None:
    assert len(list(problems_of(old, new))) == 1


# Names


def test_a_stored_name_that_nobody_reads_breaks() -> None:
    found = only({"order": {**TODAY["order"], "Made": {"order_id": "text"}}})
    assert (found.type, found.breaks) == ("Made", True)
    assert 'Upcast("Made", ()) to drop it' in found.write


@pytest.mark.parametrize(
    "options",
    [
        {"upcasters": [Upcast("Made", "Opened", change=same)]},
        {"upcasters": [Upcast("Made", ("Opened", "Closed"), change=lambda old: [])]},
        {"upcasters": [Upcast("Made", ())]},
        {"ignore": ["Made"]},
    ],
)
def test_a_stored_name_that_is_read_or_ignored_on_purpose_is_in_order(
    options: dict[str, Any],
) -> None:
    schema = {"order": {**TODAY["order"], "Made": {"order_id": "text"}}}
    assert compare(schema, [Events("order", Opened, Closed, **options)]) == []


def test_every_family_of_a_category_has_to_read_what_was_stored() -> None:
    found = only(TODAY, order_events, Events("order", Opened))
    assert (found.type, found.breaks) == ("Closed", True)
    ignoring = Events("order", Opened, ignore=["Closed"])
    assert compare(TODAY, [order_events, ignoring]) == []


def test_another_family_may_pass_over_fields_but_not_want_more() -> None:
    reads = Events("order", OnlyId, Closed, names={OnlyId: "Opened"})
    assert compare(TODAY, [order_events, reads]) == []
    wants = Events("order", WantsMore, Closed, names={WantsMore: "Opened"})
    found = only(TODAY, order_events, wants)
    assert found.problems == ("customer is newly required, in WantsMore",)


def test_a_category_that_nobody_has_breaks() -> None:
    found = only({**TODAY, "cart": {"Filled": {}}})
    assert (found.category, found.type, found.breaks) == ("cart", "Filled", True)


def test_what_is_new_has_to_be_written_and_breaks_nothing() -> None:
    found = compare({}, [order_events])
    assert [(each.type, each.breaks) for each in found] == [("Closed", False), ("Opened", False)]
    assert {each.write for each in found} == {"diptych check --write"}
    grown = only(earlier("Closed", reason=None))
    assert (grown.problems, grown.breaks) == (("it may hold more than before",), False)


# The file


def test_writing_adds_what_is_new_and_keeps_what_is_old_or_broken(tmp_path: Path) -> None:
    path = tmp_path / "events.json"
    old = earlier(order_id="integer")
    old = {"order": {"Opened": old["order"]["Opened"], "Made": {"a": "text"}}, "cart": {"F": {}}}
    write(path, merged(old, [order_events], compare(old, [order_events])))
    kept = read(path)
    assert kept["order"]["Opened"] == old["order"]["Opened"]
    assert kept["order"]["Made"] == {"a": "text"}
    assert kept["order"]["Closed"] == TODAY["order"]["Closed"]
    assert kept["cart"] == {"F": {}}
    assert [each.breaks for each in compare(kept, [order_events])] == [True, True, True]


def test_the_file_comes_back_and_is_the_same_each_time(tmp_path: Path) -> None:
    path = tmp_path / "events.json"
    write(path, TODAY)
    text = path.read_text()
    assert read(path) == TODAY
    write(path, dict(reversed(read(path).items())))
    assert path.read_text() == text
    assert text.endswith("}\n")
    assert [each.name for each in tmp_path.iterdir()] == ["events.json"]


def test_no_file_is_an_empty_one(tmp_path: Path) -> None:
    assert read(tmp_path / "events.json") == {}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"diptych":1}', '{"diptych":1,"events":{"a":1}}'])
def test_a_file_that_is_no_schema_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "events.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="from version control again"):
        read(path)


def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.json"
    path.write_bytes(msgspec.json.encode({"diptych": FORMAT + 1, "events": {}}))
    with pytest.raises(ConfigurationError, match="has format 2"):
        read(path)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write(tmp_path / "none" / "events.json", TODAY)
