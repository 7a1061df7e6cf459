"""Committing on the event loop while commits are quick, and in a thread when they are not."""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from diptych.errors import StorageBusy
from diptych.store.batching import Answers
from diptych.store.contract import Append, Appended
from diptych.store.sqlite.committing import Committer
from diptych.store.sqlite.file import PATIENCE
from diptych.store.sqlite.pace import Pace
from diptych.store.subscription import LogSignal

_EVENTS_HERE: Final = 1_000
_BYTES_HERE: Final = 1_000_000
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
        self._checkpointing = False

    def commit(self, batch: Sequence[Append]) -> Answers[Appended]:
        if self._pace.quick and not self._checkpointing and _is_quick(batch):
            try:
                answers = self._committer.commit(batch, patience=0)
            except StorageBusy:
                pass  # another process appends: wait for it in the thread
            else:
                self._pace.took(self._committer.last_took)
                self._committed()
                return answers
        return self._commit_in_thread(batch)

    def close(self) -> None:
        """Wait for what is being done, then close the connection. Blocks."""
        self._thread.shutdown(wait=True)
        self._committer.close()

    async def _commit_in_thread(self, batch: Sequence[Append]) -> Sequence[Appended | Exception]:
        commit = partial(self._committer.commit, batch, patience=PATIENCE)
        answers = await asyncio.get_running_loop().run_in_executor(self._thread, commit)
        self._committed()
        return answers

    def _committed(self) -> None:
        self._signal.announce(self._committer.head)
        if not self._checkpointing and self._committer.checkpoint_due():
            self._checkpointing = True
            loop = asyncio.get_running_loop()
            done = loop.run_in_executor(self._thread, self._committer.checkpoint)
            done.add_done_callback(self._checkpointed)

    def _checkpointed(self, done: "asyncio.Future[None]") -> None:
        self._checkpointing = False
        if not done.cancelled() and (error := done.exception()) is not None:
            _log.warning("a checkpoint failed and will be tried again", exc_info=error)


def _is_quick(batch: Sequence[Append]) -> bool:
    """Little to write, and no condition that has to look through the log for want of a tag."""
    events = [event for append in batch for write in append.writes for event in write.events]
    searches = any(
        not criterion.tags
        for append in batch
        if append.condition is not None
        for criterion in append.condition.criteria
    )
    return (
        len(events) <= _EVENTS_HERE
        and sum(len(event.data) for event in events) <= _BYTES_HERE
        and not searches
    )
