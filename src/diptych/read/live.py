"""`Live`: keeps the answers of watched queries as they would be now, for all watchers of a process.

Theory of operation. Watchers of one query, of one tenant, share a `Watched`, and with it each new
answer. One task, which runs only while somebody watches, goes round: it waits until a checkpoint
of a watched view may have moved, and then *looks*, in one snapshot, how the views stand and what
has become of the rows that the answers were made from. A query that read rows by their keys, and
nothing else, is asked again only if one of these is another now (one SELECT finds that out for
200 rows); one that read a page, a search or a statement of its own is asked again whenever its
views have moved. An answer that is equal to the last one wakes nobody.

An answer belongs to all who watch, whoever came first. So each is made in an empty context, the
first one too: a handler sees no `contextvars` of a watcher. It must depend on the query (and its
tenant) only; who may see what is a field of the query. Queries are shared only if they are the same
in every part, not if they are merely equal.

Nothing is missed: what is compared are the rows and standings of the very snapshot that the answer
was made in, so a change that is committed after it, even before the watcher is known here, is a
difference at the next look. Nothing goes back: an answer from an older snapshot than the one that
was shown is dropped. Values are states, not steps: who is slow, or a burst of changes, skips some.

What nobody announces (an operator's act, a view that stopped, a server that went away) is found by
a look each second at the latest, as is the head of the log, which tells whether a view is `late`:
stopped or paused behind it, or for longer than its `max_lag`. A query is late by itself if its
answer does not come for as long, whatever the reason; that needs no look (`_notice`).

After each round there is a rest of nine times its length, at most a second. So rounds take a tenth
of the time, and a thousand watchers cost commands little; where queries take longer than that, a
round ends after about a second, and the rest of them have their turn in the next: half of the time
at most. Between rounds no connection is held but by a query that is slow (`Asking`). An error of
the database ends no watching: it is late then, and goes on when the database is back, without
keeping others from their answers. Any other error of a query is raised to its watchers.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from contextvars import Context
from datetime import timedelta
from functools import partial
from typing import Any, Final, TypeVar

from diptych.errors import StoreClosed, StoreError
from diptych.read.asking import Asking
from diptych.read.bus import Look, QueryBus
from diptych.read.consistency import Consistency
from diptych.read.database import ReadDatabase, Snapshot, Wanted
from diptych.read.query import Query
from diptych.read.reads import FullKey, keyed
from diptych.read.signal import CheckpointSignal
from diptych.read.table import ViewTable
from diptych.read.watched import Group, Seat, Watched
from diptych.read.watching import Watching
from diptych.store.contract import EventStore
from diptych.tokens import Token

R = TypeVar("R")

_LOOK_AGAIN: Final = 1.0
_REST: Final = 9.0
_SHORTEST_REST: Final = 0.002
_LONGEST_REST: Final = 1.0
_LONGEST_LOOK: Final = 10.0
_TICK: Final = 0.25
_SLICE: Final = 200
_NO_WAIT: Final = timedelta(0)

_log = logging.getLogger(__name__)


class Live:
    """What is watched in this process. It belongs to one opening of the read side."""

    def __init__(
        self,
        bus: QueryBus,
        consistency: Consistency,
        *,
        store: EventStore,
        database: ReadDatabase,
        signal: CheckpointSignal,
    ) -> None:
        self.bus, self.consistency = bus, consistency
        self._store, self._database, self._signal = store, database, signal
        self._groups: dict[tuple[Wanted, ...], Group] = {}
        self._task: asyncio.Task[None] | None = None
        self._moved: asyncio.Future[None] | None = None
        self._head, self._head_seen_at = 0, float("-inf")
        self._closed = False
        self._asking = Asking(self._ask_again, self._hurry)

    def watch(
        self, query: Query[R], *, at_least: Token | None, tenant: str, timeout: timedelta
    ) -> Watching[R]:
        """Raises: NoHandler."""
        self.bus.homes_of(query)
        ask = partial(self._ask, query, at_least=at_least, tenant=tenant, timeout=timeout)

        async def begin() -> Look[R]:
            return await asyncio.create_task(ask(), context=Context())

        return Watching(begin, partial(self._join, query, tenant), at_least=at_least)

    def _join(self, query: Query[R], tenant: str, look: Look[R]) -> Seat:
        """Take part in the watching of a query that was just answered."""
        if self._closed:
            raise StoreClosed("the application is closed")
        models = self.bus.homes_of(query)
        wanted = tuple(model.wanted for model in models)
        group = self._groups.get(wanted)
        if group is None:
            group = self._groups[wanted] = Group(models, look)
        seat = group.seat(query, look, tenant=tenant)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="diptych-live", context=Context())
        elif seat.watched.due or len(group.watched) == 1:
            self._hurry()  # its view may not even be among those that are waited for
        return seat

    def _hurry(self) -> None:
        if self._moved is not None and not self._moved.done():
            self._moved.set_result(None)

    async def close(self) -> None:
        """End all watching: `StoreClosed` is raised to who goes on."""
        self._closed = True
        for watched in self._watched():
            watched.fail(StoreClosed("the application is closed"))
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._asking.close()

    async def _run(self) -> None:
        loop, failed = asyncio.get_running_loop(), False
        noticing = asyncio.create_task(self._notice(), name="diptych-live-late")
        try:
            while self._keep():
                await self._wait()
                began = loop.time()
                failed = not await self._round(failed_before=failed)
                took = loop.time() - began
                rest = _LONGEST_REST if failed else max(took * _REST, _SHORTEST_REST)
                await asyncio.sleep(min(rest, _LONGEST_REST))
        finally:
            noticing.cancel()
            self._asking.cancel()
            self._task = None

    async def _notice(self) -> None:
        """Say that answers are late also while a look, or a query, does not come to an end."""
        while True:
            await asyncio.sleep(_TICK)
            now = asyncio.get_running_loop().time()
            for group in self._groups.values():
                group.notice(now)

    def _keep(self) -> bool:
        """Forget what nobody watches any more; whether something is left."""
        for wanted, group in list(self._groups.items()):
            if not group.watched:
                del self._groups[wanted]
        return bool(self._groups)

    async def _wait(self) -> None:
        """Until a checkpoint may have moved, or it is time to look anyway."""
        now = asyncio.get_running_loop().time()
        if any(each.ready(now) for each in self._watched()):
            return
        with self._signal.waiting(self._goals()) as self._moved:
            await asyncio.wait([self._moved], timeout=_LOOK_AGAIN)
        self._moved = None

    def _goals(self) -> Mapping[int, int]:
        """The next position of each revision. Of those that are watched together with different
        others, some were looked at earlier."""
        goals: dict[int, int] = {}
        for group in self._groups.values():
            for each in group.standings.values():
                goal = each.point.position + 1
                goals[each.revision] = min(goal, goals.get(each.revision, goal))
        return goals

    async def _round(self, *, failed_before: bool) -> bool:
        now = asyncio.get_running_loop().time()
        try:
            for group in self._groups.values():
                group.missed(now)
            async with asyncio.timeout(_LONGEST_LOOK):
                await self._look_at_head()
                await self._look()
            await self._asking.round(self._watched())
        except Exception as error:  # noqa: BLE001 - who waits for an answer would wait for ever
            if not failed_before:
                ours = None if isinstance(error, (StoreError, TimeoutError)) else error
                reason = str(error) or type(error).__name__
                _log.warning("live queries lag, trying again: %s", reason, exc_info=ours)
            self._judge()
            return False
        return True

    async def _look_at_head(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._head_seen_at >= _LOOK_AGAIN:
            self._head_seen_at = now
            self._head = (await self._store.head()).position

    async def _look(self) -> None:
        """How the views stand, and which queries may have another answer."""
        groups = list(self._groups.values())
        wanted = {each for group in groups for each in group.wanted}
        async with self._database.snapshot(list(wanted)) as snapshot:
            for group in groups:
                group.look(snapshot.standings, self.consistency.as_of)
            looks = [(each, each.look) for group in groups for each in group.watched.values()]
            rows = await _rows(snapshot, looks)
        for number, (watched, look) in enumerate(looks):
            if number % _SLICE == 0:
                await asyncio.sleep(0)
            watched.compare(look, rows)
        self._judge()

    def _judge(self) -> None:
        now = asyncio.get_running_loop().time()
        for group in self._groups.values():
            group.judge(head=self._head, now=now)

    def _watched(self) -> list[Watched]:
        return [each for group in self._groups.values() for each in group.watched.values()]

    async def _ask(
        self, query: Query[R], *, at_least: Token | None, tenant: str, timeout: timedelta
    ) -> Look[R]:
        return await self.bus.ask(
            query,
            consistency=self.consistency,
            at_least=at_least,
            tenant=tenant,
            timeout=timeout,
            on_timeout="stale",
        )

    async def _ask_again(self, watched: Watched) -> Look[Any]:
        query, tenant = watched.query, watched.tenant
        return await self._ask(query, at_least=None, tenant=tenant, timeout=_NO_WAIT)


async def _rows(
    snapshot: Snapshot, looks: Iterable[tuple[Watched, Look[Any]]]
) -> Mapping[tuple[ViewTable, FullKey], Sequence[object]]:
    """What has become of all rows that answers were made from, if their tables still serve."""
    keys: defaultdict[ViewTable, set[FullKey]] = defaultdict(set)
    for watched, look in looks:
        for table, those in watched.rows_of(look).items():
            keys[table].update(those)
    found: dict[tuple[ViewTable, FullKey], Sequence[object]] = {}
    for table, wanted in keys.items():
        listed = list(wanted)
        for start in range(0, len(listed), _SLICE):
            loaded = await snapshot.load(table, listed[start : start + _SLICE])
            found.update(keyed(table, loaded))
            await asyncio.sleep(0)
    return found
