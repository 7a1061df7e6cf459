"""`ReadSide`: the right panel as one part; registers, projects, answers, and tells how it is."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import TypeVar

from diptych.clock import Clock
from diptych.errors import (
    ConfigurationError,
    ConsistencyTimeout,
    StoreClosed,
)
from diptych.read.bus import TIMEOUT, OnTimeout, QueryBus
from diptych.read.consistency import Consistency
from diptych.read.database import ReadDatabase
from diptych.read.model import ReadModel
from diptych.read.projector import Projector, Target
from diptych.read.query import Answer, Query, QueryHandler
from diptych.read.readiness import Readiness, readiness
from diptych.read.revision import register
from diptych.read.signal import CheckpointSignal
from diptych.store.contract import EventStore
from diptych.tokens import Token

R = TypeVar("R")

_log = logging.getLogger(__name__)


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
    ) -> None:
        self._store, self._database, self._clock = store, database, clock
        self._models = tuple(models)
        _check_names(self._models)
        self._bus = QueryBus(queries, models=self._models, database=database)
        self._running: _Running | None = None

    async def open(self) -> None:
        """Open the read database, register revisions, start projecting. The store is open already.

        Raises: StoreError, HistoryDiverged, SchemaMismatch: as `ReadDatabase.open`.
        """
        if self._running is not None:
            raise ConfigurationError("the read side is open already")
        await self._database.open(log_id=self._store.log_id)
        try:
            self._running = await self._start()
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
        """The answer, never older than `at_least`.

        Raises:
            ConsistencyTimeout: a view did not get there in time. ViewNotReady: nor was it built.
            TokenFromAnotherHistory: the token does not belong to this log.
            ConfigurationError: nothing answers this query type.
        """
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

        Raises: as `query`; with `on_timeout="stale"` ViewNotReady only, for a view that was never
            complete.
        """
        return await self._bus.ask(
            query,
            consistency=self._opened().consistency,
            at_least=at_least,
            tenant=tenant,
            timeout=timeout,
            on_timeout=on_timeout,
        )

    async def readiness(self) -> Readiness:
        """How each view stands against the head of the log, and whether all is well."""
        return await readiness(
            self._opened().projectors,
            store=self._store,
            database=self._database,
            clock=self._clock,
        )

    async def reached(self, position: int, *, timeout: timedelta) -> None:
        """Wait until every view and projection has finished everything up to `position`.

        Raises: ConsistencyTimeout; ProjectionStopped: one of them will not get there.
        """
        running = self._opened()
        deadline = asyncio.get_running_loop().time() + timeout.total_seconds()
        for projector in running.projectors:
            left = deadline - asyncio.get_running_loop().time()
            if not await running.reached(projector, position, seconds=left):
                name, now = projector.model.name, projector.point.position
                raise ConsistencyTimeout(name, wanted=position, reached=now, timeout=timeout)

    async def _start(self) -> "_Running":
        head = await self._store.head()
        revisions = await register(
            self._models,
            database=self._database,
            log_id=self._store.log_id,
            head=head,
            at=self._clock.now(),
        )
        targets = [Target(model, revisions[model.name], head.position) for model in self._models]
        signal = CheckpointSignal(self._database.glance)
        projectors = [
            Projector(
                target,
                store=self._store,
                database=self._database,
                signal=signal,
                clock=self._clock,
            )
            for target in targets
        ]
        by_name = {target.model.name: target for target in targets}
        consistency = Consistency(by_name, store=self._store, signal=signal)
        return _Running(consistency, signal, projectors)

    def _opened(self) -> "_Running":
        if self._running is None:
            raise StoreClosed("the application is not open: write `async with app:`")
        return self._running


class _Running:
    """What exists while the read side is open: one supervised task for each projector."""

    def __init__(
        self, consistency: Consistency, signal: CheckpointSignal, projectors: Sequence[Projector]
    ) -> None:
        self.consistency, self.projectors = consistency, tuple(projectors)
        self._signal = signal
        self._tasks = {
            each: asyncio.create_task(each.run(), name=f"diptych-projector-{each.model.name}")
            for each in projectors
        }

    async def reached(self, projector: Projector, position: int, *, seconds: float) -> bool:
        """Raises ProjectionStopped: the projector has ended, and not there."""
        revision, task = projector.target.revision, self._tasks[projector]
        waiting = asyncio.ensure_future(
            self._signal.reached(revision, position, timeout=max(seconds, 0))
        )
        try:
            await asyncio.wait({waiting, task}, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                return waiting.result()
        finally:
            waiting.cancel()
        if projector.stopped is not None:
            raise projector.stopped
        raise StoreClosed("the read side was closed")

    async def stop(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        for outcome in await asyncio.gather(*self._tasks.values(), return_exceptions=True):
            if isinstance(outcome, Exception):
                _log.error("a projector ended with an error", exc_info=outcome)
        await self._signal.close()


def _check_names(models: Sequence[ReadModel]) -> None:
    seen: set[str] = set()
    for model in models:
        if model.name in seen:
            raise ConfigurationError(f"two views or projections are named {model.name!r}")
        seen.add(model.name)
        model.fingerprint  # noqa: B018 - made at start-up, where its errors belong
