"""`Observer`: who is told what projectors do; several as one."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Final, Protocol

from diptych.messages import RecordedEvent

_NOTHING: Final = nullcontext()


class Observer(Protocol):
    """Each call returns at once and never raises: what is observed must not depend on it."""

    def page(self, view: str, events: Sequence[RecordedEvent]) -> AbstractContextManager[object]:
        """Around one page of a view, from folding to commit; what it raises is on its way out."""
        ...

    def retried(self, view: str, error: BaseException) -> None:
        """A view could not go on, and tries again."""
        ...

    def parked(self, view: str, error: BaseException) -> None:
        """A view sets the events of a key aside."""
        ...

    def stopped(self, view: str, error: BaseException) -> None:
        """A view stopped at an event."""
        ...


class Observers:
    """Tells all of them. Without any it costs nothing."""

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        self._observers = tuple(observers)

    def page(self, view: str, events: Sequence[RecordedEvent]) -> AbstractContextManager[object]:
        if not self._observers or not events:
            return _NOTHING
        stack = ExitStack()
        for each in self._observers:
            stack.enter_context(each.page(view, events))
        return stack

    def retried(self, view: str, error: BaseException) -> None:
        for each in self._observers:
            each.retried(view, error)

    def parked(self, view: str, error: BaseException) -> None:
        for each in self._observers:
            each.parked(view, error)

    def stopped(self, view: str, error: BaseException) -> None:
        for each in self._observers:
            each.stopped(view, error)


UNOBSERVED: Final = Observers()
