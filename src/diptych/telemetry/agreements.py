"""`Agreements`: warns when a view does not keep what was agreed for it, and when it does again.

What was agreed is `max_lag`, and that a view neither stops nor parks. Each break is told once, and
its end once: as a line for people, and as fields of the log record (`diptych_event`,
`diptych_view`, …) for programs. One process speaks for a view, the one that projects it; while
nobody does, all that know the view do. All of them keep track, so the end of a break is told by
whoever projects by then.

A view that is being built has not agreed to anything yet.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from diptych.read.readiness import Readiness, State, ViewStatus

_log = logging.getLogger("diptych.agreements")


@dataclass(frozen=True, slots=True)
class Term:
    """One thing that is agreed, and the names and words of its breach and of its end."""

    broken: str
    met: str
    is_broken: Callable[[ViewStatus], bool]
    breach: Callable[[ViewStatus], str]
    end: Callable[[ViewStatus], str]


def _seconds(view: ViewStatus) -> str:
    return f"{view.lag.total_seconds():.1f} s"


def _late(view: ViewStatus) -> str:
    return (
        f"{_seconds(view)} behind the log, {view.behind} positions; its max_lag is"
        f" {view.max_lag.total_seconds():g} s"
    )


TERMS: Final = (
    Term(
        "max_lag_broken",
        "max_lag_met",
        is_broken=lambda view: not view.within_max_lag,
        breach=_late,
        end=lambda view: f"within its max_lag again, {_seconds(view)} behind the log",
    ),
    Term(
        "stopped",
        "running",
        is_broken=lambda view: view.state is State.STOPPED,
        breach=lambda view: f"stopped at {view.position}: {view.error}",
        end=lambda view: f"goes on, at {view.position}",
    ),
    Term(
        "parked",
        "none_parked",
        is_broken=lambda view: view.parked_keys > 0,
        breach=lambda view: f"{view.parked_events} events of {view.parked_keys} keys are parked",
        end=lambda view: f"no key is parked any more, at {view.position}",
    ),
)


@dataclass(slots=True)
class Agreements:
    """What was told of which view."""

    _broken: dict[str, set[str]] = field(default_factory=dict)

    def look(self, found: Readiness) -> None:
        """Compare with what was so before, and tell what has changed."""
        for view in found.views:
            if view.state not in {State.BUILDING, State.UNBUILT}:
                for name, words in self._changes(view):
                    if _speaks_for(view):
                        _tell(name, view, words)

    def _changes(self, view: ViewStatus) -> Iterator[tuple[str, str]]:
        broken = self._broken.setdefault(view.name, set())
        for term in TERMS:
            was, now = term.broken in broken, term.is_broken(view)
            if now and not was:
                broken.add(term.broken)
                yield term.broken, term.breach(view)
            elif was and not now:
                broken.discard(term.broken)
                yield term.met, term.end(view)


def _speaks_for(view: ViewStatus) -> bool:
    """Whether this process holds the first partition that anybody holds; or nobody holds any."""
    held = (slot.mine for slot in view.slots if slot.holder)
    return next(held, True)


def _tell(name: str, view: ViewStatus, words: str) -> None:
    fields = {
        "diptych_event": name,
        "diptych_view": view.name,
        "diptych_state": view.state.value,
        "diptych_position": view.position,
        "diptych_behind": view.behind,
        "diptych_lag_seconds": round(view.lag.total_seconds(), 3),
        "diptych_max_lag_seconds": view.max_lag.total_seconds(),
    }
    _log.warning("view %s: %s", view.name, words, extra=fields)
