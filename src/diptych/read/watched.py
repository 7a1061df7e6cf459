"""`Watched`: a query that is watched, its last answer and who is to be told; `Group`: those that
read the same views."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from diptych.errors import StoreError
from diptych.read.bus import Look
from diptych.read.database import Standing, Stop, Wanted
from diptych.read.model import ReadModel
from diptych.read.query import Query
from diptych.read.reads import Found, FullKey
from diptych.read.table import ViewTable
from diptych.tokens import Token

Standings = Mapping[Wanted, Standing]

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
    `place` that answer was, for all that is known, still right."""

    place: Token

    def __init__(self, group: "Group", query: Query[Any], look: Look[Any], *, tenant: str) -> None:
        self.group, self.query, self.tenant = group, query, tenant
        self.key, self.due = _key(query, tenant), False
        self._take(look)
        self.failure: Exception | None = None
        self.trouble: StoreError | None = None
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
        now = self.group.place
        if self._otherwise():
            self.due = True
        elif look.reads.whole or look is not self.look:
            self.due = self.look.place.position < now.position
        else:
            self.due = not look.reads.same_in(rows)
        if not self.due and now.position >= self.place.position:
            self.place = now
            self.tell(unsettled=True)

    def show(self, look: Look[Any]) -> None:
        """Another answer, unless it is older than the last."""
        if look.place.position < self.place.position:
            return
        before, after, self.due = self.look.shown, look.shown, False
        self._take(look)
        self.tell(unsettled=before.stale == after.stale and before.value == after.value)

    def fail(self, error: Exception) -> None:
        """No more answers: every watcher gets the error, and who comes later begins anew."""
        self.failure = error
        self.group.forget(self)
        self.tell()

    def tell(self, *, unsettled: bool = False) -> None:
        """Wake the watchers, or only those that wait for any news."""
        for seat in self._seats:
            if seat.unsettled or not unsettled:
                seat.wake()

    def _take(self, look: Look[Any]) -> None:
        self.look, self.place = look, look.place
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
        self.late = False
        self._patience = min(model.max_lag for model in models).total_seconds()
        self._goal, self._since = 0, 0.0
        self._missing_since: float | None = None

    def seat(self, query: Query[Any], look: Look[Any], *, tenant: str) -> Seat:
        new = Watched(self, query, look, tenant=tenant)
        watched = self.watched.setdefault(new.key, new)
        if watched is not new:
            watched.show(look)
        if watched.place.position < self.place.position:
            watched.due = True  # what was looked at last did not include it
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
        late = (waiting and position < self._goal) or self._unseen(now)
        if late != self.late:
            self.late = late
            for watched in self.watched.values():
                watched.tell()

    def missed(self, now: float) -> None:
        """Nobody could look."""
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


def _key(query: Query[Any], tenant: str) -> object:
    """What is equal shares its answers; a query that cannot be hashed has them for itself."""
    try:
        hash(query)
    except TypeError:
        return object()
    return (tenant, type(query), query)
