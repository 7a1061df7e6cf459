"""What clients of a log record: what they asked, when, and what they were answered.

All moments are of one clock. Nothing here knows a store: a history can be written by hand.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple


class Stored(NamedTuple):
    """An event as the log has it at the end."""

    position: int
    stream: str
    version: int
    event_id: str
    content: str
    recorded_at: float


class Given(NamedTuple):
    """An event as a client gave it."""

    stream: str
    event_id: str
    content: str


class Outcome(Enum):
    """REFUSED: a stream was not at its expected version. UNKNOWN: the answer was lost."""

    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Something that a client did, from `began` to `ended`."""

    client: int
    began: float
    ended: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Appending(Span):
    """One attempt; another of the same `command` is the same append sent again. `expected` and
    `versions` are by stream; `position` is of its last event."""

    command: str
    events: tuple[Given, ...]
    expected: tuple[tuple[str, int], ...] = ()
    outcome: Outcome
    position: int = 0
    versions: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading(Span):
    """A stream, read from its beginning: the ids of its events."""

    stream: str
    seen: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging(Span):
    """A page of the log: all behind `after` up to `scanned`, while the log's end was `head`."""

    after: int
    scanned: int
    head: int
    seen: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking(Span):
    """A query for how many events a stream has, by a client that has seen `at_least`."""

    stream: str
    at_least: int
    as_of: int
    value: int


@dataclass(frozen=True, slots=True)
class Following:
    """What a subscriber was given, from the beginning of the log on: position, id and moment."""

    seen: tuple[tuple[int, str, float], ...]


@dataclass(slots=True)
class History:
    """All that was recorded, and the log as it is when all clients have ended."""

    log: Sequence[Stored] = ()
    appendings: list[Appending] = field(default_factory=list)
    loadings: list[Loading] = field(default_factory=list)
    pagings: list[Paging] = field(default_factory=list)
    askings: list[Asking] = field(default_factory=list)
    followings: list[Following] = field(default_factory=list)


class Command:
    """An append with all attempts at it."""

    def __init__(self, attempts: Sequence[Appending]) -> None:
        self.attempts, first = attempts, attempts[0]
        self.name, self.events, self.expected = first.command, first.events, first.expected
        self.done = [each for each in attempts if each.outcome is Outcome.DONE]
        self.refused = all(each.outcome is Outcome.REFUSED for each in attempts)
        self.began = min(each.began for each in attempts)
        self.ended = min((each.ended for each in self.done), default=float("inf"))


class Latest:
    """The largest number that was known before a moment, in O(log n)."""

    def __init__(self, known: Iterable[tuple[float, int]]) -> None:
        ordered = sorted(known)
        self._moments = [moment for moment, _ in ordered]
        self._largest = list(accumulate((number for _, number in ordered), max))

    def before(self, moment: float) -> int:
        place = bisect_left(self._moments, moment)
        return self._largest[place - 1] if place else 0


class Truth:
    """The log at the end, and who appended what, as the clauses look things up in it."""

    def __init__(self, history: History) -> None:
        self.log = history.log
        self.there: dict[str, list[Stored]] = defaultdict(list)
        self.streams: dict[str, list[Stored]] = defaultdict(list)
        for event in history.log:
            self.there[event.event_id].append(event)
            self.streams[event.stream].append(event)
        attempts: dict[str, list[Appending]] = defaultdict(list)
        for each in history.appendings:
            attempts[each.command].append(each)
        self.commands = [Command(each) for each in attempts.values()]

    def found(self, command: Command) -> list[Stored]:
        """Where its events are, in the order in which they were given; the first of each."""
        return [
            self.there[each.event_id][0] for each in command.events if each.event_id in self.there
        ]

    def is_whole(self, command: Command) -> bool:
        return len(self.found(command)) == len(command.events)

    @cached_property
    def began(self) -> dict[str, float]:
        """When it was first asked to append an event, by its id."""
        return {given.event_id: each.began for each in self.commands for given in each.events}

    @cached_property
    def acknowledged(self) -> dict[str, Latest]:
        """By stream, the version that was acknowledged before a moment."""
        known: dict[str, list[tuple[float, int]]] = defaultdict(list)
        for command in self.commands:
            for event in self.found(command) if command.done else ():
                known[event.stream].append((command.ended, event.version))
        return defaultdict(
            lambda: Latest(()), {each: Latest(found) for each, found in known.items()}
        )

    @cached_property
    def acknowledged_position(self) -> Latest:
        """The position that was acknowledged before a moment."""
        done = (command for command in self.commands if command.done)
        return Latest((each.ended, event.position) for each in done for event in self.found(each))
