"""`FlowSide`: the reactions of an application as one part; runs them, tells how they are."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any, Final

from diptych.clock import Clock
from diptych.errors import (
    ConfigurationError,
    NotParked,
    NotStopped,
    StoreClosed,
    UnknownReaction,
)
from diptych.flow.lease import TTL
from diptych.flow.reacting import Reacting
from diptych.flow.reaction import Reaction
from diptych.flow.reactor import GRACE
from diptych.flow.status import Looking, ParkedStream, ReactionStatus
from diptych.flow.working_off import work_off
from diptych.listed import listed
from diptych.store.contract import START, EventStore
from diptych.store.cursors import Cursor, Cursors, Discard, Parked, cursors_of

_LOOK: Final = 0.05


class FlowSide:
    """Reactions over one log. With none of them it does nothing, and asks the log for nothing.

    `taken` are names that operators know for something else.

    Raises: ConfigurationError: two of them have one name, or one has a name that is taken.
    """

    def __init__(
        self,
        reactions: Sequence[Reaction[Any]],
        *,
        store: EventStore,
        clock: Clock,
        taken: Collection[str] = (),
        lease_ttl: float = TTL,
        grace: float = GRACE,
    ) -> None:
        reactions = listed("reactions", reactions, Reaction, write="Reaction(...)")
        self.reactions = {reaction.name: reaction for reaction in reactions}
        if len(self.reactions) < len(reactions):
            raise ConfigurationError("two reactions have one name: each has a cursor of its own")
        if clashes := self.reactions.keys() & set(taken):
            raise ConfigurationError(f"a reaction and a view are both named {min(clashes)!r}")
        self.families = [family for each in reactions for family in each.families]
        self._store, self._clock = store, clock
        self._ttl, self._grace = lease_ttl, grace
        self._reacting: Reacting | None = None

    async def open(self) -> None:
        """Let each reaction have its cursor. The store is open already.

        What is appended after this is handled, wherever "now" was for a new reaction.

        Raises: StoreError. ConfigurationError: the log keeps no cursors.
        """
        if not self.reactions:
            return
        head = await self._store.head()
        for reaction in self.reactions.values():
            await self._cursors.register(reaction.name, head if reaction.start == "now" else START)

    def start(self) -> None:
        """Run those that are free, now and whenever one is."""
        if self.reactions:
            self._reacting = Reacting(
                tuple(self.reactions.values()),
                store=self._store,
                clock=self._clock,
                ttl=self._ttl,
                grace=self._grace,
            )
            self._reacting.start()

    async def close(self) -> None:
        """Let what has begun come to its end, save, and give everything back."""
        reacting, self._reacting = self._reacting, None
        if reacting is not None:
            await reacting.stop()

    async def statuses(self) -> tuple[ReactionStatus, ...]:
        """Raises: StoreError."""
        if not self.reactions:
            return ()
        reacting = self._reacting
        looking = Looking(
            self._store,
            self._clock,
            reacting.worker.id if reacting else "",
            self._errors(reacting) if reacting else {},
        )
        return await looking.statuses(self.reactions.values(), await self._cursors.look())

    async def parked(self, name: str) -> tuple[ParkedStream, ...]:
        """Raises: UnknownReaction."""
        self._named(name)
        return tuple(_shown(name, each) for each in await self._cursors.parked(name))

    async def retry(self, name: str, *, stream: str | None, tenant: str = "") -> int:
        """Work off what is parked of a stream, here and now; or, without a stream, let a reaction
        that has stopped go on, wherever it runs. How many events were handled.

        Raises: UnknownReaction, NotParked, NotStopped, StillParked, RetriedElsewhere.
        """
        reaction = self._named(name)
        if stream is not None:
            return await work_off(
                reaction, tenant=tenant, stream=stream, store=self._store, clock=self._clock
            )
        if not await self._cursors.again(name):
            raise NotStopped(name)
        return 0

    async def discard(
        self, name: str, *, stream: str | None, reason: str, tenant: str = ""
    ) -> Discard:
        """Never handle what is parked of a stream; or, without a stream, the event at which the
        reaction has stopped, which goes on then. It is recorded, for ever.

        Raises: UnknownReaction. NotParked: there is no such stream. NotStopped: no such event.
        """
        self._named(name)
        at = self._clock.now()
        if stream is None:
            found = await self._cursors.skip(name, reason=reason, at=at)
        else:
            found = await self._cursors.discard(
                name, tenant=tenant, stream=stream, reason=reason, at=at
            )
        if found is None:
            raise NotParked(name, stream=stream) if stream else NotStopped(name, at=" at an event")
        return found

    async def discarded(self, name: str) -> tuple[Discard, ...]:
        """Raises: UnknownReaction."""
        self._named(name)
        return tuple(await self._cursors.discarded(name))

    async def pause(self, name: str, *, reason: str) -> bool:
        """Handle nothing until it is resumed, in no process; return when nothing is handled. False
        if it was paused already.

        Raises: UnknownReaction.
        """
        self._named(name)
        before = await self._cursor(name)
        await self._cursors.pause(name, reason=reason, at=self._clock.now())
        while (await self._cursor(name)).alive:  # noqa: ASYNC110 - another process gives it back
            await asyncio.sleep(_LOOK)
        return before.paused_at is None

    async def resume(self, name: str) -> bool:
        """End a pause; False if there was none. Raises: UnknownReaction."""
        self._named(name)
        return await self._cursors.resume(name)

    @property
    def _cursors(self) -> Cursors:
        return cursors_of(self._store)

    async def _cursor(self, name: str) -> Cursor:
        for cursor in await self._cursors.look():
            if cursor.name == name:
                return cursor
        raise StoreClosed(f"the cursor of reaction {name} was removed by hand")

    def _named(self, name: str) -> Reaction[Any]:
        found = self.reactions.get(name)
        if found is None:
            raise UnknownReaction(name, known=self.reactions)
        return found

    def _errors(self, reacting: Reacting) -> dict[str, str]:
        found = {name: reacting.reactor(name) for name in self.reactions}
        return {name: each.error for name, each in found.items() if each and each.retrying}


def _shown(name: str, parked: Parked) -> ParkedStream:
    failure = parked.failure
    return ParkedStream(
        reaction=name,
        tenant=parked.tenant,
        stream=parked.stream,
        first=parked.first,
        through=parked.through,
        events=parked.events,
        position=failure.position,
        kind=failure.kind,
        event_type=failure.event_type,
        error=failure.error,
        attempts=failure.attempts,
        failed_at=failure.at,
    )
