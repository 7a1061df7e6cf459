"""`Reaction`: what happens outside when an event was recorded."""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, Final, Generic, Literal, TypeVar
from uuid import UUID, uuid5

from diptych.codec import Events
from diptych.errors import ConfigurationError, InvalidInput
from diptych.listed import listed
from diptych.messages import RecordedEvent
from diptych.store.cursors import Limits
from diptych.store.limits import check_name

E = TypeVar("E")

Handle = Callable[[E, RecordedEvent], Awaitable[None]]
Start = Literal["now", "beginning"]
OnError = Literal["stop", "park"]

TIMEOUT: Final = timedelta(seconds=30)


class Reaction(Generic[E]):
    """Does something in the world for each event: sends a mail, calls a service, tells a broker.

        async def welcome(event: CustomerRegistered, recorded: RecordedEvent) -> None:
            await mailer.send(event.address, key=str(effect_id("welcome", recorded)))

        Reaction("welcome", events=[customer_events], handle=welcome)

    Each event is handled at least once, and those of one stream in order. Streams do not wait for
    each other. At least once means that an event may come again, after a crash or a time-out, when
    nobody knows whether `handle` was done: `recorded.event_id` is then the same, so give it, or
    `effect_id`, to whatever can tell a repeat. Views that are built or rebuilt handle nothing.

    Args:
        name: of the reaction, for ever: where it is in the log is kept under this name. Under
            another name it is another reaction, which begins as `start` says.
        events: the families whose events it gets; all of their types.
        handle: `async (event, recorded)`. Whatever it raises is a failure of this event.
        start: where it begins when it is new: "now", behind what is in the log when an application
            first opens with it; or at the "beginning", with everything that ever happened.
        on_error: what becomes of an event that fails: "stop" stops this reaction, and no other;
            "park" sets the stream of the event aside, from that event on, and all others go on.
        attempts: how often an event is tried, with growing pauses, until it has failed.
        timeout: after which a call of `handle` is cancelled and has failed. One that goes on all
            the same is left alone, and its event is not tried again until an operator says so.
        concurrency: how many calls of `handle` there are at once, each of another stream.
        parked_streams, parked_events: how much may be set aside; beyond that it stops.

    Raises: ConfigurationError: an argument cannot be; the message says what to write.
    """

    def __init__(
        self,
        name: str,
        *,
        events: Sequence[Events[E]],
        handle: Handle[E],
        start: Start = "now",
        on_error: OnError = "stop",
        attempts: int = 5,
        timeout: timedelta = TIMEOUT,
        concurrency: int = 10,
        parked_streams: int = 100,
        parked_events: int = 10_000,
    ) -> None:
        self.name, self.handle = name, handle
        self.families = listed("events", events, Events, write="Events(...)")
        self.start, self.on_error = start, on_error
        self.attempts, self.timeout, self.concurrency = attempts, timeout, concurrency
        self.limits = Limits(parked_streams, parked_events)
        self._by_category = {family.category: family for family in self.families}
        self.categories = frozenset(self._by_category)
        _check(self)

    def __repr__(self) -> str:
        return f"Reaction({self.name!r})"

    async def decode(self, recorded: RecordedEvent) -> Sequence[E]:
        """What the event is to `handle`: nothing if its family ignores it, several if an upcaster
        made them of it.

        Raises: UnknownEventType, UndecodableEvent.
        """
        family = self._by_category[recorded.stream.partition("-")[0]]
        return [event for _, event in await family.decode([recorded])]


def effect_id(reaction: str, recorded: RecordedEvent) -> UUID:
    """The same for each delivery of an event to a reaction, another for another reaction: an
    idempotency key for whatever it calls, or the id of a command that it dispatches."""
    return uuid5(recorded.event_id, reaction)


def _check(reaction: Reaction[Any]) -> None:
    try:
        check_name("name", reaction.name)
    except InvalidInput as error:
        raise ConfigurationError(f"reaction {reaction.name!r}: name {error.problem}") from None
    if not reaction.families or len(reaction.categories) < len(reaction.families):
        raise ConfigurationError(f"{reaction!r}: events= takes one family of each category")
    call = getattr(reaction.handle, "__call__", None)  # noqa: B004 - it may be an object
    if not (inspect.iscoroutinefunction(reaction.handle) or inspect.iscoroutinefunction(call)):
        raise ConfigurationError(f"{reaction!r}: handle= takes an `async def` function")
    if reaction.start not in {"now", "beginning"} or reaction.on_error not in {"stop", "park"}:
        raise ConfigurationError(
            f'{reaction!r}: start= is "now" or "beginning", on_error= "stop" or "park"'
        )
    least = (reaction.attempts, reaction.concurrency, *_numbers(reaction.limits))
    if min(least) < 1 or reaction.timeout <= timedelta(0):
        raise ConfigurationError(f"{reaction!r}: its numbers begin at 1, its timeout above 0")


def _numbers(limits: Limits) -> tuple[int, int]:
    return limits.streams, limits.events
