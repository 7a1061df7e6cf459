"""`Reacting`: runs the reactions whose cursors this process holds, and takes those that are free.

Nobody is in charge: each process looks at the cursors twice a second, takes what nobody alive
holds, and renews what it has. A process on the same machine that is gone is not waited for. A
reaction that stopped stays with whoever stopped it, so that the others do not try the same in turn;
it goes on when an operator says so, or with the next process that takes it.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from diptych.clock import Clock
from diptych.errors import DiptychError
from diptych.errors.reason import reason
from diptych.flow.lease import TTL, Lease
from diptych.flow.reaction import Reaction
from diptych.flow.reactor import GRACE, Reactor
from diptych.store.contract import EventStore
from diptych.store.cursors import Cursor, Cursors, cursors_of
from diptych.worker import Worker, is_gone

_LOOKS: Final = 10
"""Looks at the cursors in the time after which a silent process counts as dead."""
_LONGEST_END: Final = 5.0

_log = logging.getLogger(__name__)


class _Running(NamedTuple):
    reactor: Reactor
    task: "asyncio.Task[None]"
    lease: Lease


class Reacting:
    """One supervised task that looks at the cursors, and one for each reaction that runs."""

    def __init__(
        self,
        reactions: Sequence[Reaction[Any]],
        *,
        store: EventStore,
        clock: Clock,
        ttl: float = TTL,
        grace: float = GRACE,
    ) -> None:
        self.worker = Worker.here()
        self._reactions = tuple(reactions)
        self._store, self._clock, self._ttl, self._grace = store, clock, ttl, grace
        self._running: dict[str, _Running] = {}
        self._watch: asyncio.Task[None] | None = None
        self._renew_at = 0.0
        self._trouble = ""

    def reactor(self, name: str) -> Reactor | None:
        """What runs, or has stopped, here."""
        running = self._running.get(name)
        return running.reactor if running else None

    def start(self) -> None:
        self._watch = asyncio.create_task(self._run(), name="diptych-reactions")

    async def stop(self) -> None:
        """End all in good order, and give the cursors back."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        renewing = asyncio.create_task(self._renew_again(), name="diptych-reactions-ending")
        try:
            await self._end_all()
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
        try:
            async with asyncio.timeout(_LONGEST_END):
                await self._cursors.release(self.worker)
        except (DiptychError, TimeoutError) as error:
            _log.warning("cursors are left to expire: %s", reason(error))

    async def _end_all(self) -> None:
        for running in self._running.values():
            running.reactor.end()
        tasks = [running.task for running in self._running.values()]
        await asyncio.gather(*tasks, return_exceptions=True)
        self._running.clear()

    async def _run(self) -> None:
        while True:
            try:
                await self._look()
            except (Exception, asyncio.CancelledError) as error:
                task = asyncio.current_task()
                if isinstance(error, asyncio.CancelledError) and task and task.cancelling():
                    raise
                # What is outside is protected by the lease: it ends, and nothing is begun.
                self._in_trouble(error)
            else:
                self._out_of_trouble()
            await asyncio.sleep(self._ttl / _LOOKS)

    @property
    def _cursors(self) -> Cursors:
        return cursors_of(self._store)

    async def _look(self) -> None:
        ended = {name for name, each in self._running.items() if each.task.done()}
        seen = {cursor.name: cursor for cursor in await self._cursors.look()}
        self._end_superseded(seen)
        for reaction in self._reactions:
            running = self._running.get(reaction.name)
            # Why one ended meanwhile is not in what was seen: the next look judges it.
            if running is None or reaction.name in ended or not running.task.done():
                await self._tend(reaction, seen[reaction.name])
        if self._running and _time() >= self._renew_at:
            await self._renew()

    async def _renew(self) -> None:
        now = _time()
        held = await self._cursors.renew(self.worker, ttl=self._ttl)
        for name, running in self._running.items():
            if name in held:
                running.lease.renewed(now + self._ttl)
        self._renew_at = now + self._ttl / 3

    async def _renew_again(self) -> None:
        """While all is ended, which may take longer than the lease: what has begun is still done
        here, and nobody else may do it at the same time."""
        while True:
            await asyncio.sleep(self._ttl / _LOOKS)
            try:
                await self._renew()
            except DiptychError as error:
                self._in_trouble(error)

    def _in_trouble(self, error: BaseException) -> None:
        """Said once of each error: it is tried again many times a minute."""
        if (now := reason(error)) != self._trouble:
            known = isinstance(error, DiptychError)
            _log.warning("cursors are out of reach; trying again: %s", now, exc_info=not known)
        self._trouble = now

    def _out_of_trouble(self) -> None:
        if self._trouble:
            _log.warning("cursors are within reach again")
        self._trouble = ""

    def _end_superseded(self, seen: Mapping[str, Cursor]) -> None:
        """At once: another has taken over, and may handle the same events by now. Nobody waits for
        its end, so that it does not keep the others from being renewed; before it there is no new
        begin."""
        for name, running in tuple(self._running.items()):
            if seen[name].epoch == running.reactor.held.epoch:
                continue
            if running.task.done():
                del self._running[name]
            elif not running.task.cancelling():
                running.task.cancel()
                _log.info("%s: another process has taken over", name)

    async def _tend(self, reaction: Reaction[Any], cursor: Cursor) -> None:
        running, paused = self._running.get(reaction.name), cursor.paused_at is not None
        if running is not None and not running.task.done():
            if paused:
                running.reactor.end()
            return
        if running is not None and running.reactor.stopped and cursor.failure and not paused:
            return  # it waits for an operator
        if running is not None:
            _report(reaction, running.task)
            del self._running[reaction.name]
        if not paused:
            await self._take(reaction, cursor)
        elif cursor.holder is not None and cursor.holder.id == self.worker.id:
            await self._cursors.release(self.worker, reaction.name)

    async def _take(self, reaction: Reaction[Any], cursor: Cursor) -> None:
        gone = cursor.holder.id if cursor.holder and is_gone(cursor.holder.process) else ""
        mine = cursor.holder is not None and cursor.holder.id == self.worker.id
        if cursor.alive and not gone and not mine:
            return
        lease, now = Lease(), _time()
        held = await self._cursors.take(reaction.name, self.worker, ttl=self._ttl, gone=gone)
        if held is None:
            return
        lease.renewed(now + self._ttl)
        reactor = Reactor(
            reaction,
            held,
            lease=lease,
            store=self._store,
            clock=self._clock,
            grace=self._grace,
        )
        task = asyncio.create_task(reactor.run(), name=f"diptych-reaction-{reaction.name}")
        self._running[reaction.name] = _Running(reactor, task, lease)
        _log.info("%s runs %r from %d on", self.worker.name, reaction, held.point.position)


def _report(reaction: Reaction[Any], task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("%r ended with an error; it is begun again", reaction, exc_info=error)


def _time() -> float:
    return asyncio.get_running_loop().time()
