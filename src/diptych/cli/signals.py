"""`until_stopped`: work that SIGTERM and SIGINT end cleanly."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, Final

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


async def until_stopped(work: Coroutine[Any, Any, int]) -> int | None:
    """What `work` returns; None if a signal cancelled it first. Further signals change nothing."""
    loop, task = asyncio.get_running_loop(), asyncio.create_task(work)
    stopped = False

    def stop() -> None:
        nonlocal stopped
        if not stopped:
            stopped = task.cancel()

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        return await task
    except asyncio.CancelledError:
        if not stopped:
            raise
        return None
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
