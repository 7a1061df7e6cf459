"""From the evidence about a view to the causes of its standing still, the weightiest first.

All of it is pure: what is looked at, and when, is in `diptych.read.why`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from diptych.read.blocker import Blocker
from diptych.read.evidence import Evidence, Holder, Part
from diptych.read.explanation import Cause, Why
from diptych.read.schema import DIVERGED, RETRYING, STOPPED
from diptych.worker import state_of

_AWAY: Final = "StorageUnavailable"
"""How the reason of an error begins that says that a database does not answer."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is known of a view. `moved`: it has got further while it was looked at. `errors` are
    those of projectors in this process, by partition; they may be unable to write theirs down.
    `asks`: it is built by command only. `per_second` is 0 where it is not known."""

    evidence: Evidence
    head: int
    moved: bool = False
    blockers: Sequence[Blocker] = ()
    errors: Mapping[int, str] = field(default_factory=dict)
    asks: bool = False
    per_second: float = 0.0


def is_plain(found: Circumstances) -> bool:
    """Whether to look any longer would tell nothing more."""
    waits = any(_decided(found)) or any(_halted(found))
    return waits or found.evidence.position >= found.head


def causes_of(found: Circumstances) -> tuple[Cause, ...]:
    """At least one."""
    weighty = [*_decided(found), *_halted(found)]
    if not weighty and found.evidence.position < found.head:
        weighty = [*_going(found)] if found.moved else [*_still(found)]
    more = [*_beside(found), *_parked(found)]
    return tuple([*weighty, *more] if weighty else [_nothing_to_do(found), *more])


def _decided(found: Circumstances) -> Iterator[Cause]:
    """What somebody decided: a pause, or that it is built by command only."""
    view = found.evidence
    if view.paused_at:
        because = f": {view.paused_reason}" if view.paused_reason else ""
        yield Cause(
            Why.PAUSED,
            f"it was paused at {view.paused_at}{because}",
            f"diptych resume {view.view}",
            {"paused_at": view.paused_at, "reason": view.paused_reason},
        )
    if found.asks and not view.complete and not view.last.holder:
        yield Cause(
            Why.UNBUILT,
            "its table for this code is not complete, and it is built by command only",
            f"diptych rebuild {view.view}",
        )


def _halted(found: Circumstances) -> Iterator[Cause]:
    """What waits for an operator."""
    for part in found.evidence.parts:
        if part.status == STOPPED:
            yield _stopped(found.evidence, part)
        elif part.status == DIVERGED:
            yield Cause(
                Why.DIVERGED,
                f"it shows events up to {part.position} that the log does not have: {part.error}",
                "restore the log as it was; or, if it is right as it is: diptych rebuild"
                f" {found.evidence.view}",
                _facts(part),
            )


def _stopped(view: Evidence, part: Part) -> Cause:
    at = f"the event at {part.error_position}"
    event = f"{at} ({part.error_type})" if part.error_type else at
    return Cause(
        Why.STOPPED,
        f"{event} stops it: {part.error}",
        "correct the code and deploy it, which builds the view anew; or remove the cause and run"
        f" `diptych parked retry {view.view}`",
        _facts(part),
    )


def _going(found: Circumstances) -> Iterator[Cause]:
    behind = found.head - found.evidence.position
    left = behind / found.per_second if found.per_second else None
    time = f", {left:,.0f} s left" if left is not None else ""
    facts = {"behind": behind, "seconds_left": left}
    if not found.evidence.complete:
        says = f"it is being built: {behind:,} positions to go{time}"
        yield Cause(Why.BUILDING, says, "wait", facts)
    else:
        says = f"it is catching up: {behind:,} positions to go{time}"
        yield Cause(Why.CATCHING_UP, says, "wait", facts)


def _still(found: Circumstances) -> Iterator[Cause]:
    """The log has moved on, and the view has not: who should move it, and what keeps them."""
    yield from map(_locked, found.blockers)
    last = found.evidence.last
    error = found.errors.get(last.partition) or (last.error if last.status == RETRYING else "")
    if error:
        yield _retrying(error, last)
    else:
        yield _by_holder(found)


def _locked(blocker: Blocker) -> Cause:
    age = "" if blocker.seconds is None else f", for {blocker.seconds:,.0f} s"
    return Cause(
        Why.LOCKED,
        f"writers wait for a lock that {blocker.who} holds{age}: {blocker.what}",
        f"let it commit or end it ({blocker.pid}); who projects goes on by itself then",
        {"pid": blocker.pid, "who": blocker.who, "what": blocker.what, "seconds": blocker.seconds},
    )


def _retrying(error: str, part: Part) -> Cause:
    who = f" by {part.holder.name}" if part.holder else ""
    if error.startswith(_AWAY):
        return Cause(
            Why.CONNECTION_LOST,
            f"a database does not answer who projects it{who}: {error}",
            "start the server, or mend the network; it goes on by itself then",
            {**_facts(part), "error": error},
        )
    return Cause(
        Why.RETRYING,
        f"what was tried{who} fails, and is tried again: {error}",
        "remove the cause that the error names; it goes on by itself then",
        {**_facts(part), "error": error},
    )


def _by_holder(found: Circumstances) -> Cause:
    holder = found.evidence.last.holder
    if holder is None:
        return _unclaimed(found.evidence)
    state = state_of(holder.process)
    facts: dict[str, str | int | float | None] = {
        "holder": holder.name,
        "state": state,
        "seconds_left": round(holder.left, 1),
    }
    if state == "gone":
        return _gone(found.evidence, holder, facts)
    if state == "stopped":
        says = f"{holder.name} holds it, and that process is stopped (by a signal or a debugger)"
        return Cause(Why.HOLDER_STOPPED, says, "let it go on (kill -CONT), or end it", facts)
    if holder.left <= 0:
        return _silent(found.evidence, holder, facts)
    return Cause(
        Why.HOLDER_STILL,
        f"{holder.name} holds it and is alive, but it does not get on and reports no error",
        "look at what that process does (py-spy dump --pid …): `project` may not return; or end"
        " it, another takes over",
        facts,
    )


def _unclaimed(view: Evidence) -> Cause:
    if view.able:
        names = ", ".join(each.name for each in view.able)
        return Cause(
            Why.UNCLAIMED,
            f"nobody holds it; {names} can project it and will take it",
            "wait a second or two",
            {"able": names},
        )
    names = ", ".join(each.name for each in view.others)
    with_other_code = f"; {names} run other code, or do not have it" if names else ""
    return Cause(
        Why.NOBODY_PROJECTS,
        f"no process that is alive projects it{with_other_code}",
        "start one with this code: diptych run",
        {"others": names},
    )


def _gone(view: Evidence, holder: Holder, facts: dict[str, str | int | float | None]) -> Cause:
    heirs = [each for each in view.able if each.process != holder.process]
    heir = "another takes over at once" if heirs else "start another: diptych run"
    return Cause(Why.HOLDER_GONE, f"{holder.name} held it, and that process has ended", heir, facts)


def _silent(view: Evidence, holder: Holder, facts: dict[str, str | int | float | None]) -> Cause:
    says = (
        f"{holder.name} held it, and has said nothing since its lease ran out {-holder.left:,.0f} s"
        " ago: it is cut off, hangs, or has ended"
    )
    others = any(each.name != holder.name for each in view.able)
    do = "wait: another takes over" if others else "start another (diptych run), and look after it"
    return Cause(Why.HOLDER_SILENT, says, do, facts)


def _beside(found: Circumstances) -> Iterator[Cause]:
    beside = found.evidence.beside
    if beside is not None:
        at = f"revision {beside.revision} is being built beside it, and is at {beside.position:,}"
        by = f" (by {beside.builder})" if beside.builder else "; nobody goes on with it"
        again = f"diptych rebuild {found.evidence.view}, which goes on where it is"
        yield Cause(
            Why.BUILDING,
            f"{at}{by}",
            "wait: queries go to it when it is complete" if beside.builder else again,
            {
                "revision": beside.revision,
                "position": beside.position,
                "builder": beside.builder,
            },
        )


def _parked(found: Circumstances) -> Iterator[Cause]:
    keys = sum(part.parked_keys for part in found.evidence.parts)
    events = sum(part.parked_events for part in found.evidence.parts)
    if keys:
        yield Cause(
            Why.PARKED,
            f"{events:,} events of {keys:,} keys are parked, the rest goes on",
            f"diptych parked list {found.evidence.view}",
            {"keys": keys, "events": events},
        )


def _nothing_to_do(found: Circumstances) -> Cause:
    return Cause(
        Why.NOTHING_TO_DO,
        f"it is at the head of the log, {found.head:,}",
        "nothing",
    )


def _facts(part: Part) -> dict[str, str | int | float | None]:
    return {
        "partition": part.partition,
        "position": part.error_position,
        "type": part.error_type,
        "class": part.error_class,
        "error": part.error,
        "attempts": part.attempts,
    }
