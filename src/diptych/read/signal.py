"""`CheckpointSignal`: wakes those who wait for a view to get to a position."""

import asyncio
import logging
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from contextvars import Context
from typing import Final, Protocol

from diptych.errors import StoreError

_PATIENT: Final = 0.05
"""Seconds between two glances for those who wait all day."""

_log = logging.getLogger(__name__)


class Glance(Protocol):
    """`ReadDatabase.glance`."""

    async def __call__(self, *, anyway: bool) -> Mapping[int, int] | None: ...


class CheckpointSignal:
    """Wake-ups are hints: read the checkpoint in a snapshot, then believe it.

    Projectors of this process announce what they committed. What other processes commit is found
    by `glance`, which is asked every `interval` seconds while somebody waits, and not otherwise;
    and at once where they can be heard (`look`).
    """

    def __init__(self, glance: Glance, *, interval: float = 0.005) -> None:
        self._glance, self._interval = glance, interval
        self._positions: dict[int, int] = {}
        self._waiting: dict[int, dict[asyncio.Future[None], int]] = {}
        self._hurried = 0
        self._poller: asyncio.Task[None] | None = None
        self._due = asyncio.Event()
        self._anyway = False

    def look(self) -> None:
        """Glance now, if somebody waits: a checkpoint was moved, in another process or of one of
        several partitions."""
        self._anyway = True
        self._due.set()

    def announce(self, revision: int, position: int) -> None:
        """A revision has finished everything up to `position`."""
        self._positions[revision] = max(position, self._positions.get(revision, 0))
        for waiter, wanted in self._waiting.get(revision, {}).items():
            if wanted <= position and not waiter.done():
                waiter.set_result(None)

    def wake(self, revision: int) -> None:
        """Something else is to be known about a revision than how far it is."""
        for waiter in self._waiting.get(revision, {}):
            if not waiter.done():
                waiter.set_result(None)

    async def reached(self, revision: int, position: int, *, timeout: float) -> bool:
        """Wait until a revision may have reached `position`; False when the time is up."""
        if self._positions.get(revision, 0) >= position:
            return True
        with self._in_a_hurry(), self.waiting({revision: position}) as waiter:
            try:
                async with asyncio.timeout(timeout):
                    await waiter
            except TimeoutError:
                return False
        return True

    @contextmanager
    def waiting(self, wanted: Mapping[int, int]) -> Generator[asyncio.Future[None]]:
        """A future that is done once any of these revisions may have reached its position, or
        something else is to be known about one. Who waits so finds out a little later than who
        awaits `reached`, where other processes commit and cannot be heard."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for revision, position in wanted.items():
            self._waiting.setdefault(revision, {})[waiter] = position
            if self._positions.get(revision, 0) >= position and not waiter.done():
                waiter.set_result(None)
        if self._poller is None:
            self._poller = asyncio.create_task(
                self._watch(),
                name="diptych-checkpoints",
                context=Context(),  # it outlives who waits first, and serves all
            )
        try:
            yield waiter
        finally:
            for revision in wanted:
                del self._waiting[revision][waiter]
                if not self._waiting[revision]:
                    del self._waiting[revision]

    @contextmanager
    def _in_a_hurry(self) -> Generator[None]:
        self._hurried += 1
        if self._hurried == 1:
            self._due.set()
        try:
            yield
        finally:
            self._hurried -= 1

    async def close(self) -> None:
        """Wake everybody: they will find the database closed."""
        self._wake_all()
        if self._poller is not None:
            self._poller.cancel()
            with suppress(asyncio.CancelledError):
                await self._poller

    async def _watch(self) -> None:
        try:
            while self._waiting:
                self._due.clear()
                await self._glance_now()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._interval if self._hurried else _PATIENT):
                        await self._due.wait()
        finally:
            self._poller = None

    async def _glance_now(self) -> None:
        anyway, self._anyway = self._anyway, False
        try:
            positions = await self._glance(anyway=anyway) or {}
        except StoreError as error:
            # Whoever is woken meets the same error and can say whose query it was.
            _log.warning("checkpoints cannot be watched: %s", error)
            self._wake_all()
            return
        for revision, position in positions.items():
            self.announce(revision, position)
        if positions:
            for revision in self._waiting.keys() - positions.keys():
                self.wake(revision)  # another serves in its place

    def _wake_all(self) -> None:
        for revision in self._waiting:
            self.wake(revision)
