"""Where blocking work runs: on the event loop while it is quick, in a thread after it was slow."""

import time


class Pace:
    """Remembers whether work on the event loop took too long lately.

    After a piece of work of `slow` seconds or more the loop is spared for `rest` seconds.
    """

    def __init__(self, *, slow: float = 0.005, rest: float = 1.0) -> None:
        self._slow, self._rest = slow, rest
        self._spared_until = 0.0

    @property
    def quick(self) -> bool:
        return time.monotonic() >= self._spared_until

    def took(self, seconds: float) -> None:
        if seconds >= self._slow:
            self._spared_until = time.monotonic() + self._rest
