"""Following the log: `follow` reads on for ever, `LogSignal` wakes whoever waits for more.

Theory of operation
-------------------
A follower keeps a point: the position up to which it has seen everything, and the id of the event
there. Each page is read after that point, and the store compares the id, so a log that was
replaced under a running follower is found at the next page. Because positions are committed in
order, "everything after my position" is complete: there are no gaps to wait for and no time-outs.

At the head the follower waits for the signal. Wake-ups are hints. They say "read until the head",
never "here is an event", so a lost or early one costs a read and no event. In one process the
append announces the new head after its commit; what other processes append is found by `poll`,
which runs only while somebody waits.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

from diptych.errors import StoreError
from diptych.store.contract import START, Criterion, EventStore, LogPage, Point


async def follow(
    store: EventStore,
    *,
    after: Point = START,
    limit: int = 1000,
    categories: frozenset[str] | None = None,
    criteria: tuple[Criterion, ...] | None = None,
    tenant: str | None = None,
) -> AsyncIterator[LogPage]:
    """Catch up from `after`, then go live: page after page, for ever, each event once, in order.

    A page may be empty: then it tells how far nothing matched (`scanned`). Stop by leaving the
    loop; a follower holds nothing between pages.

    Raises:
        HistoryDiverged: the log no longer has the event at the last point.
        StoreError: the log cannot be read; the follower may start again after its last page.
    """
    while True:
        page = await store.read(
            after=after, limit=limit, categories=categories, criteria=criteria, tenant=tenant
        )
        if page.scanned.position > after.position:
            yield page
            after = page.scanned
        elif page.scanned.position < page.head:
            raise StoreError(f"a page after {after.position} got nowhere before {page.head}")
        if page.scanned.position >= page.head:
            await store.moved(after.position)


class LogSignal:
    """Wakes those who wait for the log to move.

    `poll` returns the position of the head as other processes left it; it is called every
    `interval()` seconds while somebody waits, and not at all otherwise.
    """

    def __init__(
        self,
        *,
        poll: Callable[[], Awaitable[int]] | None = None,
        interval: Callable[[], float] = lambda: 0.005,
    ) -> None:
        self._poll, self._interval = poll, interval
        self._head = 0
        self._waiting: dict[asyncio.Future[None], int] = {}
        self._poller: asyncio.Task[None] | None = None

    def announce(self, head: int) -> None:
        """The log's head is at `head`, or beyond."""
        if head <= self._head:
            return
        self._head = head
        for waiter, after in list(self._waiting.items()):
            if after < head and not waiter.done():
                waiter.set_result(None)

    def look(self) -> None:
        """Wake everybody to look for themselves: another process may have moved the log.

        It may also have been replaced by an older one, so what was announced counts no more.
        """
        self._head = 0
        self._wake_all()

    async def moved(self, after: int) -> None:
        """Return once the head is beyond `after`."""
        if self._head > after:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[waiter] = after
        if self._poll is not None and self._poller is None:
            self._poller = asyncio.create_task(self._watch(self._poll))
        try:
            await waiter
        finally:
            del self._waiting[waiter]

    async def close(self) -> None:
        """Wake everybody: they will find the store closed."""
        self._wake_all()
        if self._poller is not None:
            self._poller.cancel()
            with suppress(asyncio.CancelledError):
                await self._poller

    async def _watch(self, poll: Callable[[], Awaitable[int]]) -> None:
        try:
            while self._waiting:
                try:
                    self.announce(await poll())
                except Exception:  # noqa: BLE001 - whatever it is, nobody may sleep for ever
                    # The reader that is woken meets the same error and can say whose it is.
                    self._wake_all()
                await asyncio.sleep(self._interval())
        finally:
            self._poller = None

    def _wake_all(self) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
