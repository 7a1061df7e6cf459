"""What an operator's act meets: something that is not there, is in use, or must come first."""

from collections.abc import Iterable

from diptych.errors.kinds import Rejected, StoreError, TryAgain


class UnknownView(Rejected):
    """The application has no view or projection of this name; `known` lists what it has."""

    def __init__(self, name: str, *, known: Iterable[str]) -> None:
        self.name, self.known = name, tuple(sorted(known))
        there = ", ".join(self.known) or "nothing"
        super().__init__(f"there is no view or projection {name!r}; there is {there}")


class UnknownReaction(Rejected):
    """The application has no reaction of this name; `known` lists what it has."""

    def __init__(self, name: str, *, known: Iterable[str]) -> None:
        self.name, self.known = name, tuple(sorted(known))
        there = ", ".join(self.known) or "none"
        super().__init__(f"there is no reaction {name!r}; there is {there}")


class UnknownRevision(Rejected):
    """The read database has no revision with this number."""

    def __init__(self, revision: int) -> None:
        super().__init__(f"there is no revision {revision}")
        self.revision = revision


class RevisionInUse(Rejected):
    """The revision cannot be dropped; `reason` says who needs it. Nothing was dropped."""

    def __init__(self, revision: int, *, view: str, reason: str) -> None:
        super().__init__(f"revision {revision} of {view} cannot be dropped: {reason}")
        self.revision, self.view, self.reason = revision, view, reason


class RebuildRunning(TryAgain):
    """The view is being built already, by the process `holder` (host/pid)."""

    def __init__(self, view: str, *, holder: str) -> None:
        super().__init__(f"view {view} is being built by {holder}: wait for it, or end it")
        self.view, self.holder = view, holder


class RebuildRequired(StoreError):
    """`view` has no complete table for this version of the code, and must not build it here."""

    def __init__(self, view: str) -> None:
        super().__init__(
            f"view {view} has no table for this code and rebuild='never': run"
            f" `diptych rebuild {view}` with this code before it is started"
        )
        self.view = view


class NotParked(Rejected):
    """Nothing is parked in `view` under this key; or by the reaction `view` of this stream."""

    def __init__(self, view: str, *, stream: str = "") -> None:
        where = f"of stream {stream}" if stream else "under this key"
        super().__init__(f"{view} has nothing parked {where}")
        self.view, self.stream = view, stream


class NotStopped(Rejected):
    """The reaction has not stopped, or at no event, so that there is nothing to go on behind."""

    def __init__(self, reaction: str, *, at: str = "") -> None:
        super().__init__(f"{reaction} has not stopped{at}: there is nothing to do")
        self.reaction = reaction


class RetriedElsewhere(TryAgain):
    """Another operator has begun to retry `stream`, or has discarded it, after this was begun;
    `done` of its events were handled before."""

    def __init__(self, reaction: str, *, stream: str, done: int) -> None:
        super().__init__(
            f"{reaction}: another operator has begun to retry {stream}, or has discarded it,"
            f" meanwhile; events handled here before: {done}"
        )
        self.reaction, self.stream, self.done = reaction, stream, done


class StillParked(Rejected):
    """What is parked under the key cannot be applied yet; nothing was changed.

    The event at `position` failed, for `reason`.
    """

    def __init__(self, view: str, *, position: int, reason: str) -> None:
        super().__init__(f"{view}: the parked event at {position} failed again: {reason}")
        self.view, self.position, self.reason = view, position, reason


class ViewChanging(TryAgain):
    """The rows of `view` were changed by operators, again and again, while they were looked at."""

    def __init__(self, view: str) -> None:
        super().__init__(f"operators change the rows of view {view} all the time: try again later")
        self.view = view


class NotAView(Rejected):
    """`name` is a projection: it has no rows by key."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is a projection, which has no rows by key: rebuild it instead")
        self.name = name
