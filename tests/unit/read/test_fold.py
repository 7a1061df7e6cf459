"""The fold of a batch: in order, per key, and the same however the log is cut into batches."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.messages import RecordedEvent
from diptych.read.fold import Key, Rule, many_keys, one_key, with_key
from diptych.read.model import Decoded, Unapplied

AT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Added:
    key: int
    amount: int


@dataclass(frozen=True)
class Sum:
    key: int
    amount: int
    times: int


def project(row: Sum | None, event: Added, recorded: RecordedEvent) -> Sum | None:
    if event.amount == 0:
        return row
    if event.amount < 0:
        return None
    before = row or Sum(event.key, 0, 0)
    return replace(before, amount=before.amount + event.amount, times=before.times + 1)


def key_of(value: Added | Sum) -> int:
    return value.key


RULE = Rule("sums", one_key(key_of), project, key_of, touches=False)


def recorded(position: int, *, tenant: str = "") -> RecordedEvent:
    event_id = UUID(int=position)
    return RecordedEvent(
        position, tenant, "s-1", position, event_id, "Added", b"{}", b"{}", AT, None, ()
    )


def decoded(*events: Added) -> list[Decoded]:
    return [(recorded(position), event) for position, event in enumerate(events, 1)]


def folded(
    rule: Rule, steps: list[Decoded], before: dict[Key, Sum] | None = None
) -> dict[Key, Sum]:
    """As a table would be afterwards."""
    rows = dict(before or {})
    batch = rule.batch(steps)
    batch.rows[:] = [rows.get(key) for key in batch.keys]
    rule.fold(batch, slice(None))
    for key, row, last in zip(batch.keys, batch.rows, batch.last, strict=True):
        if last is not None:
            rows.pop(key, None)
            if row is not None:
                rows[key] = row
    return rows


added = st.builds(Added, st.integers(0, 3), st.integers(-1, 3))


@given(st.lists(added, max_size=40), st.lists(st.integers(1, 7), max_size=40))
def test_the_result_does_not_depend_on_the_batches(events: list[Added], sizes: list[int]) -> None:
    steps = decoded(*events)
    expected: dict[Key, Sum] = {}
    for step in steps:
        row = project(expected.pop(("", step[1].key), None), step[1], step[0])
        if row is not None:
            expected[("", row.key)] = row
    rows: dict[Key, Sum] = {}
    while steps:
        size = sizes.pop() if sizes else 3
        rows = folded(RULE, steps[:size], rows)
        steps = steps[size:]
    assert rows == expected


def test_a_row_that_no_event_changed_is_not_written() -> None:
    batch = RULE.batch(decoded(Added(1, 0), Added(2, 5), Added(1, 0)))
    batch.rows[0] = Sum(1, 9, 1)
    RULE.fold(batch, slice(None))
    assert [last and last.position for last in batch.last] == [None, 2]


def test_a_row_that_every_event_touches_is_written_with_its_last() -> None:
    rule = replace(RULE, touches=True)
    batch = rule.batch(decoded(Added(1, 0), Added(2, 0), Added(1, 0)))
    batch.rows[0] = Sum(1, 9, 1)
    rule.fold(batch, slice(None))
    assert [last and last.position for last in batch.last] == [3, None]


def test_equal_keys_of_different_tenants_are_different_rows() -> None:
    steps: list[Decoded] = [
        (recorded(1, tenant="a"), Added(1, 5)),
        (recorded(2, tenant="b"), Added(1, 7)),
    ]
    assert folded(RULE, steps) == {("a", 1): Sum(1, 5, 1), ("b", 1): Sum(1, 7, 1)}


def test_each_of_an_events_keys_counts_once() -> None:
    def keys(event: Added) -> list[int]:
        return [event.key, event.key + 1, event.key]

    def add(row: Sum | None, event: Added, recorded: RecordedEvent, key: int) -> Sum:
        before = row or Sum(key, 0, 0)
        return replace(before, amount=before.amount + event.amount, times=before.times + 1)

    rule = Rule("sums", many_keys(keys), with_key(add), key_of, touches=False)
    assert folded(rule, decoded(Added(1, 5), Added(2, 7))) == {
        ("", 1): Sum(1, 5, 1),
        ("", 2): Sum(2, 12, 2),
        ("", 3): Sum(3, 7, 1),
    }


@pytest.mark.parametrize("at", [1, 2, 3])
def test_an_error_names_the_event(at: int) -> None:
    def refuse(row: Sum | None, event: Added, recorded: RecordedEvent) -> Sum | None:
        if recorded.position == at:
            raise ValueError("no")
        return project(row, event, recorded)

    with pytest.raises(Unapplied) as error:
        folded(replace(RULE, project=refuse), decoded(*[Added(1, 1)] * 3))
    assert error.value.position == at
    assert isinstance(error.value.__cause__, ValueError)


def test_an_error_of_the_key_function_names_the_event() -> None:
    def keys(event: Added) -> list[int]:
        return [1 // event.amount]

    rule = Rule("sums", many_keys(keys), with_key(lambda *_: None), key_of, touches=False)
    with pytest.raises(Unapplied) as error:
        rule.batch(decoded(Added(1, 1), Added(1, 0)))
    assert error.value.position == 2


def test_a_row_with_another_key_is_refused() -> None:
    rule = replace(RULE, project=lambda row, event, recorded: Sum(event.key + 1, 0, 0))
    with pytest.raises(Unapplied) as error:
        folded(rule, decoded(Added(1, 1)))
    assert "sums" in str(error.value.__cause__)


@pytest.mark.parametrize("key", ["raises", "list"])
def test_a_key_that_cannot_be_told_or_is_none_names_the_event(key: str) -> None:
    def odd(event: Added | Sum) -> object:
        return event.key if event.key > 0 else [1 // event.key] if key == "raises" else [1]

    with pytest.raises(Unapplied) as error:
        replace(RULE, expand=one_key(odd)).batch(decoded(Added(1, 1), Added(0, 1), Added(2, 1)))
    assert error.value.position == 2
