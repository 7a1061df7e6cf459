"""`Deadline`: many tasks at once, each bounded by the same time, with one timer for all of them.

As `asyncio.timeout`, which makes and drops a timer of the event loop for each use: two of them in
every request cost more than decoding its body.
"""

import asyncio
from types import TracebackType
from typing import Any, Final, Self

_STEPS: Final = 20
"""The timer looks this many times in the time that is allowed; so much later a task may end."""


class Deadline:
    """`with deadline.limit():` raises TimeoutError in a task that is `seconds` in there."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._running: dict[Limited, float] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def limit(self, *, began: float | None = None) -> "Limited":
        """From now on, or from a time of the event loop's clock."""
        return Limited(self, began)

    def enter(self, limited: "Limited", began: float | None) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._running = loop, {}
            loop.call_later(self.seconds / _STEPS, self._look, loop)
        self._running[limited] = loop.time() if began is None else began

    def leave(self, limited: "Limited") -> None:
        self._running.pop(limited, None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._running:
            self._loop = None
            return
        over = loop.time() - self.seconds
        for limited, began in list(self._running.items()):
            if began <= over:
                del self._running[limited]
                limited.end()
        loop.call_later(self.seconds / _STEPS, self._look, loop)


class Limited:
    """One use of a deadline. `over` tells afterwards that it was its own time that was up."""

    __slots__ = ("_began", "_cancelling", "_deadline", "_task", "over")

    def __init__(self, deadline: Deadline, began: float | None) -> None:
        self._deadline, self._began, self.over = deadline, began, False

    def __enter__(self) -> Self:
        task: asyncio.Task[Any] | None = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        self._task, self._cancelling = task, task.cancelling()
        self._deadline.enter(self, self._began)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._deadline.leave(self)
        if not self.over:
            return
        if self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def end(self) -> None:
        self.over = True
        self._task.cancel()
