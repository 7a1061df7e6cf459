"""`ReadSide`: the right panel as one part; registers, projects, answers, and tells how it is."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final, TypeVar

from diptych.clock import Clock
from diptych.errors import (
    ConfigurationError,
    ConsistencyTimeout,
    StoreClosed,
    UnknownView,
)
from diptych.read.bus import TIMEOUT, OnTimeout, QueryBus
from diptych.read.checkpoint import refuse_lost_history
from diptych.read.consistency import Consistency
from diptych.read.database import ReadDatabase, Standing, Wanted
from diptych.read.explanation import Explanation
from diptych.read.group import check_names, grouped, homes, named
from diptych.read.lease import TTL, Leases
from diptych.read.live import Live
from diptych.read.means import Means
from diptych.read.model import ReadModel
from diptych.read.observer import Observer, Observers
from diptych.read.presence import Presence
from diptych.read.projecting import Projecting
from diptych.read.query import Answer, Query, QueryHandler
from diptych.read.readiness import Readiness, readiness
from diptych.read.revision import Target, register
from diptych.read.signal import CheckpointSignal
from diptych.read.targets import Targets
from diptych.read.watching import Watching
from diptych.read.why import Detective
from diptych.store.contract import EventStore
from diptych.tokens import Token
from diptych.worker import Worker

R = TypeVar("R")

_LOOK_AGAIN: Final = 1.0
"""While something waits: a view may have been stopped by another process."""

_PAUSE: Final = 0.001
"""What was announced may be gone again, with a server that crashed: ask, but not all the time."""


class ReadSide:
    """Views, projections and queries over one log and one read database.

    Raises:
        ConfigurationError: two views have one name, a fingerprint cannot be made, or the queries
            do not fit.
    """

    def __init__(
        self,
        *,
        store: EventStore,
        database: ReadDatabase,
        clock: Clock,
        models: Sequence[ReadModel],
        queries: Sequence[QueryHandler],
        lease_ttl: float = TTL,
    ) -> None:
        self._store, self._database, self._clock = store, database, clock
        self._models, self._ttl = grouped(models), lease_ttl
        check_names(models)
        self._bus = QueryBus(queries, homes=homes(self._models), database=database)
        self._observers = Observers()
        self._running: _Running | None = None

    async def open(
        self,
        *,
        project: bool = True,
        migrate: bool = True,
        operating: bool = False,
        observers: Sequence[Observer] = (),
    ) -> None:
        """Open the read database, register revisions, start projecting. The store is open already.

        With `project=False` this process only answers; other processes have to project. Who is
        `operating` does not project either, and is let in though a view must be rebuilt first.
        With `migrate=False` a read database that an older version wrote is refused, not migrated.
        `observers` are told what the projectors of this process do.

        Raises:
            StoreError, HistoryDiverged, SchemaMismatch: as `ReadDatabase.open`.
            RebuildRequired: a view must be rebuilt by command before this code is started.
        """
        if self._running is not None:
            raise ConfigurationError("the read side is open already")
        self._observers = Observers(observers)
        await self._database.open(log_id=self._store.log_id, migrate=migrate)
        try:
            project = project and not operating
            self._running = await self._start(project=project, operating=operating)
        except BaseException:
            await self._database.close()
            raise

    async def close(self) -> None:
        """Stop the projectors, each after or without its transaction, and close the database."""
        running, self._running = self._running, None
        if running is not None:
            await running.stop()
            await self._database.close()

    async def query(
        self,
        query: Query[R],
        *,
        at_least: Token | None = None,
        tenant: str = "",
        timeout: timedelta = TIMEOUT,
    ) -> R:
        """The answer, never older than `at_least`. Raises: as `Application.query`."""
        answer = await self.ask(query, at_least=at_least, tenant=tenant, timeout=timeout)
        return answer.value

    async def ask(
        self,
        query: Query[R],
        *,
        at_least: Token | None = None,
        tenant: str = "",
        timeout: timedelta = TIMEOUT,
        on_timeout: OnTimeout = "raise",
    ) -> Answer[R]:
        """The answer with how new it is; with `on_timeout="stale"` it may be older than asked for.

        Raises: as `query`; with `on_timeout="stale"` no ConsistencyTimeout, and ViewNotReady and
            ProjectionStopped only for a view that was never complete.
        """
        look = await self._bus.ask(
            query,
            consistency=self._opened().live.consistency,
            at_least=at_least,
            tenant=tenant,
            timeout=timeout,
            on_timeout=on_timeout,
        )
        return look.answer

    def watch(
        self,
        query: Query[R],
        *,
        at_least: Token | None = None,
        tenant: str = "",
        timeout: timedelta = TIMEOUT,
    ) -> Watching[R]:
        """The answer, and again whenever it is another one. Raises: NoHandler."""
        live = self._opened().live
        return live.watch(query, at_least=at_least, tenant=tenant, timeout=timeout)

    async def readiness(self) -> Readiness:
        """How each view stands against the head of the log, and whether all is well."""
        running = self._opened()
        projecting = running.projecting
        return await readiness(
            tuple(running.targets.by_name.values()),
            projectors=projecting.projectors if projecting else {},
            worker=projecting.worker if projecting else "",
            store=self._store,
            database=self._database,
            clock=self._clock,
        )

    async def why(self, view: str) -> Explanation:
        """Raises: UnknownView."""
        model, projecting = self.named(view), self._opened().projecting
        detective = Detective(
            store=self._store,
            database=self._database,
            projectors=projecting.projectors if projecting else {},
        )
        return await detective.why(model)

    @property
    def alive(self) -> bool:
        """Whether all that runs here still does; False before the opening and after the end."""
        running = self._running
        return running is not None and (running.projecting is None or running.projecting.alive)

    async def reached(self, position: int, *, timeout: timedelta) -> None:
        """Wait until every view and projection has finished everything up to `position`.

        Raises: ConsistencyTimeout; ProjectionStopped, CheckpointDiverged: one of them will not
            get there.
        """
        loop, running = asyncio.get_running_loop(), self._opened()
        deadline = loop.time() + timeout.total_seconds()
        for model in self._models:
            while (now := await self._standing(model, position)).point.position < position:
                left, reached = deadline - loop.time(), now.point.position
                if left <= 0:
                    raise ConsistencyTimeout(
                        model.name, wanted=position, reached=reached, timeout=timeout
                    )
                soon = min(left, _LOOK_AGAIN)
                if await running.means.signal.reached(now.revision, position, timeout=soon):
                    await asyncio.sleep(_PAUSE)

    async def _standing(self, model: ReadModel, wanted: int) -> Standing:
        """Raises ProjectionStopped, CheckpointDiverged: it will not get to `wanted`."""
        async with self._database.snapshot([model.wanted], projecting=True) as snapshot:
            standing = snapshot.standings[model.wanted]
        if standing.stop is not None and standing.stop.bars(wanted):
            raise standing.stop.error(model.name)
        return standing

    async def _start(self, *, project: bool, operating: bool) -> "_Running":
        head = await self._store.head()
        revisions = await register(
            self._models,
            database=self._database,
            log_id=self._store.log_id,
            head=head,
            at=self._clock.now(),
            operating=operating,
        )
        targets = [Target(model, revisions[model.name], head.position) for model in self._models]
        slots = [slot for target in targets for slot in target.slots]
        await refuse_lost_history(slots, store=self._store, database=self._database)
        signal = CheckpointSignal(self._database.glance)
        self._database.listen(signal.look)
        aims = Targets(targets)
        consistency = Consistency(aims, store=self._store, signal=signal)
        means = Means(
            store=self._store,
            database=self._database,
            clock=self._clock,
            signal=signal,
            observers=self._observers,
            lease_ttl=self._ttl,
        )
        projecting = self._project(aims, means) if project and targets else None
        if projecting is not None:
            await projecting.start()
        presence = None
        if targets and not (project or operating):
            presence = Presence(self.wanted, database=self._database, ttl=self._ttl)
            await presence.start()
        live = Live(
            self._bus, consistency, store=self._store, database=self._database, signal=signal
        )
        return _Running(aims, live, means, projecting, presence)

    def _project(self, targets: Targets, means: Means) -> Projecting:
        worker = Worker.here()
        leases = Leases(worker, (), database=self._database, ttl=self._ttl)
        make = partial(means.projector, holder=worker.id)
        return Projecting(targets, make=make, leases=leases)

    @property
    def means(self) -> Means:
        """What operations on views are done with. Raises: StoreClosed."""
        return self._opened().means

    @property
    def wanted(self) -> frozenset[Wanted]:
        """What this code reads and projects."""
        return frozenset(model.wanted for model in self._models)

    def named(self, name: str) -> ReadModel:
        """What the view or projection of this name is projected as. Raises: UnknownView."""
        found = named(self._models, name)
        if found is None:
            raise UnknownView(name, known=(each.name for each in homes(self._models)))
        return found

    def _opened(self) -> "_Running":
        if self._running is None:
            raise StoreClosed("the application is not open: write `async with app:`")
        return self._running


@dataclass(frozen=True, slots=True)
class _Running:
    """What exists while the read side is open."""

    targets: Targets
    live: Live
    means: Means
    projecting: Projecting | None
    presence: Presence | None

    async def stop(self) -> None:
        await self.live.close()
        if self.projecting is not None:
            await self.projecting.stop()
        if self.presence is not None:
            await self.presence.stop()
        await self.means.signal.close()
