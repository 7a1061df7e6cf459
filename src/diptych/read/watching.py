"""`Watching`: the answers of one watched query, one after the other, for one watcher."""

import weakref
from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import TracebackType
from typing import Generic, Self, TypeVar

from diptych.read.bus import Look
from diptych.read.consistency import newer
from diptych.read.query import Answer
from diptych.read.watched import Seat
from diptych.tokens import Token

R = TypeVar("R")


class Watching(Generic[R]):
    """An async iterator of `Answer`s: first as `Application.ask` with `on_timeout="stale"` gives
    it, then again whenever the value is another one, or `stale` is.

    Each shows the log at the place of its token or later, and none is older than the one before.
    A consumer that is slow misses values in between, never the last one. An answer is `stale`
    while the views lag behind for longer than their `max_lag`, are stopped or paused behind the
    log, cannot be read, or have not reached `at_least`; what is parked makes it stale too.

    A wait for the next answer may be cancelled and begun again. It ends with `aclose`, with its
    `async with` block, or when nobody has it any more.
    """

    def __init__(
        self,
        begin: Callable[[], Awaitable[Look[R]]],
        join: Callable[[Look[R]], Seat],
        *,
        at_least: Token | None,
    ) -> None:
        self._begin, self._join, self._at_least = begin, join, at_least
        self._seat: Seat | None = None
        self._closed = False
        self._goal = 0
        self._shown: Answer[R]

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Answer[R]:
        """Raises: what `Application.ask` raises, and what the query's handler does. StoreClosed:
        the application was closed."""
        if self._seat is None and not self._closed:
            look = await self._begin()
            return self._first(look)
        while self._seat is not None and not self._closed:
            found = self._next(self._seat)
            if found is not None:
                return found
            await self._seat.woken()
        raise StopAsyncIteration

    def close(self) -> None:
        """End it: whoever waits for the next answer is told that there is none."""
        self._closed = True
        if self._seat is not None:
            self._seat.leave()

    async def aclose(self) -> None:
        """The same, for `contextlib.aclosing`."""
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _first(self, look: Look[R]) -> Answer[R]:
        if self._closed:
            raise StopAsyncIteration
        self._seat = self._join(look)
        weakref.finalize(self, self._seat.leave).atexit = False
        self._goal = max(look.wanted, look.place.position)
        return self._show(look.answer, self._seat)

    def _next(self, seat: Seat) -> Answer[R] | None:
        """What is to be shown now, if it is anything new."""
        watched = seat.watched
        try:
            watched.check()
        except Exception:
            self.close()
            raise
        place, known = watched.place, watched.look.shown
        if place.position < self._goal:
            return None
        self._goal = place.position
        # The views may be there again, with an answer that nobody has asked for yet
        late = watched.late or watched.group.late
        stale = known.stale or late or (self._shown.stale and watched.due)
        if stale == self._shown.stale and known.value == self._shown.value:
            return None
        token = newer(place, self._at_least)
        as_of = known.as_of if known.stale else place
        return self._show(replace(known, stale=stale, as_of=as_of, token=token), seat)

    def _show(self, answer: Answer[R], seat: Seat) -> Answer[R]:
        self._shown, seat.unsettled = answer, answer.stale
        return answer
