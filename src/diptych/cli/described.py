"""How a view or a reaction is: in words for people, in facts for programs."""

from collections.abc import Sequence
from datetime import timedelta

from diptych.app import Application
from diptych.errors import ConfigurationError
from diptych.flow.status import ReactionStatus
from diptych.read.readiness import Readiness, ViewStatus


def refuse_without_any(app: Application) -> None:
    """Raises: ConfigurationError: there is nothing to run or to show."""
    if not app.names and not app.operations.reaction_names:
        raise ConfigurationError("the application has no views, projections or reactions")


def line_of(view: ViewStatus) -> str:
    """How a view is, in one line."""
    text = f"{view.name}: {view.state.value} at {view.position:,}"
    if view.behind:
        text += f" of {view.head:,} ({view.progress:.0%}){left(view)}"
    return f"{text}: {view.error}" if view.error else text


def left(view: ViewStatus) -> str:
    if view.time_left is None:
        return ""
    return f", {duration(view.time_left)} left"


def holders_of(view: ViewStatus) -> str:
    """Who projects it: the processes that hold its partitions."""
    holders = {slot.holder: slot.mine for slot in view.slots}
    named = [
        f"{holder or 'nobody'}{' (this process)' if mine else ''}"
        for holder, mine in sorted(holders.items())
    ]
    return ", ".join(named)


def duration(time: timedelta) -> str:
    """Rounded to what matters: `1 s`, `12 min`, `3.4 h`, `9.1 d`."""
    seconds = max(round(time.total_seconds()), 1)
    if seconds < 100:
        return f"{seconds} s"
    if seconds < 6_000:
        return f"{seconds // 60} min"
    return f"{seconds / 3_600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} d"


def line_of_reaction(found: ReactionStatus) -> str:
    """How a reaction is, in one line."""
    text = f"{found.name}: {found.state.value} at {found.position:,} of {found.head:,}"
    by = f", run by {found.holder}{' (this process)' if found.mine else ''}" if found.holder else ""
    return f"{text}{by}: {found.error}" if found.error else f"{text}{by}"


def facts_of(
    found: Readiness, reactions: Sequence[ReactionStatus], *, log_id: str
) -> dict[str, object]:
    """All of it, as JSON is made of it."""
    return {
        "ready": found.ready,
        "log_id": log_id,
        "head": found.head,
        "views": [_view_facts(view) for view in found.views],
        "reactions": reactions,
    }


def _view_facts(view: ViewStatus) -> dict[str, object]:
    return {
        "name": view.name,
        "over": view.over,
        "fingerprint": view.fingerprint,
        "revision": view.revision,
        "state": view.state,
        "position": view.position,
        "behind": view.behind,
        "lag_seconds": view.lag,
        "max_lag_seconds": view.max_lag,
        "error": view.error,
        "paused_at": view.paused_at,
        "paused_reason": view.paused_reason,
        "parked_keys": view.parked_keys,
        "slots": [
            {"partition": each.partition, "position": each.position, "holder": each.holder}
            for each in view.slots
        ],
    }
