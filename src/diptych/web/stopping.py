"""`Stopping`: what has to be ended before a server waits for every answer to be complete."""

import asyncio
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Final

STOPPING: Final = "diptych.stopping"
"""Where a server that says when it stops leaves a `Stopping` in the scope."""

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Stopping:
    """Calls what was registered once the server stops."""

    def __init__(self) -> None:
        self._ends: set[Callable[[], None]] = set()
        self._now = False

    def begin(self) -> None:
        self._now = True
        for end in list(self._ends):
            end()

    @contextmanager
    def ends(self, end: Callable[[], None]) -> Generator[None]:
        """Call `end` if the server stops meanwhile, or does already."""
        if self._now:
            end()
        self._ends.add(end)
        try:
            yield
        finally:
            self._ends.discard(end)

    @contextmanager
    def begun_by_signals(self) -> Generator[None]:
        """Begin when this process is told to end, and leave the rest to who is told already.

        uvicorn tells its applications nothing before all of their answers are complete: with a
        stream it would wait for ever. Signals are heard in the main thread only, and only where
        somebody handles them.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        handlers = {number: signal.getsignal(number) for number in _SIGNALS}

        def heard(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self.begin)
            handler = handlers[signal.Signals(number)]
            if callable(handler):
                handler(number, frame)

        ours = [number for number, handler in handlers.items() if callable(handler)]
        for number in ours:
            signal.signal(number, heard)
        try:
            yield
        finally:
            for number in ours:
                if signal.getsignal(number) is heard:
                    signal.signal(number, handlers[number])
