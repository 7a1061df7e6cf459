"""`Application`: the one visible place where the parts of a service meet, run and stop."""

import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, Self, TypeVar
from uuid import UUID

from diptych import backends
from diptych.clock import Clock, SystemClock
from diptych.errors import ConfigurationError, StoreClosed
from diptych.flow.reaction import Reaction
from diptych.flow.side import FlowSide
from diptych.join import AsyncSqlSession, Joined, SqlSession, join
from diptych.log import Log
from diptych.operations import Operations
from diptych.read.bus import TIMEOUT, OnTimeout
from diptych.read.database import ReadDatabase
from diptych.read.group import models_of
from diptych.read.projection import Projection
from diptych.read.query import Answer, Query, QueryHandler
from diptych.read.readiness import Readiness
from diptych.read.side import ReadSide
from diptych.read.view import View
from diptych.read.watching import Watching
from diptych.store.contract import EventStore
from diptych.telemetry.contract import Telemetry
from diptych.telemetry.lookout import Lookout
from diptych.telemetry.observed import Parts
from diptych.tokens import Token
from diptych.write.bus import Middleware
from diptych.write.decider import Decider
from diptych.write.handler import CommandHandler
from diptych.write.outcome import Outcome

R = TypeVar("R")

_log = logging.getLogger("diptych")


