"""`Batcher`: what is waiting goes together; nothing waits for company.

Theory of operation
-------------------
`submit` puts an item with a future into a queue and, if nothing is under way, has the loop call
`_next` in its next turn. `_next` takes what is waiting then, up to a bound in items and in weight,
hands it to `run` in one call, and resolves the futures with what `run` returned, item by item.
While one call runs, the next batch gathers; when the queue is empty nothing is under way. There is
no timer: a lone item costs one call and no waiting.

`run` answers each item with a result or an exception, at once or later: what is done on the spot
needs no task. If it raises, or is cancelled, every item of that batch gets what `failed` makes of
that. All of this runs in callbacks of the loop, so there is no task of ours that could be cancelled
or die, and nobody hangs. Between batches that are answered on the spot the loop has a turn.

Where `run` answers later, the answered come back at once and would all be in the next batch: then
this process rests while `run` works, and `run` while this process does. So as long as coming back
takes longer than a call, only some are answered before the next batch goes: as many as make it half
of all. The others are answered, and come back, while it is under way.

Waiters hold their own future, so a cancelled waiter takes nobody with it, and an item that is in a
batch already is not taken back. An item whose waiter gave up before that is dropped.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Generic, NamedTuple, TypeVar

from diptych.errors import Overloaded, StoreClosed

Item = TypeVar("Item")
Result = TypeVar("Result")
Answers = Sequence[Result | Exception] | Awaitable[Sequence[Result | Exception]]
"""One result or exception for each item, in order, now or later."""


class _Waiting(NamedTuple, Generic[Item, Result]):
    item: Item
    weight: int
    answer: "asyncio.Future[Result]"


class Batcher(Generic[Item, Result]):
    """Turns concurrent calls into few calls of `run` with a sequence of items.

    `run` returns exactly one result or exception for each item, in order. Items keep their order.
    For one event loop; items of one batch weigh `max_weight` together at most (a heavier single
    item goes alone).
    """

    def __init__(
        self,
        run: Callable[[Sequence[Item]], "Answers[Result]"],
        *,
        max_items: int = 512,
        max_weight: int = 4_000_000,
        max_waiting: int = 10_000,
        failed: Callable[[BaseException], Exception] = lambda error: StoreClosed(str(error)),
    ) -> None:
        self._run, self._failed = run, failed
        self._max_items, self._max_weight, self._max_waiting = max_items, max_weight, max_waiting
        self._queue: deque[_Waiting[Item, Result]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._under_way, self._closed = False, False
        self._sent_at = self._answered_at = 0.0
        self._first, self._return_seconds = 0, 0.0  # how long an item takes to come back
        self._idle: asyncio.Future[None] | None = None

    def submit(self, item: Item, weight: int = 1) -> "asyncio.Future[Result]":
        """Queue `item`; await what comes back for its result.

        Raises:
            Overloaded: `max_waiting` items are waiting already; this one was not queued.
            StoreClosed: `close` was called; this one was not queued.
        """
        if self._closed:
            raise StoreClosed("closed: nothing more is accepted")
        if len(self._queue) >= self._max_waiting:
            raise Overloaded(waiting=len(self._queue), limit=self._max_waiting)
        loop = self._loop = self._loop or asyncio.get_running_loop()
        answer: asyncio.Future[Result] = loop.create_future()
        self._queue.append(_Waiting(item, weight, answer))
        if not self._under_way:
            self._under_way = True
            loop.call_soon(self._next)
        return answer

    async def close(self) -> None:
        """Refuse new items and wait until those that were accepted are answered."""
        self._closed = True
        if self._under_way:
            if self._idle is None:
                self._idle = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._idle)

    def _next(self) -> None:
        batch = self._take()
        self._sent_at = asyncio.get_running_loop().time()
        if self._first:
            self._return_seconds = (self._sent_at - self._answered_at) / self._first
        if not batch:
            self._under_way = False
            if self._idle is not None:
                self._idle.set_result(None)
            return
        try:
            given = self._run([waiting.item for waiting in batch])
        except BaseException as error:
            self._finish(batch, self._failures(batch, error))
            if not isinstance(error, Exception):
                raise
        else:
            if isinstance(given, Sequence):
                self._finish(batch, given)
            else:
                call = asyncio.ensure_future(given)
                call.add_done_callback(partial(self._called, batch))

    def _called(
        self,
        batch: Sequence[_Waiting[Item, Result]],
        call: "asyncio.Future[Sequence[Result | Exception]]",
    ) -> None:
        error = asyncio.CancelledError() if call.cancelled() else call.exception()
        answers = self._failures(batch, error) if error else call.result()
        self._finish(batch, answers, first=self._before_the_next(len(batch)))

    def _before_the_next(self, answered: int) -> int:
        """How many of those that are answered now get to know it before the next batch goes."""
        self._answered_at = asyncio.get_running_loop().time()
        waiting, seconds = len(self._queue), self._answered_at - self._sent_at
        if (answered + waiting) * self._return_seconds > 0.75 * seconds:
            self._first = max(answered - waiting, 0) // 2
        else:
            self._first = answered
        return self._first

    def _finish(
        self,
        batch: Sequence[_Waiting[Item, Result]],
        answers: Sequence[Result | Exception],
        *,
        first: int | None = None,
    ) -> None:
        if len(answers) != len(batch):
            wrong = RuntimeError(f"{len(answers)} answers for {len(batch)} items")
            answers = self._failures(batch, wrong)
        loop = asyncio.get_running_loop()
        _resolve_all(batch[:first], answers[:first])
        loop.call_soon(self._next)
        if first is not None and first < len(batch):
            loop.call_soon(_resolve_all, batch[first:], answers[first:])

    def _failures(
        self, batch: Sequence[_Waiting[Item, Result]], error: BaseException
    ) -> Sequence[Result | Exception]:
        return [self._failed(error) for _ in batch]

    def _take(self) -> list[_Waiting[Item, Result]]:
        batch: list[_Waiting[Item, Result]] = []
        weight = 0
        while self._queue and len(batch) < self._max_items:
            weight += self._queue[0].weight
            if batch and weight > self._max_weight:
                break
            waiting = self._queue.popleft()
            if waiting.answer.done():
                weight -= waiting.weight
            else:
                batch.append(waiting)
        return batch


def _resolve_all(
    batch: Sequence[_Waiting[Item, Result]], answers: Sequence[Result | Exception]
) -> None:
    for waiting, answer in zip(batch, answers, strict=True):
        _resolve(waiting.answer, answer)


def _resolve(answer: "asyncio.Future[Result]", value: Result | Exception) -> None:
    if answer.done():
        return
    if isinstance(value, Exception):
        answer.set_exception(value)
    else:
        answer.set_result(value)
