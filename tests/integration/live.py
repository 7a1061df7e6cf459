"""What the tests of live queries share: waiting for the next answer, and for one that fits."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from diptych.read.query import Answer
from diptych.read.watching import Watching
from tests.integration.accounts import Account

R = TypeVar("R")


async def upcoming(watching: Watching[R], *, seconds: float = 20) -> Answer[R]:
    async with asyncio.timeout(seconds):
        return await anext(watching)


async def until(watching: Watching[R], fits: Callable[[Answer[R]], bool]) -> Answer[R]:
    """The first answer that fits; fails if none comes in time."""
    while not fits(found := await upcoming(watching)):
        pass
    return found


async def balance(watching: Watching[Account | None]) -> int | None:
    found = (await upcoming(watching)).value
    return None if found is None else found.balance
