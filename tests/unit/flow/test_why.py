"""Why a reaction is where it is: the weightiest cause first, and whether it stands still."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from diptych.flow.status import ReactionState, ReactionStatus
from diptych.flow.why import explained

BEHIND = timedelta(seconds=90)


def status(state: ReactionState, *, lag: timedelta = BEHIND, **known: Any) -> ReactionStatus:
    running = state in {ReactionState.REACTING, ReactionState.RETRYING}
    facts: dict[str, Any] = {
        "name": "mails",
        "position": 3,
        "head": 9 if lag else 3,
        "holder": "host/7" if running else "",
        "mine": False,
        "error": "",
        "error_kind": "",
        "error_type": "",
        "error_position": 0,
        "attempts": 0,
        "parked_streams": 0,
        "parked_events": 0,
        "paused_at": None,
        "paused_reason": "",
    }
    return ReactionStatus(**{**facts, "state": state, "lag": lag, **known})


def stopped(kind: str) -> ReactionStatus:
    why = {"error": "Refused in send, mails.py:9", "error_type": "Placed", "error_position": 4}
    return status(ReactionState.STOPPED, error_kind=kind, **why)


NOW = timedelta(0)


@pytest.mark.parametrize(
    ("found", "moved", "still", "says", "do"),
    [
        (status(ReactionState.REACTING, lag=NOW), False, False, "all is handled", "nothing"),
        (status(ReactionState.REACTING), True, False, "host/7 handles what there is", "nothing"),
        (status(ReactionState.REACTING), False, True, "host/7 has not got on", "host/7 logs"),
        (status(ReactionState.WAITING), False, True, "no process that is alive", "diptych run"),
        (status(ReactionState.WAITING, lag=NOW), False, False, "all is handled", "diptych run"),
        (stopped("handle"), False, True, "the event at 4 (Placed) stops it", "discard mails"),
        (stopped("full"), False, True, "the event at 4", "diptych reactions parked mails"),
        (stopped("diverged"), False, True, "the event at 4", "restore the log as it was"),
        (
            status(ReactionState.PAUSED, paused_at=datetime(2026, 1, 1, tzinfo=UTC)),
            *(False, True, "it was paused at 2026-01-01", "diptych resume mails"),
        ),
    ],
)  # fmt: skip
def test_what_is_so_and_what_to_do_about_it(
    found: ReactionStatus, moved: bool, still: bool, says: str, do: str
) -> None:
    explanation = explained(found, moved=moved)
    (cause,) = explanation.causes
    assert (explanation.stands_still, says in cause.says, do in cause.do) == (still, True, True)


def test_what_is_parked_comes_behind_what_weighs_more() -> None:
    found = status(ReactionState.REACTING, lag=NOW, parked_streams=2, parked_events=5)
    first, second = explained(found, moved=False).causes
    assert first.do == "nothing"
    assert (second.says, second.do) == (
        "set aside: 5 events of 2 streams",
        "diptych reactions parked mails",
    )
