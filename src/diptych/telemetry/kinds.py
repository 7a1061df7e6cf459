"""What is measured, and how what ended is named: few words, and nothing of its content."""

from collections.abc import Callable, Mapping
from typing import Final

from diptych.errors import Rejected
from diptych.read.readiness import State, ViewStatus

OK: Final = "ok"

SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
EVENTS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
"""The upper bounds of buckets."""

Value = Callable[[ViewStatus], float]

GAUGES: Final[Mapping[str, tuple[str, str, Value]]] = {
    "lag": (
        "s",
        "Age of the oldest event that is not in the view.",
        lambda v: v.lag.total_seconds(),
    ),
    "max_lag": ("s", "What the view declares as acceptable.", lambda v: v.max_lag.total_seconds()),
    "behind": (
        "{event}",
        "Positions of the log that the view has not finished.",
        lambda v: v.behind,
    ),
    "live": ("1", "1 while the view is live, else 0.", lambda v: v.state is State.LIVE),
    "stopped": ("1", "1 while an event stops the view.", lambda v: v.state is State.STOPPED),
}
"""Of each view: unit, what it says, and its value."""


def outcome(error: BaseException | None) -> str:
    """`ok`, or the class of the error: as many values as there are classes."""
    return OK if error is None else type(error).__name__


def is_fault(error: BaseException) -> bool:
    """A refusal by the domain is an answer, and no fault of anybody's."""
    return not isinstance(error, Rejected)
