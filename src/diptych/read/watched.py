"""`Watched`: a query that is watched, its last answer and who is to be told; `Group`: those that
read the same views."""

import asyncio
import pickle
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final

from diptych.read.bus import Look
from diptych.read.database import Standing, Stop, Wanted
from diptych.read.model import ReadModel
from diptych.read.query import Query
from diptych.read.reads import Found, FullKey
from diptych.read.table import ViewTable
from diptych.tokens import Token

Standings = Mapping[Wanted, Standing]

_LONGEST_REST: Final = 16.0

Facts = tuple[tuple[int, bool, Stop | None, int] | None, ...]
"""How views stand, but for how far they are."""


class Seat:
    """The place of one watcher. While it is `unsettled` it is told of every look."""

    __slots__ = ("_waiter", "unsettled", "watched")

    def __init__(self, watched: "Watched") -> None:
        self.watched, self.unsettled = watched, False
        self._waiter: asyncio.Future[None] | None = None

    async def woken(self) -> None:
        """Wait for something to be told. Nobody else may wait on this seat."""
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def leave(self) -> None:
        self.watched.leave(self)
        self.wake()


class Watched:
    """One query of one tenant. It is `due` while it may have another answer than its `look`; at
    `place` that answer was, for all that is known, still right. It is `late` if it has been due
    for longer than `max_lag`, whatever keeps the answer: an error, a handler, too many others.

    `failures` counts how often in a row it could not be asked again.
    """

    place: Token
    due: bool
    late: bool
    due_since: float | None
    _right_at: Standings

    def __init__(self, group: "Group", query: Query[Any], look: Look[Any], *, tenant: str) -> None:
        self.group, self.query, self.tenant = group, query, tenant
        self.key = _key(query, tenant)
        self._take(look)
        self._failure: tuple[Exception, TracebackType | None] | None = None
        self.asking, self.failures, self._rests_until = False, 0, float("-inf")
        self._seats: dict[Seat, None] = {}

    def sit(self) -> Seat:
        seat = Seat(self)
        self._seats[seat] = None
        return seat

    def leave(self, seat: Seat) -> None:
        self._seats.pop(seat, None)
        if not self._seats:
            self.group.forget(self)

    def rows_of(self, look: Look[Any]) -> Mapping[ViewTable, Mapping[FullKey, object]]:
        """Those that decide whether it is due."""
        return {} if look.reads.whole or self._otherwise() else look.reads.rows

    def compare(self, look: Look[Any], rows: Found) -> None:
        """See whether it is due, of how its views stand now, and of what has become of the rows of
        `look`, which was the last one when they were read."""
        now = self.group.standings
        if self._otherwise():
            self.due = True
        elif look.reads.whole or look is not self.look:
            self.due = behind(self.look.standings, now)
        else:
            self.due = not look.reads.same_in(rows)
        if not self.due and not behind(now, self._right_at):
            self.place, self._right_at = self.group.place, now
            self.tell(unsettled=True)

    def show(self, look: Look[Any]) -> None:
        """Another answer, unless it is older than the last."""
        if behind(look.standings, self._right_at):
            return
        before, after = self.look.shown, look.shown
        self._take(look)
        self.tell(unsettled=before.stale == after.stale and before.value == after.value)

    def ready(self, now: float) -> bool:
        """Whether it should be asked again."""
        return self.due and not self.asking and now >= self._rests_until

    def put_off(self, now: float) -> None:
        """It could not be asked: not at once again, and later each time."""
        self._rests_until = now + min(2.0**self.failures, _LONGEST_REST)
        self.failures += 1

    def notice(self, now: float, *, patience: float) -> None:
        """See whether it has been due for too long."""
        if not self.due:
            self.due_since = None
        elif self.due_since is None:
            self.due_since = now
        late = self.due_since is not None and now - self.due_since > patience
        if late != self.late:
            self.late = late
            self.tell()

    def fail(self, error: Exception) -> None:
        """No more answers: every watcher gets the error, and who comes later begins anew."""
        self._failure = error, error.__traceback__
        self.group.forget(self)
        self.tell()

    def check(self) -> None:
        """Raises: what `fail` was given, as it was then: each raise would add to its traceback."""
        if self._failure is not None:
            error, traceback = self._failure
            raise error.with_traceback(traceback)

    def tell(self, *, unsettled: bool = False) -> None:
        """Wake the watchers, or only those that wait for any news."""
        for seat in self._seats:
            if seat.unsettled or not unsettled:
                seat.wake()

    def _take(self, look: Look[Any]) -> None:
        self.look, self.place, self._right_at = look, look.place, look.standings
        self.late, self.due_since = False, None
        self.due = behind(look.standings, self.group.standings)  # it was not in the last look
        self._facts = facts_of(look.standings, self.group.wanted)

    def _otherwise(self) -> bool:
        return self._facts != self.group.facts


