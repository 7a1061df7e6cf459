"""`Batcher`: what is waiting goes together; nothing waits for company.

Theory of operation
-------------------
`submit` puts an item with a bare future into a queue and, if none is running, starts the drain
task. The drain takes what is waiting, up to a bound in items and in weight, hands it to `run` in
one call, and resolves the futures with what `run` returned, item by item. While one call runs, the
next batch gathers; when the queue is empty the drain ends. There is no timer: a lone item costs one
call and no waiting.

Waiters await their future, never the task, so a cancelled waiter takes nobody with it, and an item
that is already in a batch is not taken back. An item whose waiter gave up before its batch was
taken is dropped. The drain shields a running call from cancellation: it waits for its end, answers
everyone, and passes the cancellation on then.

`run` answers each item with a result or an exception, at once or later: what is done on the spot
needs no task. If it raises, every item of that batch gets what `failed` makes of that exception.
The net under all of this is the done-callback of the drain task, not a `finally`: a task that is
cancelled before its first step never enters its body. The callback fails whatever is left over and
starts a new drain for what slipped in. So nobody hangs.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
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
        weigh: Callable[[Item], int] = lambda _: 1,
        max_weight: int = 4_000_000,
        max_waiting: int = 10_000,
        failed: Callable[[BaseException], Exception] = lambda error: StoreClosed(str(error)),
    ) -> None:
        self._run, self._failed, self._weigh = run, failed, weigh
        self._max_items, self._max_weight, self._max_waiting = max_items, max_weight, max_waiting
        self._queue: deque[_Waiting[Item, Result]] = deque()
        self._running: Sequence[_Waiting[Item, Result]] = ()
        self._drain_task: asyncio.Task[None] | None = None
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def submit(self, item: Item) -> "asyncio.Future[Result]":
        """Queue `item`; await what comes back for its result.

        Raises:
            Overloaded: `max_waiting` items are waiting already; this one was not queued.
            StoreClosed: `close` was called; this one was not queued.
        """
        if self._closed:
            raise StoreClosed("closed: nothing more is accepted")
        if len(self._queue) >= self._max_waiting:
            raise Overloaded(waiting=len(self._queue), limit=self._max_waiting)
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        answer: asyncio.Future[Result] = self._loop.create_future()
        self._queue.append(_Waiting(item, self._weigh(item), answer))
        if self._drain_task is None:
            self._start()
        return answer

    async def close(self) -> None:
        """Refuse new items and wait until those that were accepted are answered."""
        self._closed = True
        while self._drain_task is not None:
            await asyncio.wait([self._drain_task])
            # The done-callback that may start another drain runs in the loop's next turn.
            await asyncio.sleep(0)

    def _start(self) -> None:
        self._drain_task = asyncio.get_running_loop().create_task(self._drain())
        self._drain_task.add_done_callback(self._ended)

    async def _drain(self) -> None:
        while batch := self._take():
            self._running = batch
            answers, cancelled = await self._answers(batch)
            self._running = ()
            for waiting, answer in zip(batch, answers, strict=True):
                _resolve(waiting.answer, answer)
            if cancelled:
                raise asyncio.CancelledError
            if self._queue:
                await asyncio.sleep(0)  # batches that are answered on the spot never wait

    async def _answers(
        self, batch: Sequence[_Waiting[Item, Result]]
    ) -> tuple[Sequence[Result | Exception], bool]:
        cancelled = False
        try:
            given = self._run([waiting.item for waiting in batch])
            if isinstance(given, Sequence):
                answers = given
            else:
                answers, cancelled = await _uncancelled(given)
            if len(answers) != len(batch):
                raise RuntimeError(f"{len(answers)} answers for {len(batch)} items")  # noqa: TRY301
        except Exception as error:  # noqa: BLE001 - whatever it is, it is every waiter's answer
            return [self._failed(error) for _ in batch], cancelled
        return answers, cancelled

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

    def _ended(self, task: "asyncio.Task[None]") -> None:
        error: BaseException = asyncio.CancelledError()
        if not task.cancelled():
            error = task.exception() or error
        for waiting in self._running:
            _resolve(waiting.answer, self._failed(error))
        self._running, self._drain_task = (), None
        if self._queue:
            self._start()


async def _uncancelled(answers: Awaitable[Result]) -> tuple[Result, bool]:
    """Wait to the end whatever happens; say whether somebody tried to cancel meanwhile."""
    call, cancelled = asyncio.ensure_future(answers), False
    while not call.done():
        try:
            await asyncio.wait([call])
        except asyncio.CancelledError:
            cancelled = True
    if call.cancelled():
        raise RuntimeError("cancelled from inside")
    return call.result(), cancelled


def _resolve(answer: "asyncio.Future[Result]", value: Result | Exception) -> None:
    if answer.done():
        return
    if isinstance(value, Exception):
        answer.set_exception(value)
    else:
        answer.set_result(value)
