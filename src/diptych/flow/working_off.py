"""Working off a stream that a reaction has set aside: an operator's act, beside whoever runs it."""

import asyncio
from contextlib import nullcontext
from typing import Any

from diptych.clock import Clock
from diptych.errors import HistoryDiverged, NotParked, RetriedElsewhere, StillParked
from diptych.failpoints import failpoint
from diptych.flow.handling import Handling
from diptych.flow.reaction import Reaction
from diptych.messages import RecordedEvent
from diptych.store.contract import EventStore, Load
from diptych.store.cursors import Parked, Parking, cursors_of


async def work_off(
    reaction: Reaction[Any], *, tenant: str, stream: str, store: EventStore, clock: Clock
) -> int:
    """Handle what is parked of the stream, in order and in this process; how many events it was.

    Each that is handled is parked no more, so what was done is not done again if a later one fails.
    With the last, the stream is parked no more, and whoever runs the reaction goes on with it.

    Raises:
        NotParked: nothing of it is parked.
        RetriedElsewhere: another operator has taken this over, or discarded it, meanwhile.
        StillParked: an event failed again. It and all behind it stay.
        HistoryDiverged: the log does not have these events.
    """
    cursors = cursors_of(store)
    left: Parked | Parking | None = await cursors.reopen(
        reaction.name, tenant=tenant, stream=stream
    )
    if left is None:
        raise NotParked(reaction.name, stream=stream)
    handling = Handling(reaction, clock, turn=nullcontext, pause=asyncio.sleep)
    done = 0
    while isinstance(left, Parked):
        # One at which the reaction had stopped may be among them, as it could not join its stream.
        discarded = await cursors.discarded(reaction.name)
        for recorded in await _events(store, left):
            failpoint("reaction.before_work_off")
            if not any(each.covers(recorded) for each in discarded):
                await _handle(handling, recorded, left, reaction=reaction, store=store)
                done += 1
            left = await cursors.worked_off(reaction.name, left)
            if not isinstance(left, Parked):
                break
    if left is not Parking.NOT_PARKED:
        raise RetriedElsewhere(reaction.name, stream=stream, done=done)
    return done


async def _events(store: EventStore, parked: Parked) -> list[RecordedEvent]:
    """Those that are parked now; more may join them meanwhile. Raises: HistoryDiverged."""
    loaded = await store.load(Load(parked.stream, parked.tenant, after=parked.first - 1))
    found = [event for event in loaded.events if event.version <= parked.through]
    if not found or found[0].version != parked.first:
        raise HistoryDiverged(
            f"what is parked of {parked.stream}", position=parked.failure.position
        )
    return found


async def _handle(
    handling: Handling,
    recorded: RecordedEvent,
    parked: Parked,
    *,
    reaction: Reaction[Any],
    store: EventStore,
) -> None:
    failure = await handling.handle(recorded)
    if failure is not None:
        await cursors_of(store).failed_again(reaction.name, parked, failure)
        raise StillParked(reaction.name, position=failure.position, reason=failure.error)
