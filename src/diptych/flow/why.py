"""`ReactionExplanation`: why a reaction is where it is, and what to do about it."""

from collections.abc import Iterator
from dataclasses import dataclass

from diptych.flow.status import ReactionState, ReactionStatus

_NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class ReactionCause:
    """What is so, and what to do about it."""

    says: str
    do: str


@dataclass(frozen=True, slots=True)
class ReactionExplanation:
    """The causes, the one that weighs most first. There is always one. `stands_still`: it does not
    go on, although it should."""

    reaction: str
    state: ReactionState
    position: int
    head: int
    stands_still: bool
    causes: tuple[ReactionCause, ...]


def explained(found: ReactionStatus, *, moved: bool) -> ReactionExplanation:
    """`moved`: it has got further while it was looked at."""
    halted = found.state in {ReactionState.STOPPED, ReactionState.PAUSED}
    still = halted or (bool(found.lag) and not moved)
    causes = (_cause(found, moved=moved), *_parked(found))
    return ReactionExplanation(found.name, found.state, found.position, found.head, still, causes)


def _cause(found: ReactionStatus, *, moved: bool) -> ReactionCause:
    match found.state:
        case ReactionState.STOPPED:
            return _stopped(found)
        case ReactionState.PAUSED:
            because = f": {found.paused_reason}" if found.paused_reason else ""
            says = f"it was paused at {found.paused_at}{because}"
            return ReactionCause(says, f"diptych resume {found.name}")
        case ReactionState.WAITING:
            says = "no process that is alive runs it"
            if not found.lag:
                says = f"all is handled, and {says}"
            return ReactionCause(says, "start one with this code: diptych run")
        case ReactionState.REACTING | ReactionState.RETRYING:
            return _running(found, moved=moved)


def _running(found: ReactionStatus, *, moved: bool) -> ReactionCause:
    if not found.lag:
        return ReactionCause(f"all is handled; {found.holder} runs it", _NOTHING)
    if moved:
        return ReactionCause(f"{found.holder} handles what there is", _NOTHING)
    return _still(found)


def _stopped(found: ReactionStatus) -> ReactionCause:
    at = f"the event at {found.error_position} ({found.error_type or 'none of its own'})"
    again = f"diptych reactions retry {found.name}"
    if found.error_kind == "diverged":
        do = f"restore the log as it was; or, if it is right as it is: {again}"
    elif found.error_kind == "full":
        do = (
            f"retry or discard what is parked (diptych reactions parked {found.name}), then {again}"
        )
    else:
        never = f"diptych reactions discard {found.name} --reason …"
        do = f"mend the cause, then {again}; or never handle it: {never}"
    return ReactionCause(f"{at} stops it: {found.error}", do)


def _still(found: ReactionStatus) -> ReactionCause:
    """Who runs it may be trying something again; only that process knows of what it failed."""
    age = f"{found.lag.total_seconds():,.0f} s"
    says = f"{found.holder} has not got on; the first event that it has to handle is {age} old"
    says = f"{says}: {found.error}" if found.error else says
    return ReactionCause(says, f"see what {found.holder} logs; it goes on when that is mended")


def _parked(found: ReactionStatus) -> Iterator[ReactionCause]:
    if found.parked_streams:
        says = f"set aside: {found.parked_events:,} events of {found.parked_streams:,} streams"
        yield ReactionCause(says, f"diptych reactions parked {found.name}")
