"""What is measured, and how what ended is named: few words, and nothing of its content."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from diptych.errors import Rejected
from diptych.flow.status import ReactionState, ReactionStatus
from diptych.read.failure import Failing
from diptych.read.model import Unapplied
from diptych.read.readiness import State, ViewStatus
from diptych.telemetry.contract import Sample

OK: Final = "ok"

SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
EVENTS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
"""The upper bounds of buckets."""

Values = Callable[[Sample], Iterable[tuple[str, float]]]


@dataclass(frozen=True, slots=True)
class Gauge:
    """A number for each view, or for each reaction: `label` says which, `values` gives their names
    and numbers."""

    name: str
    unit: str
    says: str
    label: str
    values: Values


def _of_views(value: Callable[[ViewStatus], float]) -> Values:
    return lambda sample: ((view.name, value(view)) for view in sample.views.views)


def _of_reactions(value: Callable[[ReactionStatus], float]) -> Values:
    return lambda sample: ((each.name, value(each)) for each in sample.reactions)


def _view(name: str, unit: str, says: str, value: Callable[[ViewStatus], float]) -> Gauge:
    return Gauge(f"view.{name}", unit, says, "view", _of_views(value))


def _reaction(name: str, unit: str, says: str, value: Callable[[ReactionStatus], float]) -> Gauge:
    return Gauge(f"reaction.{name}", unit, says, "reaction", _of_reactions(value))


GAUGES: Final = (
    _view("lag", "s", "Age of the first event not in the view.", lambda v: v.lag.total_seconds()),
    _view("max_lag", "s", "What it declares as acceptable.", lambda v: v.max_lag.total_seconds()),
    _view("behind", "{event}", "Positions of the log it has not finished.", lambda v: v.behind),
    _view("live", "1", "1 while it is live, else 0.", lambda v: v.state is State.LIVE),
    _view("stopped", "1", "1 while an event stops it.", lambda v: v.state is State.STOPPED),
    _view("paused", "1", "1 while it is paused.", lambda v: v.state is State.PAUSED),
    _view("parked_keys", "{key}", "Keys whose events are set aside.", lambda v: v.parked_keys),
    _view("parked_events", "{event}", "Events that are set aside.", lambda v: v.parked_events),
    _reaction("lag", "s", "Age of the first event not handled.", lambda r: r.lag.total_seconds()),
    _reaction("behind", "{event}", "Positions to go.", lambda r: max(r.head - r.position, 0)),
    _reaction("stopped", "1", "1 while it is stopped.", lambda r: r.state is ReactionState.STOPPED),
    _reaction("parked_events", "{event}", "Events set aside.", lambda r: r.parked_events),
)


def outcome(error: BaseException | None) -> str:
    """`ok`, or the class of the error: as many values as there are classes. Of an event that
    could not be applied it is the error of the rule."""
    while isinstance(error, (Failing, Unapplied)) and error.__cause__ is not None:
        error = error.__cause__
    return OK if error is None else type(error).__name__


def is_fault(error: BaseException) -> bool:
    """A refusal by the domain is an answer, and no fault of anybody's."""
    return not isinstance(error, Rejected)
