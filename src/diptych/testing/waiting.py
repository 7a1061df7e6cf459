"""`wait_until`: how a test waits for something that happens elsewhere, without a fixed sleep."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable


async def wait_until(
    condition: Callable[[], bool | Awaitable[bool]], *, timeout: float = 30.0, poll: float = 0.002
) -> None:
    """Return as soon as `condition()` is true; it is asked every `poll` seconds.

    Raises:
        AssertionError: it is not true after `timeout` seconds. What the condition raises is
            passed on at once.
    """
    loop = asyncio.get_running_loop()
    give_up = loop.time() + timeout
    while not await _holds(condition):
        if loop.time() > give_up:
            name = getattr(condition, "__name__", repr(condition))
            raise AssertionError(f"{name} is not true after {timeout:g} s")
        await asyncio.sleep(poll)


async def _holds(condition: Callable[[], bool | Awaitable[bool]]) -> bool:
    answer = condition()
    return await answer if inspect.isawaitable(answer) else answer
