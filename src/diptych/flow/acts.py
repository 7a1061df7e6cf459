"""`ReactionActs`: what an operator does with one reaction; `app.operations.reaction(name)`."""

import asyncio
from dataclasses import dataclass
from typing import Final

from diptych.flow.side import FlowSide
from diptych.flow.status import ParkedStream, ReactionStatus
from diptych.flow.why import ReactionExplanation, explained
from diptych.store.cursors import Discard

_LOOK: Final = 1.0
"""Seconds in which a reaction that runs, and has something to do, must get on."""


@dataclass(frozen=True, slots=True)
class ReactionActs:
    """Works beside whichever process runs the reaction, and where none does."""

    name: str
    side: FlowSide

    async def status(self) -> ReactionStatus:
        (found,) = [each for each in await self.side.statuses() if each.name == self.name]
        return found

    async def why(self) -> ReactionExplanation:
        """Why it is where it is. Where it is behind this takes a second, to see if it gets on."""
        found = before = await self.status()
        if before.lag and before.holder:
            await asyncio.sleep(_LOOK)
            found = await self.status()
        return explained(found, moved=found.position > before.position)

    async def parked(self) -> tuple[ParkedStream, ...]:
        """The streams that are set aside, in the order of the events that failed."""
        return await self.side.parked(self.name)

    async def retry(self, stream: str | None = None, *, tenant: str = "") -> int:
        """Handle what is parked of a stream, in order, in this process; how many events it was.
        Without a stream: let a reaction that has stopped go on, where it runs.

        What is handled is parked no more, also if a later event fails again: what was done in the
        world cannot be taken back.

        Raises:
            NotParked: nothing of it is parked. NotStopped: the reaction has not stopped.
            StillParked: an event failed again. It and all behind it stay as they are.
            RetriedElsewhere: another operator has begun to retry the stream after this, and goes on
                with it; the event at that moment is handled by both.
            HistoryDiverged: the log does not have these events.
        """
        return await self.side.retry(self.name, stream=stream, tenant=tenant)

    async def discard(self, stream: str | None = None, *, reason: str, tenant: str = "") -> Discard:
        """Never handle what is parked of a stream; later events of it are handled. Without a
        stream: never handle the event at which the reaction has stopped, and go on behind it.

        It is recorded for ever, with the reason.

        Raises: NotParked: nothing of it is parked. NotStopped: no event has stopped the reaction.
        """
        return await self.side.discard(self.name, stream=stream, reason=reason, tenant=tenant)

    async def discarded(self) -> tuple[Discard, ...]:
        """All that was ever discarded, in the order in which it was."""
        return await self.side.discarded(self.name)

    async def pause(self, *, reason: str = "") -> bool:
        """Let nobody run it until it is resumed, restarts included. What has begun comes to its
        end; when this returns nothing is under way. False if it was paused already: then the first
        reason stands."""
        return await self.side.pause(self.name, reason=reason)

    async def resume(self) -> bool:
        """Let it run again; False if it was not paused."""
        return await self.side.resume(self.name)
