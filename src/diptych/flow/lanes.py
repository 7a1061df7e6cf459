"""`Lanes`: events of one stream one after the other, of different streams side by side."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from diptych.messages import RecordedEvent

Work = Callable[[RecordedEvent], Awaitable[None]]


class Lanes:
    """Calls `work` for each event that is put in, in order for each stream.

    At most `capacity` events wait or are worked on; `turn` is for what may be done `concurrency`
    times at once. The first error of `work` is the result of `failed`, and nothing new is begun
    after it.
    """

    def __init__(self, work: Work, *, concurrency: int, capacity: int) -> None:
        self._work = work
        self._turns = asyncio.Semaphore(concurrency)
        self._room = asyncio.Semaphore(capacity)
        self._waiting: dict[tuple[str, str], deque[RecordedEvent]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()
        self.failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def put(self, event: RecordedEvent) -> None:
        """Wait until there is room for it."""
        await self._room.acquire()
        stream = event.tenant, event.stream
        if (waiting := self._waiting.get(stream)) is not None:
            waiting.append(event)
            return
        self._waiting[stream] = deque([event])
        task = asyncio.create_task(self._run(stream), name="diptych-reaction-stream")
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    @property
    def closing(self) -> bool:
        return self._closing.is_set()

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        async with self._turns:
            yield

    async def pause(self, seconds: float) -> None:
        """Sleep, but not when it closes."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()

    async def close(self, *, grace: float) -> None:
        """Begin nothing new, and wait for what was begun; after `grace` seconds cancel it."""
        self._closing.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)
        await self.cancel()

    async def cancel(self) -> None:
        self._closing.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, stream: tuple[str, str]) -> None:
        waiting = self._waiting[stream]
        try:
            while waiting and not self.closing:
                await self._work(waiting[0])
                waiting.popleft()
                self._room.release()
        finally:
            del self._waiting[stream]

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._closing.set()
            if not self.failed.done():
                self.failed.set_result(error)
