"""What a view may be made of, and what the message says where it may not."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pydantic
import pytest
from sqlalchemy.schema import CreateIndex

from diptych.codec import Events
from diptych.errors import ConfigurationError
from diptych.messages import RecordedEvent
from diptych.read.columns import RowLayout
from diptych.read.group import Group, grouped, homes, named
from diptych.read.table import TENANT, Shape, view_table
from diptych.read.view import View
from tests.unit.read.rows import POSTGRES, SQLITE


@dataclass(frozen=True)
class Opened:
    order_id: UUID
    customer_id: UUID


@dataclass(frozen=True)
class Shipped:
    order_id: UUID


@dataclass(frozen=True)
class Property:
    number: int

    @property
    def order_id(self) -> UUID:
        return UUID(int=self.number)


order_events = Events("order", Opened, Shipped)


@dataclass(frozen=True)
class Row:
    order_id: UUID
    customer_id: UUID
    name: str
    weight: float
    note: str | None
    tags: tuple[str, ...]


def project(row: Any, event: Any, recorded: RecordedEvent) -> Any:
    return row


def project_with_key(row: Any, event: Any, recorded: RecordedEvent, key: Any) -> Any:
    return row


def view(**options: Any) -> View[Any]:
    wanted: dict[str, Any] = {
        "events": [order_events],
        "row": Row,
        "key": "order_id",
        "project": project,
        **options,
    }
    return View(wanted.pop("name", "orders"), **wanted)


def keys(event: Any) -> list[UUID]:
    return [event.order_id]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "Orders"}, "a-z"),
        ({"name": "diptych_orders"}, "diptych"),
        ({"name": "x" * 41}, "40"),
        ({"name": "a__b"}, "single _"),
        ({"events": []}, "events="),
        ({"events": [order_events, order_events]}, "events="),
        ({"max_lag": timedelta(0)}, "max_lag"),
        ({"key": "customer_id"}, r"'customer_id', which Shipped lacks: .*View\(keys=\)"),
        ({"key": ("order_id", "customer_id")}, "Shipped lacks"),
        ({"key": "number"}, "no field 'number'"),
        ({"key": "weight", "keys": keys, "project": project_with_key}, "weight.*float"),
        ({"key": "note", "keys": keys, "project": project_with_key}, "note.*None"),
        ({"key": "tags", "keys": keys, "project": project_with_key}, "tags cannot be"),
        ({"indexes": [("customer_id", "created_at")]}, "no field 'created_at'"),
        ({"indexes": [("tags",)]}, "tags cannot be"),
        ({"search": ["weight"]}, "search: field 'weight'"),
        ({"search": ["surname"]}, "no field 'surname'"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        view(**options)


def test_a_mutable_row_is_refused() -> None:
    @dataclass
    class Mutable:
        order_id: UUID

    class Struct(msgspec.Struct):
        order_id: UUID

    class Model(pydantic.BaseModel):
        order_id: UUID

    for row in (Mutable, Struct, Model):
        with pytest.raises(ConfigurationError, match="frozen=True"):
            view(row=row)


def test_frozen_rows_of_every_kind_are_taken() -> None:
    @dataclass(frozen=True, slots=True)
    class Frozen:
        order_id: UUID

    class Struct(msgspec.Struct, frozen=True):
        order_id: UUID

    class Model(pydantic.BaseModel, frozen=True):
        order_id: UUID

    for row in (Frozen, Struct, Model):
        assert view(row=row).sortable == ("order_id",)


def test_a_key_may_be_a_property_of_an_event() -> None:
    view(events=[Events("order", Property)])


def test_only_what_compares_as_its_values_is_sortable() -> None:
    assert view().sortable == ("order_id", "customer_id", "name", "weight", "note")


def test_every_key_and_index_begins_with_the_tenant_and_ends_with_the_key() -> None:
    shape = Shape(("order_id",), (("customer_id", "name"), ("order_id",)), ("name",))
    table = view_table("orders__1", RowLayout(Row), shape, SQLITE).table
    found = {index.name: [column.name for column in index.columns] for index in table.indexes}
    assert found == {
        "orders__1__0": [TENANT, "customer_id", "name", "order_id"],
        "orders__1__1": [TENANT, "order_id"],
    }


def test_postgresql_has_an_index_of_words_and_one_for_descending_order_with_none_last() -> None:
    shape = Shape(("order_id",), (("customer_id", "note"), ("name",)), ("name",))
    table = view_table("orders__1", RowLayout(Row), shape, POSTGRES).table
    found = {
        index.name: str(CreateIndex(index).compile(dialect=POSTGRES)) for index in table.indexes
    }
    assert sorted(map(str, found)) == [
        "orders__1__0",
        "orders__1__0d",
        "orders__1__1",
        "orders__1__words",
    ]
    assert found["orders__1__0d"].endswith(
        "(_tenant, customer_id, note DESC NULLS LAST, order_id DESC)"
    )
    assert found["orders__1__words"].endswith("USING gin (_search)")
    assert [column.name for column in table.primary_key] == [TENANT, "order_id"]


@dataclass(frozen=True)
class Customer:
    customer_id: UUID
    orders: int


@dataclass(frozen=True)
class Named:
    customer_id: str


@dataclass(frozen=True)
class Maybe:
    order_id: UUID
    customer_id: UUID | None


def project_over(row: Any, before: Any, after: Any) -> Any:
    return row


def over(source: View[Any], **options: Any) -> View[Any]:
    wanted: dict[str, Any] = {"row": Customer, "key": "customer_id", "project": project_over}
    wanted |= options
    return View(wanted.pop("name", "customers"), source=source, **wanted)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key": "orders"}, "keyed by 'orders', which Row, the row of its source, lacks"),
        ({"row": Named}, "'customer_id' is of another type in Row than in Named"),
        ({"keys": keys}, "source= and keys= do not go together"),
        ({"sticky": True}, "source= and sticky= do not go together"),
        ({"partitions": 2}, "source= and partitions= do not go together"),
        ({"rebuild": "ask"}, r"rebuilt and parked with View\('orders'\): say"),
        ({"on_error": "park"}, r"rebuilt and parked with View\('orders'\): say"),
        ({"events": [order_events]}, "either events= or source="),
        ({"source": view(partitions=2)}, r"View\('orders'\), which has partitions"),
    ],
)
def test_what_a_view_over_a_view_cannot_be_is_refused(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        over(options.pop("source", view()), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keys": keys}, "keys= and sticky= do not go together"),
        ({"partitions": 2}, "sticky= and partitions= do not go together"),
        ({"key": "name"}, "keyed by 'name', which no event of it has"),
    ],
)
def test_what_sticky_keys_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        view(**{"key": "customer_id", "sticky": True, **options})


def test_an_event_tells_a_sticky_key_if_it_has_all_of_it() -> None:
    rule = view(key=("order_id", "customer_id"), sticky=True).sticky
    assert rule is not None
    one, other = UUID(int=1), UUID(int=2)
    assert rule.told_by(Opened(one, other)) == (one, other)
    assert rule.told_by(Opened(one, None)) is None  # type: ignore[arg-type]
    assert rule.told_by(Shipped(one)) is None


def test_a_view_needs_events_or_a_source() -> None:
    with pytest.raises(ConfigurationError, match="either events= or source="):
        view(events=[])


def test_a_row_of_the_source_may_have_no_key() -> None:
    assert over(view(row=Maybe)).lineage[0].name == "orders"


def test_a_group_is_named_by_its_root_and_known_by_all_of_its_views() -> None:
    root = view()
    customers = over(root, max_lag=timedelta(seconds=1))
    towns = over(customers, name="towns")
    group, alone = grouped([towns, customers, view(name="alone"), root])[::-1]
    assert isinstance(group, Group)
    assert (group.name, group.views, group.max_lag) == (
        "orders",
        (root, customers, towns),
        timedelta(seconds=1),
    )
    assert alone.name == "alone"
    assert named([alone, group], "towns") is group
    assert named([alone, group], "other") is None
    assert homes([alone, group])[towns] is group


def test_a_view_over_one_that_is_not_there_is_refused() -> None:
    customers = over(view())
    with pytest.raises(ConfigurationError, match=r"View\('orders'\), which the application does"):
        grouped([customers, view()])


def other_over(row: Any, before: Any, after: Any) -> Any:
    return after


def test_the_fingerprint_of_a_group_is_that_of_all_of_its_views() -> None:
    def of(root: View[Any], *above: View[Any]) -> str:
        return grouped([root, *above])[0].fingerprint

    root, other = view(), view(project=other_project)
    one, two = over(root), over(root, name="towns")
    same = {of(root, one, two), of(root, two, one)}
    assert len(same) == 1
    changed = {
        of(root, one),
        of(root, two),
        of(root, over(root, project=other_over), two),
        of(root, one, over(one, name="towns")),
        of(other, over(other), over(other, name="towns")),
        root.fingerprint,
    }
    assert len(changed | same) == 7
    assert over(root).fingerprint != over(other).fingerprint
    assert view(key="customer_id", sticky=True).fingerprint != root.fingerprint


def other_project(row: Any, event: Any, recorded: RecordedEvent) -> Any:
    return event


@dataclass(frozen=True)
class Wider(Row):
    more: int


def test_the_fingerprint_is_that_of_rule_row_key_indexes_and_search() -> None:
    same = {view().fingerprint, view(name="renamed").fingerprint}
    same.add(view(max_lag=timedelta(hours=1)).fingerprint)
    assert len(same) == 1
    changed = [
        view(project=other_project),
        view(row=Wider),
        view(indexes=[("name",)]),
        view(search=["name"]),
        view(events=[Events("order", Opened, Shipped, names={Shipped: "Sent"})]),
        view(events=[Events("order", Opened, Shipped, ignore=["Old"])]),
        view(keys=keys, project=project_with_key),
        view(version="2"),
    ]
    assert len({each.fingerprint for each in changed} | same) == len(changed) + 1


def test_a_version_stands_for_the_rule() -> None:
    one = view(version="1", project=lambda row, event, recorded: row)
    other = view(version="1", project=lambda row, event, recorded: None)
    assert one.fingerprint == other.fingerprint != view(version="2").fingerprint


def test_a_rule_that_cannot_be_followed_asks_for_a_version() -> None:
    with pytest.raises(ConfigurationError, match=r"View\('orders'\).*version="):
        _ = view(project=lambda row, event, recorded: row).fingerprint
