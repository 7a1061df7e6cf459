"""Reading on the event loop what is short, and in threads what is long."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from diptych.errors import StorageBusy
from diptych.store.sqlite.file import PATIENCE, open_to_read
from diptych.store.sqlite.pace import Pace
from diptych.store.sqlite.reading import Budget, Reader, TooLong

T = TypeVar("T")
Work = Callable[[Reader, Budget], T]

_THREADS: Final = 2
_EVENTS_HERE: Final = 512
_BYTES_HERE: Final = 500_000


class Readers:
    """The connections that read one log: one for the event loop, others for threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._here = Reader(open_to_read(path, timeout=0), path)
        self._threads = ThreadPoolExecutor(_THREADS, "diptych-log-read")
        self._idle: list[Reader] = []
        self._pace = Pace()

    async def run(self, work: Work[T]) -> T:
        """Do `work` here if it is short, else in a thread."""
        with suppress(TooLong, StorageBusy):
            return self._do_here(work)
        return await self._do_elsewhere(work)

    def now_or_later(self, work: Work[T]) -> T | Awaitable[T]:
        """As `run`, without a task for what is done here."""
        with suppress(TooLong, StorageBusy):
            return self._do_here(work)
        return self._do_elsewhere(work)

    def _do_here(self, work: Work[T]) -> T:
        if not self._pace.quick:
            raise TooLong
        start = time.monotonic()
        try:
            return work(self._here, Budget(_EVENTS_HERE, _BYTES_HERE))
        finally:
            self._pace.took(time.monotonic() - start)

    async def _do_elsewhere(self, work: Work[T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._do, work)

    def close(self) -> None:
        """Wait for what is being read, then close all connections. Blocks."""
        self._threads.shutdown(wait=True)
        for reader in (*self._idle, self._here):
            reader.close()

    def _do(self, work: Work[T]) -> T:
        try:
            reader = self._idle.pop()
        except IndexError:
            reader = self._another()
        try:
            return work(reader, Budget())
        finally:
            self._idle.append(reader)

    def _another(self) -> Reader:
        return Reader(open_to_read(self._path, timeout=PATIENCE), self._path)
