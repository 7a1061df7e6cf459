"""A log in memory, for tests and trials; in hostile mode it does whatever the contract allows.

Theory of operation
-------------------
`MemoryLog` holds the events and is the contract; here `GroupCommit` is put in front of it, as in
every store, so appends meet the same queue, bounds and cancellations as on a disk.

A hostile log keeps every promise and no habit. Positions stride. Commits become visible, and are
acknowledged, a few turns of the event loop after they took effect, so a stream can be loaded that
no page shows yet. Pages are shorter than they need be, and who waits is woken for nothing. If
`unknown_outcomes` is set, an append may end in `OutcomeUnknown`: it was done, or never will be, or
is done later. What passes on a hostile log does not rely on luck.
"""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self
from uuid import UUID

from diptych.clock import Clock, SystemClock
from diptych.errors import DiptychError, OutcomeUnknown, StoreClosed
from diptych.store.batching import Answers
from diptych.store.contract import (
    START,
    Append,
    Appended,
    CommandKey,
    Criterion,
    Load,
    Loaded,
    LogPage,
    Point,
    RecordedCommand,
)
from diptych.store.cursors import Cursors
from diptych.store.group_commit import Commits, GroupCommit
from diptych.store.limits import check_key, check_load, check_read, validate
from diptych.store.memory_cursors import MemoryCursors
from diptych.store.memory_log import Filter, MemoryLog
from diptych.store.memory_snapshots import MemorySnapshots
from diptych.store.subscription import LogSignal


@dataclass(frozen=True, slots=True)
class Hostile:
    """How a log in memory misbehaves; the same `seed` misbehaves in the same way.

    `stride` is the largest step between positions. `late_visibility` is how many turns of the
    event loop a commit stays invisible at most. `unknown_outcomes` is the share of appends, from
    0 to 1, that end in `OutcomeUnknown`.
    """

    seed: int = 0
    stride: int = 7
    late_visibility: int = 3
    short_pages: bool = True
    unknown_outcomes: float = 0.0


_SCANS: Final = (1, 10, 100, 10_000)
"""How many events a page looks at: few of them may match."""
_TAME: Final = Hostile(stride=1, late_visibility=0, short_pages=False)


class MemoryEventStore:
    """A log that lives as long as this object: closed and opened again, it is still there."""

    def __init__(self, *, clock: Clock | None = None, hostile: Hostile | None = None) -> None:
        self._clock: Clock = clock or SystemClock()
        self._ways = hostile or _TAME
        self._chance = random.Random(self._ways.seed)  # noqa: S311 - misbehaves repeatably
        self._log, self._cursors = MemoryLog(), MemoryCursors()
        self._log_id = self._clock.new_id()
        self._snapshots = MemorySnapshots()
        self._visible = 0
        self._group: GroupCommit | None = None
        self._signal = LogSignal()
        self._late: set[asyncio.Task[None]] = set()

    @property
    def log_id(self) -> UUID:
        return self._log_id

    @property
    def dense(self) -> bool:
        return self._ways.stride == 1

    @property
    def durability(self) -> str:
        return "memory: nothing survives this process"

    @property
    def commits(self) -> Commits:
        """How many appends went into how many batches."""
        return self._opened().commits

    @property
    def cursors(self) -> Cursors:
        self._opened()
        return self._cursors

    async def open(self) -> None:
        if self._group is None:
            self._group = GroupCommit(self._commit)
            self._signal = LogSignal()
            self._signal.announce(self._log.point(self._visible).position)

    async def close(self) -> None:
        group, self._group = self._group, None
        if group is not None:
            try:
                await group.close()
            finally:  # a follower must not wait for a log that is gone
                await self._signal.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def append(self, append: Append) -> Appended:
        group = self._opened()
        if self._chance.random() < self._ways.unknown_outcomes:
            await self._lose(append, group)
        return await group.append(append)

    async def load(self, load: Load) -> Loaded:
        self._opened()
        check_load(load)
        return self._log.load(load)

    async def find(self, command: CommandKey) -> RecordedCommand | None:
        self._opened()
        check_key(command)
        return self._log.find(command)

    async def read(
        self,
        *,
        after: Point = START,
        limit: int = 1000,
        categories: frozenset[str] | None = None,
        criteria: tuple[Criterion, ...] | None = None,
        tenant: str | None = None,
    ) -> LogPage:
        self._opened()
        check_read(after, limit, criteria, tenant)
        wanted = Filter(categories, criteria, tenant)
        scan = self._chance.choice(_SCANS) if self._ways.short_pages else _SCANS[-1]
        return self._log.page(after, wanted, limit=limit, scan=scan, visible=self._visible)

    async def head(self) -> Point:
        self._opened()
        return self._log.point(self._visible)

    async def moved(self, after: int) -> None:
        self._opened()
        if self._ways.short_pages and self._chance.random() < 0.05:
            return
        await self._signal.moved(after)

    @property
    def snapshots(self) -> MemorySnapshots:
        self._opened()
        return self._snapshots

    def _opened(self) -> GroupCommit:
        if self._group is None:
            raise StoreClosed("the log is not open")
        return self._group

    def _commit(self, batch: Sequence[Append]) -> Answers[Appended]:
        at = self._clock.now().astimezone(UTC)
        answers = [self._answer(append, at) for append in batch]
        turns = self._chance.randint(0, self._ways.late_visibility)
        return self._reveal_later(answers, turns) if turns else self._reveal(answers)

    def _answer(self, append: Append, at: datetime) -> Appended | Exception:
        try:
            return self._log.add(append, at, lambda: self._chance.randint(1, self._ways.stride))
        except DiptychError as refusal:
            return refusal

    async def _reveal_later(
        self, answers: Sequence[Appended | Exception], turns: int
    ) -> Sequence[Appended | Exception]:
        for _ in range(turns):
            await asyncio.sleep(0)
        return self._reveal(answers)

    def _reveal(self, answers: Sequence[Appended | Exception]) -> Sequence[Appended | Exception]:
        self._visible = len(self._log.events)
        self._signal.announce(self._log.point(self._visible).position)
        return answers

    async def _lose(self, append: Append, group: GroupCommit) -> None:
        """Do it now, later, or never; say nothing about it."""
        validate(append)
        fate = self._chance.choice(("now", "later", "never"))
        if fate == "now":
            await _quietly(append, group)
        elif fate == "later":
            task = asyncio.create_task(_quietly(append, group))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
        raise OutcomeUnknown(append.command.key.command_id if append.command else None)


async def _quietly(append: Append, group: GroupCommit) -> None:
    with suppress(DiptychError):
        await group.append(append)
