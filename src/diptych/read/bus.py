"""`QueryBus`: finds what answers a query, and answers from one snapshot that is new enough."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, Generic, Literal, NamedTuple, TypeVar

from diptych.errors import ConfigurationError, NoHandler
from diptych.listed import listed
from diptych.read.consistency import Consistency, newer
from diptych.read.database import ReadDatabase, Snapshot, Standing, Wanted
from diptych.read.missing import Asked, Missing, missing_of
from diptych.read.model import Bound, ReadModel
from diptych.read.query import Answer, Query, QueryHandler
from diptych.read.reads import Reads
from diptych.read.rows import Rows
from diptych.tokens import Token

R = TypeVar("R")

OnTimeout = Literal["raise", "stale"]

TIMEOUT: Final = timedelta(seconds=5)

_LOOK_AGAIN: Final = 1.0
"""While a query waits: another process may have stopped the view, of which nobody tells us."""

_TURN: Final = 0.001
"""So often, in seconds, queries let everything else run: who asks in a loop never waits."""

_REPLICA_PAUSE: Final = 0.002
"""A replica may be behind the checkpoint that woke us: ask it again, but not at once."""


@dataclass(frozen=True, slots=True)
class Look(Generic[R]):
    """An answer, what it was made from, how its views stood, and the place where they were.

    `place` is that of `shown.as_of`, or a later one where something is parked. `wanted` is the
    position that they should have reached; 0 if they have.
    """

    shown: Answer[R]
    reads: Reads
    standings: Mapping[Wanted, Standing]
    place: Token
    wanted: int = 0

    @property
    def answer(self) -> Answer[R]:
        """For who asked: it is stale if that is more than there is."""
        return replace(self.shown, stale=True) if self.wanted else self.shown


class _Plan(NamedTuple):
    """What answers a query, what the views that it reads are projected as, and each of these."""

    handler: QueryHandler
    homes: Mapping[ReadModel, ReadModel]
    reads: tuple[ReadModel, ...]


class QueryBus:
    """`homes` tells for each view what it is projected as, and so which revision it is read in.

    Raises ConfigurationError: a query type is answered twice, or reads an unknown view.
    """

    def __init__(
        self,
        handlers: Sequence[QueryHandler],
        *,
        homes: Mapping[ReadModel, ReadModel],
        database: ReadDatabase,
    ) -> None:
        self._homes = homes
        self._plans: dict[type, _Plan] = {}
        self._database = database
        self._bound: dict[tuple[str, int], Bound] = {}
        self._turn = 0.0
        for handler in listed("queries", handlers, QueryHandler, write="answer(...)"):
            self._register(handler)

    async def ask(
        self,
        query: Query[R],
        *,
        consistency: Consistency,
        at_least: Token | None,
        tenant: str,
        timeout: timedelta,
        on_timeout: OnTimeout,
    ) -> Look[R]:
        """The answer, from a snapshot that shows `at_least`. When the time is up it raises, or with
        `on_timeout="stale"` answers with what there is."""
        reads = self.homes_of(query)
        wanted = [model.wanted for model in reads]
        loop = asyncio.get_running_loop()
        if loop.time() >= self._turn:
            await asyncio.sleep(0)
            self._turn = loop.time() + _TURN
        if at_least is not None:
            await consistency.verify(at_least)
        deadline = loop.time() + timeout.total_seconds()
        over, attempts = False, 0
        while True:
            async with self._database.snapshot(wanted) as snapshot:
                lack = consistency.lack(snapshot.standings, reads, at_least)
                over = over or (lack is not None and lack.stop is not None)
                if lack is None or (over and on_timeout == "stale" and lack.servable):
                    asked = Asked(tenant, at_least, on_timeout == "stale")
                    found = await self._look(query, asked, snapshot, consistency)
                    return found if lack is None else replace(found, wanted=lack.wanted)
            if over:
                raise lack.error(timeout)
            woken = await consistency.wait(lack, seconds=min(deadline - loop.time(), _LOOK_AGAIN))
            if woken and attempts:
                # What was announced is not in the snapshots yet, and perhaps never will be.
                await asyncio.sleep(_REPLICA_PAUSE)
            over = loop.time() >= deadline
            attempts += 1
            if over:
                await consistency.look_at_log(at_least)

    def homes_of(self, query: Query[R]) -> tuple[ReadModel, ...]:
        """What the views that it reads are projected as. Raises: NoHandler."""
        return self._find(query).reads

    async def _look(
        self, query: Query[R], asked: Asked, snapshot: Snapshot, consistency: Consistency
    ) -> Look[R]:
        handler, homes, _ = self._find(query)
        missing = await missing_of(snapshot, asked, homes=homes)
        rows = self._rows(homes, snapshot, missing)
        value: R = await handler.call(query, rows)
        place = consistency.as_of(snapshot.standings)
        # What is not parked was shown as it is at `place`: the client must not go back behind it.
        answer = Answer(value, missing.as_of(place), missing.stale, newer(place, asked.at_least))
        return Look(answer, rows.reads, snapshot.standings, place)

    def _rows(
        self, homes: Mapping[ReadModel, ReadModel], snapshot: Snapshot, missing: Missing
    ) -> Rows:
        bound = {
            model: self._bind(model, snapshot.standings[home.wanted].revision)
            for model, home in homes.items()
        }
        tenant, database = missing.tenant, self._database
        return Rows(snapshot, database=database, bound=bound, tenant=tenant, missing=missing)

    def _bind(self, model: ReadModel, revision: int) -> Bound:
        """Kept for each revision: the snapshot says which of them serves."""
        found = self._bound.get((model.name, revision))
        if found is None:
            found = self._bound[model.name, revision] = model.bind(revision, self._database.dialect)
        return found

    def _find(self, query: Query[R]) -> "_Plan":
        plan = self._plans.get(type(query))
        if plan is None:
            raise NoHandler(type(query), registered=tuple(self._plans))
        return plan

    def _register(self, handler: QueryHandler) -> None:
        name = handler.query.__qualname__
        if handler.query in self._plans:
            raise ConfigurationError(f"{name} is answered twice: leave one answer(...) out")
        for model in handler.reads:
            if model not in self._homes:
                raise ConfigurationError(
                    f"{name} reads {model!r}, which the application does not have: add it to"
                    " views= or projections="
                )
        homes = {model: self._homes[model] for model in handler.reads}
        self._plans[handler.query] = _Plan(handler, homes, tuple(dict.fromkeys(homes.values())))
