"""`Handling`: one event of a reaction, tried until it is handled or has failed."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from diptych.clock import Clock
from diptych.errors import UndecodableEvent, UnknownEventType
from diptych.errors.reason import reason
from diptych.failpoints import failpoint
from diptych.flow.calling import GoesOn, called
from diptych.flow.reaction import Reaction
from diptych.messages import RecordedEvent
from diptych.store.cursors import Failure

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 30.0

Turn = Callable[[], AbstractAsyncContextManager[None]]
Pause = Callable[[float], Awaitable[None]]


class Handling:
    """Calls `handle` of a reaction.

    Each call is made inside a `turn` and none during a `pause`, after an attempt that failed. Where
    an upcaster made several events of one, those that were handled are not tried again.
    """

    def __init__(self, reaction: Reaction[Any], clock: Clock, *, turn: Turn, pause: Pause) -> None:
        self._reaction, self._clock = reaction, clock
        self._turn, self._pause = turn, pause
        self.retrying = 0

    async def handle(
        self, recorded: RecordedEvent, *, ends: Callable[[], bool] = lambda: False
    ) -> Failure | None:
        """Why it failed, or None. If it `ends` before an attempt, or between two, a failure that
        is not to be recorded."""
        try:
            events = list(await self._reaction.decode(recorded))
        except (UnknownEventType, UndecodableEvent) as error:
            kind = "unknown type" if isinstance(error, UnknownEventType) else "decode"
            return self._failure(recorded, kind, error)
        attempt = 0
        while events:
            wrong = await self._attempt(events[0], recorded, ends)
            if wrong is None:
                events.pop(0)
                continue
            attempt += 1
            failure = self._failure(recorded, "handle", wrong, attempts=attempt)
            last = attempt >= self._reaction.attempts or isinstance(wrong, GoesOn)
            if last or ends():
                return failure
            await self._wait(attempt)
            if ends():
                return failure
        return None

    async def _attempt(
        self, event: object, recorded: RecordedEvent, ends: Callable[[], bool]
    ) -> BaseException | None:
        async with self._turn():
            if ends():  # while it waited for its turn
                return asyncio.CancelledError()
            failpoint("reaction.before_handle")
            try:
                await called(self._reaction.handle(event, recorded), self._reaction.timeout)
            except asyncio.CancelledError as error:
                if _is_cancelled():
                    raise
                return error
            except Exception as error:  # noqa: BLE001 - whatever it is, it is recorded
                return error
            failpoint("reaction.after_handle")
            return None

    async def _wait(self, attempt: int) -> None:
        longest = min(_FIRST_PAUSE * 2 ** (attempt - 1), _LONGEST_PAUSE)
        self.retrying += 1
        try:
            await self._pause(longest * (0.5 + self._clock.jitter() / 2))
        finally:
            self.retrying -= 1

    def _failure(
        self, recorded: RecordedEvent, kind: str, error: BaseException, *, attempts: int = 1
    ) -> Failure:
        return Failure(
            kind,
            reason(error),
            self._clock.now(),
            recorded.position,
            tenant=recorded.tenant,
            stream=recorded.stream,
            version=recorded.version,
            event_type=recorded.type,
            attempts=attempts,
        )


def _is_cancelled() -> bool:
    """A `CancelledError` may be a mere error of what `handle` awaits."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
