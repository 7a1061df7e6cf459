"""`called`: a call of somebody else's code that nobody has to wait for longer than was said."""

import asyncio
import logging
from collections.abc import Awaitable
from datetime import timedelta
from typing import Final

from diptych.errors import DiptychError

_LONGEST_CANCEL: Final = 5.0
"""Seconds in which a call that was cancelled has to end."""

_log = logging.getLogger(__name__)


class GoesOn(DiptychError):
    """A call was cancelled and did not end. Calling again would do both at once."""

    def __init__(self) -> None:
        super().__init__("it took too long, was cancelled, and goes on all the same")


async def called(call: Awaitable[None], timeout: timedelta) -> None:
    """Cancel it when it takes too long, or when this is cancelled; what does not end then is left
    alone.

    Raises: TimeoutError; GoesOn; whatever it raises.
    """
    task = asyncio.ensure_future(call)
    try:
        await asyncio.wait({task}, timeout=timeout.total_seconds())
    except asyncio.CancelledError:
        await _end(task)
        raise
    if not task.done():
        await _end(task)
        if not task.done():
            raise GoesOn
        if task.cancelled():
            raise TimeoutError
    await task


async def _end(task: "asyncio.Future[None]") -> None:
    task.cancel()
    task.add_done_callback(_forget)
    await asyncio.wait({task}, timeout=_LONGEST_CANCEL)
    if not task.done():
        _log.error("%r was cancelled and goes on: it is left alone", task)


def _forget(task: "asyncio.Future[None]") -> None:
    """Perhaps nobody else asks what became of it, of which asyncio would complain."""
    if not task.cancelled():
        task.exception()
