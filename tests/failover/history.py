"""A history: which appends were made, what was answered and when; and what a log must then hold."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final
from uuid import UUID

from diptych.errors import OutcomeUnknown, StoreError
from diptych.messages import RecordedEvent
from diptych.store.contract import Append, Appended, StreamVersion

_SHOWN: Final = 5


@dataclass(eq=False, slots=True)
class Asked:
    """One append with all that became of it, however often it was sent.

    `began` is when it was first sent, `ended` when it was acknowledged, both on one clock.
    """

    append: Append
    began: float
    ended: float = 0.0
    acknowledged: Appended | None = None
    errors: list[Exception] = field(default_factory=list)

    @property
    def may_be_there(self) -> bool:
        """Whether a lost answer leaves it open if it took effect."""
        return any(isinstance(error, OutcomeUnknown) for error in self.errors)

    @property
    def ids(self) -> list[UUID]:
        return [event.event_id for write in self.append.writes for event in write.events]


class HistoryViolated(AssertionError):
    """The log does not hold what the history demands; `findings` says where."""

    def __init__(self, findings: Sequence[str]) -> None:
        more = f" and {len(findings) - _SHOWN} more" if len(findings) > _SHOWN else ""
        super().__init__("; ".join(findings[:_SHOWN]) + more)
        self.findings = tuple(findings)


def demand(history: Sequence[Asked], log: Sequence[RecordedEvent]) -> None:
    """Raises: HistoryViolated: `log` is not one that `history` allows."""
    if found := findings(history, log):
        raise HistoryViolated(found)


def findings(history: Sequence[Asked], log: Sequence[RecordedEvent]) -> list[str]:
    """Everything that is wrong with `log` after `history`, one line each."""
    checks: tuple[Callable[[Sequence[Asked], Sequence[RecordedEvent]], Iterator[str]], ...]
    checks = (_positions, _versions, _times, _strangers, _effects, _order, _errors)
    return [finding for check in checks for finding in check(history, log)]


def lost(history: Sequence[Asked], log: Sequence[RecordedEvent]) -> int:
    """How many acknowledged appends are not in the log."""
    there = {event.event_id for event in log}
    return sum(asked.acknowledged is not None and not there & set(asked.ids) for asked in history)


def _positions(_: Sequence[Asked], log: Sequence[RecordedEvent]) -> Iterator[str]:
    for place, event in enumerate(log, 1):
        if event.position != place:
            yield f"position {event.position} is the log's event number {place}"
            return


def _versions(_: Sequence[Asked], log: Sequence[RecordedEvent]) -> Iterator[str]:
    reached: Counter[tuple[str, str]] = Counter()
    for event in log:
        reached[event.tenant, event.stream] += 1
        if event.version != (wanted := reached[event.tenant, event.stream]):
            yield f"{event.stream} has version {event.version} where {wanted} should be"


def _times(_: Sequence[Asked], log: Sequence[RecordedEvent]) -> Iterator[str]:
    for before, event in pairwise(log):
        if event.recorded_at < before.recorded_at:
            yield f"time runs backwards at position {event.position}"


def _strangers(history: Sequence[Asked], log: Sequence[RecordedEvent]) -> Iterator[str]:
    known = {event_id for asked in history for event_id in asked.ids}
    for event in log:
        if event.event_id not in known:
            yield f"nobody asked for the event at position {event.position}"


def _effects(history: Sequence[Asked], log: Sequence[RecordedEvent]) -> Iterator[str]:
    """Acknowledged: once, whole, and where it was said to be. Unknown: once or not at all."""
    there: dict[UUID, list[RecordedEvent]] = {}
    for event in log:
        there.setdefault(event.event_id, []).append(event)
    for asked in history:
        found = [event for event_id in asked.ids for event in there.get(event_id, ())]
        if not found and asked.acknowledged is None:
            continue
        if not found:
            yield f"lost: {_named(asked)} was acknowledged and is not there"
        elif asked.acknowledged is None and not asked.may_be_there:
            yield f"{_named(asked)} was refused and is there"
        else:
            yield from _whole(asked, found)


def _whole(asked: Asked, found: list[RecordedEvent]) -> Iterator[str]:
    if [event.event_id for event in found] != asked.ids:
        yield f"{_named(asked)} is there in part, or more than once"
        return
    if [event.position for event in found] != list(
        range(found[0].position, found[0].position + len(found))
    ):
        yield f"{_named(asked)} does not stand together"
    given = [
        (write.stream, event.type, event.data)
        for write in asked.append.writes
        for event in write.events
    ]
    if [(event.stream, event.type, event.data) for event in found] != given:
        yield f"{_named(asked)} is not there as it was given"
    if asked.acknowledged is not None:
        yield from _told(asked, asked.acknowledged, found)


def _told(asked: Asked, answer: Appended, found: list[RecordedEvent]) -> Iterator[str]:
    if tuple(answer.point) != (found[-1].position, found[-1].event_id):
        yield f"{_named(asked)} was answered with another position"
    ends = {event.stream: event.version for event in found}
    if answer.streams != tuple(StreamVersion(*each) for each in ends.items()):
        yield f"{_named(asked)} was answered with other versions"


def _order(history: Sequence[Asked], _: Sequence[RecordedEvent]) -> Iterator[str]:
    """What was acknowledged before another append began stands before it."""
    done = [(asked, asked.acknowledged) for asked in history]
    known = [(asked, answer.point.position) for asked, answer in done if answer is not None]
    by_end = sorted(known, key=lambda each: each[0].ended)
    highest = ended = 0
    for asked, position in sorted(known, key=lambda each: each[0].began):
        while ended < len(by_end) and by_end[ended][0].ended < asked.began:
            highest = max(highest, by_end[ended][1])
            ended += 1
        if position < highest:
            yield f"{_named(asked)} stands before one that was acknowledged before it began"


def _errors(history: Sequence[Asked], _: Sequence[RecordedEvent]) -> Iterator[str]:
    """Faults show as these two kinds: what was not written, and what nobody knows."""
    for asked in history:
        for error in asked.errors:
            if not isinstance(error, OutcomeUnknown | StoreError):
                yield f"{_named(asked)} met {type(error).__name__}: {error}"


def _named(asked: Asked) -> str:
    assert asked.append.command is not None
    return f"command {asked.append.command.key.command_id}"