class Group:
    """The queries that read the same views, and how these stood at the last look.

    `late`: they are stopped or paused behind the head of the log, or have been behind an event of
    it for longer than `max_lag`, and are not there yet; or could not be looked at for as long.
    """

    def __init__(self, models: Sequence[ReadModel], look: Look[Any]) -> None:
        self.wanted = tuple(model.wanted for model in models)
        self.watched: dict[object, Watched] = {}
        self.standings, self.place = look.standings, look.place
        self.facts = facts_of(look.standings, self.wanted)
        self.late = self._lags = False
        self._patience = min(model.max_lag for model in models).total_seconds()
        self._goal, self._since = 0, 0.0
        self._missing_since: float | None = None

    def seat(self, query: Query[Any], look: Look[Any], *, tenant: str) -> Seat:
        new = Watched(self, query, look, tenant=tenant)
        watched = self.watched.setdefault(new.key, new)
        if watched is not new:
            watched.show(look)
        return watched.sit()

    def forget(self, watched: Watched) -> None:
        if self.watched.get(watched.key) is watched:
            del self.watched[watched.key]

    def look(self, standings: Standings, as_of: Callable[[Standings], Token]) -> None:
        self.standings = {each: standings[each] for each in self.wanted if each in standings}
        self.facts = facts_of(standings, self.wanted)
        self.place = as_of(self.standings)
        self._missing_since = None

    def judge(self, *, head: int, now: float) -> None:
        """See, after a look or in vain of one, whether the views are late."""
        position, was_late = self.place.position, self.late
        if position >= self._goal:
            self._goal, self._since, was_late = max(head, position), now, False
        stopped = any(each.stop is not None for each in self.standings.values())
        waiting = was_late or stopped or now - self._since > self._patience
        self._lags = waiting and position < self._goal
        self.notice(now)

    def notice(self, now: float) -> None:
        """See what time alone makes late: a look, or an answer, that does not come."""
        late = self._lags or self._unseen(now)
        if late != self.late:
            self.late = late
            for watched in self.watched.values():
                watched.tell()
        for watched in self.watched.values():
            watched.notice(now, patience=self._patience)

    def missed(self, now: float) -> None:
        """A look has begun: until it ends nobody knows how the views stand."""
        if self._missing_since is None:
            self._missing_since = now

    def _unseen(self, now: float) -> bool:
        return self._missing_since is not None and now - self._missing_since > self._patience


def facts_of(standings: Standings, wanted: Sequence[Wanted]) -> Facts:
    return tuple(
        (found.revision, found.serving, found.stop, found.parked)
        if (found := standings.get(each)) is not None
        else None
        for each in wanted
    )


def behind(one: Standings, other: Standings) -> bool:
    """Whether any view is less far in `one`; the others may be further."""
    return any(
        one[each].point.position < found.point.position
        for each, found in other.items()
        if each in one
    )


def _key(query: Query[Any], tenant: str) -> object:
    """What is the same in all its parts and their types shares its answers. What is merely equal
    need not mean the same (a field that is not compared, 1.0 and 1.00); a query that cannot be
    pickled has its answers for itself."""
    try:
        return tenant, pickle.dumps(query)
    except Exception:  # noqa: BLE001 - whatever the parts of a query raise
        return object()
