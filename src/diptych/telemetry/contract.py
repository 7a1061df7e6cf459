"""`Telemetry`: the seam through which an application tells the outside what it does."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from diptych.flow.status import ReactionStatus
from diptych.messages import Envelope
from diptych.read.observer import Observer
from diptych.read.readiness import Readiness
from diptych.store.contract import Append
from diptych.store.group_commit import Commits


@dataclass(frozen=True, slots=True)
class Sample:
    """How an application is, as it was looked at about a second ago at most.

    `commits` is None where the log does not count them.
    """

    views: Readiness
    reactions: tuple[ReactionStatus, ...] = ()
    commits: Commits | None = None


class Telemetry(Observer, Protocol):
    """What is given as `Application(telemetry=[…])`.

    Nothing of it is in the way: without telemetry nothing is wrapped, and no call is made. Each
    call returns at once and never raises. It is told of types, counts, times and kinds of errors,
    never of what is in a command or an event.
    """

    def command(self, command: type, envelope: Envelope) -> AbstractContextManager[str]:
        """Around the handling of one command.

        What it gives is recorded with the events, as their `Metadata.trace`; "" records nothing.
        """
        ...

    def append(self, append: Append) -> AbstractContextManager[object]:
        """Around one append, from its call to its answer; what it raises is on its way out."""
        ...

    def looked(self, sample: Sample | None) -> None:
        """What was seen last; None if a database could not be asked."""
        ...
