"""Ours: the request was sound, and may succeed later."""

from datetime import timedelta
from uuid import UUID

from diptych.errors.kinds import TryAgain


class ConcurrencyError(TryAgain):
    """The stream is at `actual`, not at `expected`: somebody else was faster. Nothing written."""

    def __init__(self, stream: str, *, expected: int, actual: int) -> None:
        super().__init__(f"stream {stream} is at version {actual}, not {expected}")
        self.stream, self.expected, self.actual = stream, expected, actual


class ConditionFailed(TryAgain):
    """The event at `position` matches the append condition, so nothing was written."""

    def __init__(self, *, after: int, position: int) -> None:
        super().__init__(f"an event after {after}, at {position}, matches the append condition")
        self.after, self.position = after, position


class CommandTookEffect(TryAgain):
    """While a transaction with this command was under way, a twin of the command took effect.

    Nothing of the transaction is committed. Send the command again for its outcome, and leave out
    what else you would have changed for it.
    """

    def __init__(self, command_id: UUID) -> None:
        super().__init__(f"command {command_id} took effect meanwhile; nothing was committed")
        self.command_id = command_id


class OutcomeUnknown(TryAgain):
    """Contact was lost around the commit; the same command under the same id is safe to repeat."""

    def __init__(self, command_id: UUID | None = None) -> None:
        named = f" of command {command_id}" if command_id else ""
        super().__init__(f"it is not known whether the append{named} was committed")
        self.command_id = command_id


class Overloaded(TryAgain):
    """More work is waiting than `limit` allows; try again in about `retry_after` seconds."""

    def __init__(self, *, waiting: int, limit: int, retry_after: float = 1.0) -> None:
        super().__init__(f"{waiting} are waiting already, at most {limit} may")
        self.waiting, self.limit, self.retry_after = waiting, limit, retry_after


class ConsistencyTimeout(TryAgain):
    """`view` had reached position `reached`, not `wanted`, when the time was up."""

    def __init__(self, view: str, *, wanted: int, reached: int, timeout: timedelta) -> None:
        seconds = timeout.total_seconds()
        super().__init__(f"view {view} is at {reached}, not yet at {wanted}, after {seconds:g} s")
        self.view, self.wanted, self.reached, self.timeout = view, wanted, reached, timeout


class ViewNotReady(TryAgain):
    """`view` is being built for this version of the code: `position` of `head` events are in."""

    def __init__(self, view: str, *, position: int, head: int) -> None:
        super().__init__(f"view {view} is being built: at {position} of {head}")
        self.view, self.position, self.head = view, position, head


class KeyParked(TryAgain):
    """Events of a row of `view`, from `position` on, are parked: the row is not what it should be.

    It was asked for by its key, or may belong to the page. `ask(on_timeout="stale")` answers with
    what there is. An operator retries or discards what is parked.
    """

    def __init__(self, view: str, *, position: int) -> None:
        super().__init__(f"view {view} has parked an event at {position} that the answer needs")
        self.view, self.position = view, position


class ViewPaused(TryAgain):
    """`view` was paused by an operator at `since`, and stays at `reached` until it is resumed."""

    def __init__(self, view: str, *, since: str, reached: int) -> None:
        super().__init__(f"view {view} is paused since {since}, at {reached}")
        self.view, self.since, self.reached = view, since, reached
