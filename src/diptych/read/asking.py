"""`Asking`: asks watched queries again, a few at a time, and waits long for none of them.

A query that takes longer than most goes on while the rounds do, and holds one place meanwhile. One
whose answer does not come in time, or fails for the database, rests before it is asked again,
longer each time; all those that failed last have one place between them. So a query that hangs
keeps others waiting once, and hardly afterwards. It is `Watched` that tells how old its answer is.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from diptych.errors import CheckpointDiverged, StoreError
from diptych.read.bus import Look
from diptych.read.watched import Watched

AT_ONCE: Final = 4
"""Queries that are asked again at a time: there are few connections, and others need them."""
_LONGEST_ASK: Final = 10.0
_LONGEST_ROUND: Final = 1.0
"""Seconds. Who was not asked by then is first in the next round: others have to be looked at."""
_SLOW: Final = 0.25
"""So long, in seconds, a round waits for an answer or a place."""
_GRACE: Final = 1.0

_log = logging.getLogger(__name__)


class Asking:
    """`ask` asks a query; `again` is called when one was, and may have another answer already."""

    def __init__(
        self, ask: Callable[[Watched], Awaitable[Look[Any]]], again: Callable[[], None]
    ) -> None:
        self._ask, self._again = ask, again
        self._under_way: dict[asyncio.Task[None], Watched] = {}
        self._troubled: set[type] = set()

    async def round(self, watched: Sequence[Watched]) -> None:
        """Ask those that are ready, who waits longest first, and those that failed last."""
        now = asyncio.get_running_loop().time
        ends_at, begun = now() + _LONGEST_ROUND, []
        ready = [each for each in watched if each.ready(now())]
        for each in sorted(ready, key=lambda each: (each.failures > 0, each.due_since or 0)):
            if now() >= ends_at or not await self._room_for(each):
                break
            if each.ready(now()):
                begun.append(self._begin(each))
        if begun:
            await asyncio.wait(begun, timeout=_SLOW)

    def cancel(self) -> None:
        for task in self._under_way:
            task.cancel()

    async def close(self) -> None:
        """Cancel what is under way; a handler that goes on nevertheless is left alone."""
        self.cancel()
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=_GRACE)

    async def _room_for(self, watched: Watched) -> bool:
        if self._full(watched):
            await asyncio.wait(self._under_way, timeout=_SLOW, return_when=asyncio.FIRST_COMPLETED)
        return not self._full(watched)

    def _full(self, watched: Watched) -> bool:
        if len(self._under_way) >= AT_ONCE:
            return True
        return watched.failures > 0 and any(each.failures for each in self._under_way.values())

    def _begin(self, watched: Watched) -> asyncio.Task[None]:
        watched.asking = True
        task = asyncio.create_task(self._ask_one(watched), name="diptych-live-query")
        self._under_way[task] = watched
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        watched = self._under_way.pop(task)
        watched.asking = False
        if watched.ready(asyncio.get_running_loop().time()):
            self._again()

    async def _ask_one(self, watched: Watched) -> None:
        """Only an error of the query's own code ends it; its watchers get that."""
        limit = asyncio.timeout(_LONGEST_ASK)
        try:
            async with limit:
                look = await self._ask(watched)
            watched.failures = 0
            self._troubled.discard(type(watched.query))
            watched.show(look)
        except CheckpointDiverged as error:
            watched.fail(error)
        except StoreError as error:
            self._put_off(watched, str(error))
        except Exception as error:  # noqa: BLE001 - whatever the handler raises
            if limit.expired():
                self._put_off(watched, f"no answer in {_LONGEST_ASK:g} seconds")
            else:
                watched.fail(error)

    def _put_off(self, watched: Watched, reason: str) -> None:
        watched.put_off(asyncio.get_running_loop().time())
        kind = type(watched.query)
        if kind not in self._troubled:
            self._troubled.add(kind)
            _log.warning("live query %s lags, trying again: %s", kind.__qualname__, reason)
