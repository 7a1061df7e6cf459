"""`GroupCommit`: many concurrent appends, one transaction.

Theory of operation
-------------------
The order of the log costs a lock, and durability costs an fsync; both are paid per transaction.
So appends that arrive while a transaction commits go together into the next one (`Batcher`).

A backend commits a batch in one transaction and answers each member: what was appended, or why
that member was refused. A conflict, a failed condition, a repeated command id is the answer of its
own member; the others go on, and later members see what earlier ones wrote. What a backend raises
concerns the whole batch, and there are two cases:

- `StoreError`: nothing of it was committed, for sure. One member may have been the reason (too big
  for what is left of the disk), so the members are tried again, each alone.
- anything else, `OutcomeUnknown` first: nobody knows. Every member gets `OutcomeUnknown` with its
  command id, and nothing is tried again, because it may be there already.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol, Self, runtime_checkable

from diptych.errors import (
    OutcomeUnknown,
    StorageBusy,
    StorageCorrupt,
    StorageDenied,
    StorageReadOnly,
    StorageUnavailable,
    StoreClosed,
    StoreError,
)
from diptych.store.batching import Answers, Batcher
from diptych.store.contract import Append, Appended
from diptych.store.limits import validate

Commit = Callable[[Sequence[Append]], Answers[Appended]]
"""The seam of a backend: one transaction, one answer for each member, at once or later."""

_NOT_A_MEMBERS_FAULT = (
    StorageBusy,
    StorageCorrupt,
    StorageDenied,
    StorageReadOnly,
    StorageUnavailable,
    StoreClosed,
)
_log = logging.getLogger(__name__)


class Commits(NamedTuple):
    """What group commit has done since the log was opened: `appends` in `commits` transactions."""

    commits: int
    appends: int

    def since(self, before: Self) -> "Commits":
        """What came to it; all of it if the log was closed and opened again meanwhile."""
        if self.commits < before.commits:
            return self
        return Commits(self.commits - before.commits, self.appends - before.appends)


@runtime_checkable
class CountsCommits(Protocol):
    """A store that tells how many appends share a transaction."""

    @property
    def commits(self) -> Commits: ...


class GroupCommit:
    """The write path of a store.

    At most `max_appends` appends and `max_bytes` bytes share a transaction; `max_waiting` appends
    may wait for one, more are refused with `Overloaded`.
    """

    def __init__(
        self,
        commit: Commit,
        *,
        max_appends: int = 512,
        max_bytes: int = 4_000_000,
        max_waiting: int = 10_000,
    ) -> None:
        self._commit_batch = commit
        self.commits = Commits(0, 0)
        self._batcher = Batcher(
            self._commit,
            max_items=max_appends,
            max_weight=max_bytes,
            max_waiting=max_waiting,
            failed=lambda _: OutcomeUnknown(),
        )

    def append(self, append: Append) -> Awaitable[Appended]:
        """Commit `append` with whatever else is waiting; await what comes back.

        Raises: what `validate` and `Batcher.submit` say, at once; the rest when it is awaited.
        """
        return self._batcher.submit(append, validate(append))

    async def close(self) -> None:
        """Refuse new appends; return when those that were accepted are answered."""
        await self._batcher.close()

    def _commit(self, batch: Sequence[Append]) -> Answers[Appended]:
        commits, appends = self.commits
        self.commits = Commits(commits + 1, appends + len(batch))
        try:
            answers = self._commit_batch(batch)
        except Exception as error:  # noqa: BLE001 - becomes the members' answer
            return self._after(error, batch)
        return self._settled(answers, batch) if isinstance(answers, Awaitable) else answers

    async def _settled(
        self, answers: Awaitable[Sequence[Appended | Exception]], batch: Sequence[Append]
    ) -> Sequence[Appended | Exception]:
        try:
            return await answers
        except Exception as error:  # noqa: BLE001 - becomes the members' answer
            after = self._after(error, batch)
            return await after if isinstance(after, Awaitable) else after

    def _after(self, error: Exception, batch: Sequence[Append]) -> Answers[Appended]:
        if not isinstance(error, StoreError):
            _log.error("a commit of %d appends ended unknown", len(batch), exc_info=error)
            return [_unknown(append, error) for append in batch]
        if len(batch) == 1 or isinstance(error, _NOT_A_MEMBERS_FAULT):
            return [error] * len(batch)
        return self._one_by_one(batch)

    async def _one_by_one(self, batch: Sequence[Append]) -> Sequence[Appended | Exception]:
        answers: list[Appended | Exception] = []
        for append in batch:
            answer = self._commit([append])
            answers.extend(await answer if isinstance(answer, Awaitable) else answer)
        return answers


def _unknown(append: Append, error: Exception) -> OutcomeUnknown:
    unknown = OutcomeUnknown(append.command.key.command_id if append.command else None)
    unknown.__cause__ = error
    return unknown
