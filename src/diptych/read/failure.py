"""What keeps a projection from going on: of which kind it is, at which event, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from diptych.errors import (
    DeliveryGap,
    HistoryDiverged,
    ParkingFull,
    StoreError,
    UndecodableEvent,
    UnknownEventType,
)
from diptych.errors.reason import reason as what_happened
from diptych.messages import RecordedEvent
from diptych.read.model import Key, Unapplied

Fault = (
    Unapplied | UndecodableEvent | UnknownEventType | DeliveryGap | ParkingFull | HistoryDiverged
)
"""What is the fault of an event, or of how it came, and not of a database."""

FAULTS: Final = (
    *(Unapplied, UndecodableEvent, UnknownEventType),
    *(DeliveryGap, ParkingFull, HistoryDiverged),
)


class FailureKind(Enum):
    """The class of a failure, as it is recorded.

    DECODE: the event does not fit its type. UNKNOWN_TYPE: no type is declared for it. APPLY: the
    rule failed, or made a row that cannot be stored. GAP: the page that was read from the log had
    a hole, or came twice. DIVERGED: the log has another history than the view. FULL: more is parked
    than the view allows. DATABASE: a database cannot do its work. UNEXPECTED: anything else.
    """

    DECODE = "decode"
    UNKNOWN_TYPE = "unknown type"
    APPLY = "apply"
    GAP = "gap"
    DIVERGED = "diverged"
    FULL = "full"
    DATABASE = "database"
    UNEXPECTED = "unexpected"


@dataclass(frozen=True, slots=True)
class Failure:
    """`position` and `event_type` are the event's, None and empty if it is not an event's fault.

    `key` is that of the one row that is concerned, if it is one. If the failure is not `exact`, an
    event before that one may have caused it. `error` has nothing of what was in the event.
    """

    kind: FailureKind
    error: str
    position: int | None = None
    event_type: str = ""
    key: Key | None = None
    exact: bool = True


class Failing(Exception):
    """The first event that is left cannot be finished; the cause says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.error)
        self.failure = failure


def failure_of(fault: Fault, events: Sequence[RecordedEvent] = ()) -> Failure:
    """`events` are those that were being applied."""
    position = fault.position or None
    event_type = next((each.type for each in events if each.position == position), "")
    key, exact = (fault.key, fault.exact) if isinstance(fault, Unapplied) else (None, True)
    return Failure(_kind_of(fault), reason(fault), position, event_type, key, exact)


def failure_of_other(error: BaseException) -> Failure:
    """Of an error that is not an event's fault, and is tried again for ever."""
    kind = FailureKind.DATABASE if isinstance(error, StoreError) else FailureKind.UNEXPECTED
    return Failure(kind, reason(error))


def _kind_of(fault: Fault) -> FailureKind:
    match fault:
        case UndecodableEvent():
            return FailureKind.DECODE
        case UnknownEventType():
            return FailureKind.UNKNOWN_TYPE
        case DeliveryGap():
            return FailureKind.GAP
        case ParkingFull():
            return FailureKind.FULL
        case HistoryDiverged():
            return FailureKind.DIVERGED
        case Unapplied():
            return FailureKind.APPLY


def reason(error: BaseException) -> str:
    """What happened, without what was in the event: that may be a secret."""
    if isinstance(error, Unapplied) and error.__cause__ is not None:
        error = error.__cause__
    return what_happened(error)
