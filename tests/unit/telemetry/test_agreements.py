"""Warnings when a view breaks what was agreed, and when it keeps it again: once each."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from diptych.read.readiness import Readiness, SlotStatus, State, ViewStatus
from diptych.telemetry.agreements import Agreements

SECOND = timedelta(seconds=1)
MINE = SlotStatus(0, 5, "here/1", mine=True, error="")
THEIRS = SlotStatus(0, 5, "there/2", mine=False, error="")
NOBODYS = SlotStatus(0, 5, "", mine=False, error="")

GOOD = ViewStatus("orders", "f", 1, State.LIVE, 9, 9, 0 * SECOND, SECOND, 0.0, None, "", (MINE,))
LATE = replace(GOOD, state=State.BEHIND, position=5, lag=3 * SECOND)
STUCK = replace(LATE, state=State.STUCK)
STOPPED = replace(LATE, state=State.STOPPED, error="Poisoned")


def told(caplog: pytest.LogCaptureFixture, *looks: ViewStatus) -> list[str]:
    agreements = Agreements()
    for view in looks:
        agreements.look(Readiness(view.head, (view,)))
    fields: list[dict[str, Any]] = [vars(record) for record in caplog.records]
    return [each["diptych_event"] for each in fields]


def test_a_lag_is_told_when_it_begins_and_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    assert told(caplog, GOOD, LATE, LATE, STUCK, LATE, GOOD, GOOD, LATE) == [
        "max_lag_broken",
        "max_lag_met",
        "max_lag_broken",
    ]


def test_a_stop_is_told_besides_the_lag_that_comes_of_it(caplog: pytest.LogCaptureFixture) -> None:
    soon = replace(STOPPED, lag=SECOND / 2)
    assert told(caplog, GOOD, soon, STOPPED, STOPPED, GOOD) == [
        "stopped",
        "max_lag_broken",
        "max_lag_met",
        "running",
    ]


def test_parked_keys_are_told_once_and_when_there_are_none_any_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    one = replace(GOOD, parked_keys=1, parked_events=3)
    assert told(caplog, GOOD, one, replace(one, parked_keys=2), one, GOOD) == [
        "parked",
        "none_parked",
    ]
    assert "3 events of 1 keys are parked" in caplog.text


def test_what_is_told_has_words_and_fields(caplog: pytest.LogCaptureFixture) -> None:
    told(caplog, LATE)
    (record,) = caplog.records
    assert record.getMessage() == (
        "view orders: 3.0 s behind the log, 4 positions; its max_lag is 1 s"
    )
    assert {name: vars(record)[f"diptych_{name}"] for name in ("view", "lag_seconds", "state")} == {
        "view": "orders",
        "lag_seconds": 3.0,
        "state": "behind",
    }
    assert record.levelname == "WARNING"


@pytest.mark.parametrize(
    ("slots", "count"),
    [
        ((MINE,), 1),
        ((THEIRS,), 0),
        ((NOBODYS,), 1),
        ((THEIRS, replace(MINE, partition=1)), 0),
        ((MINE, replace(THEIRS, partition=1)), 1),
        ((NOBODYS, replace(MINE, partition=1)), 1),
    ],
)
def test_one_process_speaks_for_a_view(
    slots: tuple[SlotStatus, ...], count: int, caplog: pytest.LogCaptureFixture
) -> None:
    assert len(told(caplog, replace(LATE, slots=slots))) == count


def test_who_takes_a_view_over_tells_the_end_of_what_another_began(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert told(caplog, replace(LATE, slots=(THEIRS,)), LATE, GOOD) == ["max_lag_met"]


def test_a_view_that_is_being_built_has_agreed_to_nothing(caplog: pytest.LogCaptureFixture) -> None:
    building = replace(LATE, state=State.BUILDING)
    assert told(caplog, building, GOOD, building, GOOD) == []