class Application:
    """Routes commands to the left and queries to the right; runs and stops what follows the log.

    Args:
        log: the URL of the event log (`sqlite:///data/log.db`, `memory://`), or a store.
        read: the URL of the read database (`sqlite:///data/read.db`; `sqlite://` is a temporary
            one), or a database. It is never the file of the log.
        write: deciders and handlers. A handler over a decider's command goes first.
        views, projections, queries: the right panel.
        middleware: wraps every command, the first outermost.
        reactions: what happens outside when an event was recorded; see `Reaction`.
        telemetry: who is told what the application does and how it is (`diptych.telemetry`).
        project: False for a process that only answers: its views are built, and its reactions run,
            by others (`diptych run`). It is an attribute too, which may be changed until the
            application is opened. So are `react`, which a process that only builds views sets to
            False, and `operating`, which the `diptych` command sets: a process that does neither.
        migrate: False to refuse databases that an older version of Diptych wrote (`SchemaMismatch`)
            instead of migrating them, in one transaction, when they are opened. An attribute too.

    Open it with `async with`, or with `open` and `close`. It belongs to one event loop.

        async with Application(log="memory://", write=[orders], views=[summaries]) as app:
            outcome = await app.dispatch(ShipOrder(order_id))
            summary = await app.query(GetOrder(order_id), at_least=outcome.token)

    Raises:
        ConfigurationError: the parts do not fit; the message says what to write.
    """

    def __init__(
        self,
        *,
        log: str | EventStore,
        read: str | ReadDatabase = "sqlite://",
        write: Sequence[Decider[Any, Any, Any] | CommandHandler] = (),
        views: Sequence[View[Any]] = (),
        projections: Sequence[Projection] = (),
        queries: Sequence[QueryHandler] = (),
        middleware: Sequence[Middleware] = (),
        reactions: Sequence[Reaction[Any]] = (),
        telemetry: Sequence[Telemetry] = (),
        project: bool = True,
        migrate: bool = True,
        clock: Clock | None = None,
    ) -> None:
        self.project, self.migrate, self.operating, self.react = project, migrate, False, True
        self._clock = clock or SystemClock()
        self._store = backends.open_log(log, self._clock) if isinstance(log, str) else log
        self._database = backends.open_read_database(read) if isinstance(read, str) else read
        self.files = backends.distinct_files(self._store, self._database)
        self._parts = Parts(tuple(write), self._store, self._clock, tuple(middleware))
        self.telemetry = tuple(telemetry)
        self._left = self._parts.observed_by(self.telemetry)
        models = models_of(views, projections)
        self.names = tuple(model.name for model in models)
        self._right = ReadSide(
            store=self._store,
            database=self._database,
            clock=self._clock,
            models=models,
            queries=queries,
        )
        self._answered = frozenset(each.query for each in queries)
        followed = (family for model in models for family in model.families)
        self._flow = FlowSide(reactions, store=self._store, clock=self._clock, taken=self.names)
        self.operations = Operations(self._right, self._flow, scratch=backends.open_scratch)
        self.log = Log(self._store, [*self._left.families, *followed, *self._flow.families])
        self._opened: AsyncExitStack | None = None

    def observe(self, telemetry: Telemetry) -> None:
        """Add telemetry, before the application is opened."""
        if self._opened is not None:
            raise ConfigurationError("the application is open: observe it before")
        self.telemetry = (*self.telemetry, telemetry)
        self._left = self._parts.observed_by(self.telemetry)

    async def open(self) -> None:
        """Open log and read database, begin to project, and report what is in force.

        Raises: StoreError, HistoryDiverged, SchemaMismatch: a database cannot be used; the message
            says what to do. RebuildRequired: a view must be rebuilt before this code is started.
        """
        if self._opened is not None:
            raise ConfigurationError("the application is open already")
        if not self.migrate:
            backends.keep_schema(self._store)
        async with AsyncExitStack() as stack:
            await self._store.open()
            stack.push_async_callback(self._store.close)
            stack.push_async_callback(self._left.close)
            backends.distinct_files(self._store, self._database)
            await self._right.open(
                project=self.project,
                migrate=self.migrate,
                operating=self.operating,
                observers=self.telemetry,
            )
            stack.push_async_callback(self._right.close)
            await self._flow.open()
            lookout = Lookout(
                self.ready, self._flow.statuses, store=self._store, telemetry=self.telemetry
            )
            await stack.enter_async_context(lookout)
            stack.push_async_callback(self._flow.close)
            self._opened = stack.pop_all()
        if self.project and self.react and not self.operating:
            self._flow.start()
        for fact in self.report():
            _log.info("%s", fact)

    async def close(self) -> None:
        """Finish what was accepted, stop the projections, close both databases."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.aclose()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def dispatch(
        self,
        command: object,
        *,
        command_id: UUID | None = None,
        actor: str = "",
        tenant: str = "",
        expected_version: int | None = None,
        correlation_id: UUID | None = None,
        causation_id: UUID | None = None,
    ) -> Outcome:
        """Have a command decided and its events appended.

        Give a `command_id` to make it safe to send the command again: it takes effect at most once,
        and a repeat gets the first outcome. `expected_version` refuses the command if its stream
        has moved on. `actor` and `tenant` come from authentication, never from a request's body.

        Raises:
            Rejected: the domain refuses it; nothing was written.
            ConcurrencyError: the stream is not at `expected_version`.
            CommandIdReused: the id was used before, for other content.
            OutcomeUnknown: contact with the log was lost; send it again under the same id.
            NoHandler. Overloaded, StoreError: as the log says.
        """
        if self._opened is None:
            raise StoreClosed("the application is not open: write `async with app:`")
        return await self._left.dispatch(
            command,
            command_id=command_id,
            actor=actor,
            tenant=tenant,
            expected_version=expected_version,
            correlation_id=correlation_id,
            causation_id=causation_id,
        )

    def join(self, session: SqlSession | AsyncSqlSession) -> Joined:
        """Dispatch commands into the transaction of a SQLAlchemy session: with its commit they
        take effect, together with whatever else it changes, or not at all.

            async with AsyncSession(engine) as session, session.begin():
                session.add(invoice)
                pending = await app.join(session).dispatch(PlaceOrder(...))
            pending.outcome

        The log must be in the database of the session, in PostgreSQL; the transaction READ
        COMMITTED. Other writers wait for it only from its commit on. Raises: ConfigurationError.
        """
        if self._opened is None:
            raise StoreClosed("the application is not open: write `async with app:`")
        return join(session, left=self._left, store=self._store, clock=self._clock)

    async def query(
        self,
        query: Query[R],
        *,
        at_least: Token | None = None,
        tenant: str = "",
        timeout: timedelta = TIMEOUT,
    ) -> R:
        """The answer, never older than `at_least`; it waits for the views that it reads.

        Raises:
            ConsistencyTimeout: a view did not get there in time.
            ViewNotReady: a view is still being built.
            ProjectionStopped: an event keeps a view from getting there.
            CheckpointDiverged: a view shows events that the log does not have any more.
            TokenFromAnotherHistory: the token does not belong to this log. NoHandler.
        """
        return await self._right.query(query, at_least=at_least, tenant=tenant, timeout=timeout)

    async def ask(
        self,
        query: Query[R],
        *,
        at_least: Token | None = None,
        tenant: str = "",
        timeout: timedelta = TIMEOUT,
        on_timeout: OnTimeout = "raise",
    ) -> Answer[R]:
        """The answer and how new it is; `on_timeout="stale"` takes an older one, marked `stale`.

        Raises: as `query`; with `on_timeout="stale"` no ConsistencyTimeout, and no
            ProjectionStopped if the view was complete once.
        """
        return await self._right.ask(
            query, at_least=at_least, tenant=tenant, timeout=timeout, on_timeout=on_timeout
        )

    def watch(
        self,
        query: Query[R],
        *,
        at_least: Token | None = None,
        tenant: str = "",
        timeout: timedelta = TIMEOUT,
    ) -> Watching[R]:
        """The answer, as `ask` with `on_timeout="stale"` gives it, and again whenever it changes.

        async with app.watch(GetOrder(order_id)) as answers:
            async for answer in answers:
                show(answer.value)
        """
        return self._right.watch(query, at_least=at_least, tenant=tenant, timeout=timeout)

    def report(self) -> tuple[str, ...]:
        """What is in force, one fact a line, without passwords: log, durability, read database,
        who projects. `open` logs it. Raises: StoreClosed."""
        names = ", ".join(self.names)
        by = ", by other processes" if names and not self.project else ""
        projections = f"projections: {names or 'none'}{by}"
        return (*backends.in_force(self._store, self._database), projections)

    def handles(self, message: type) -> bool:
        """Whether commands or queries of this type are dispatched or answered here."""
        return message in self._left.bus.commands or message in self._answered

    async def ready(self) -> Readiness:
        """Whether this process should get requests, and how each view stands."""
        return await self._right.readiness()

    @property
    def alive(self) -> bool:
        """Whether it is open and all its parts run; if not, only a new process helps."""
        return self._opened is not None and self._right.alive

    async def caught_up(
        self, position: int | None = None, *, timeout: timedelta = timedelta(hours=1)
    ) -> None:
        """Wait until all views have reached a position, by default the head as it is now.

        Raises: ConsistencyTimeout; ProjectionStopped, CheckpointDiverged: a view will not get
            there.
        """
        wanted = (await self._store.head()).position if position is None else position
        await self._right.reached(wanted, timeout=timeout)
