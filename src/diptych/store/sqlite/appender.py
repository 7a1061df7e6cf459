"""Committing on the event loop while commits are quick, and in a thread when they are not."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar

from diptych.errors import StorageBusy, StoreClosed
from diptych.sqlite_library import Connection
from diptych.store.batching import Answers
from diptych.store.contract import Append, Appended
from diptych.store.sqlite.committing import Committer
from diptych.store.sqlite.file import PATIENCE
from diptych.store.sqlite.pace import Pace
from diptych.store.subscription import LogSignal

T = TypeVar("T")

_EVENTS_HERE: Final = 1_000
_BYTES_HERE: Final = 1_000_000
_ALLOWED: Final = 20e-6
"""Seconds of COMMIT for each append that do not count as slow: its caller keeps the loop longer."""
_log = logging.getLogger(__name__)


class Appender:
    """The write path behind `GroupCommit`: one batch at a time, and checkpoints between them.

    The thread serves one call after the other, so whatever must wait for the connection waits
    there, and never on the event loop.
    """

    def __init__(self, committer: Committer, signal: LogSignal) -> None:
        self._committer, self._signal = committer, signal
        self._pace = Pace()
        self._thread = ThreadPoolExecutor(1, "diptych-log-append")
        self._job: Future[Any] | None = None

    def commit(self, batch: Sequence[Append]) -> Answers[Appended]:
        if self._pace.quick and not self._busy and _is_quick(batch):
            try:
                answers = self._committer.commit(batch, patience=0)
            except StorageBusy:
                pass  # another process appends: wait for it in the thread
            else:
                self._pace.took(self._committer.last_took - _ALLOWED * len(batch))
                self._committed()
                return answers
        return self._commit_in_thread(batch)

    async def do(self, work: Callable[[Connection], T], *, durable: bool = True) -> T:
        """Do `work` in a transaction between those of the appends: SQLite has one writer, and
        two connections of one process would have to wait for each other's lock.

        What need not be `durable` does not wait for the disk: the next append's commit does, for
        both.

        Raises: StoreError: nothing was changed. OutcomeUnknown.
        """
        transact = partial(self._committer.transact, work, durable=durable)
        if self._pace.quick and not self._busy:
            try:
                result = transact(patience=0)
            except StorageBusy:
                pass
            else:
                self._pace.took(self._committer.last_took)
                return result
        return await self._in_thread(partial(transact, patience=PATIENCE))

    def close(self) -> None:
        """Wait for what is being done, then close the connection. Blocks."""
        self._thread.shutdown(wait=True)
        self._committer.close()

    async def _commit_in_thread(self, batch: Sequence[Append]) -> Sequence[Appended | Exception]:
        answers = await self._in_thread(partial(self._committer.commit, batch, patience=PATIENCE))
        self._committed()
        return answers

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            job = self._thread.submit(work)
        except RuntimeError as error:
            raise StoreClosed("the log is closed") from error
        self._job = job
        # A cancelled waiter must not take a job out of the thread's queue: it would count as done
        # while the one before it has the connection.
        return await asyncio.shield(asyncio.wrap_future(job))

    @property
    def _busy(self) -> bool:
        """Whether the thread has the connection; also after whoever waited for it has gone."""
        return self._job is not None and not self._job.done()

    def _committed(self) -> None:
        self._signal.announce(self._committer.head)
        if not self._busy and self._committer.checkpoint_due():
            self._job = self._thread.submit(self._checkpoint)

    def _checkpoint(self) -> None:
        try:
            self._committer.checkpoint()
        except Exception as error:  # noqa: BLE001 - nobody waits for it
            _log.warning("a checkpoint failed and will be tried again", exc_info=error)


def _is_quick(batch: Sequence[Append]) -> bool:
    """Little to write, and no condition that has to look through the log for want of a tag."""
    events = size = 0
    for append in batch:
        if append.condition is not None and any(
            not each.tags for each in append.condition.criteria
        ):
            return False
        for write in append.writes:
            events += len(write.events)
            for event in write.events:
                size += len(event.data)
    return events <= _EVENTS_HERE and size <= _BYTES_HERE
