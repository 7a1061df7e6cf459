"""`Log`: the event log as users of an application see it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from diptych.codec import Events
from diptych.errors import UnknownEventType
from diptych.messages import RecordedEvent
from diptych.store.contract import START, Criterion, EventStore, LogPage, Point, category_of
from diptych.store.subscription import follow


class Log:
    """Reads and follows the log, and decodes its events with the families that are known here."""

    def __init__(self, store: EventStore, families: Sequence[Events[Any]]) -> None:
        self.store = store
        self.families = tuple(families)

    @property
    def id(self) -> UUID:
        """What tells this log from all others; it is in every token."""
        return self.store.log_id

    @property
    def durability(self) -> str:
        """What an acknowledgement survives."""
        return self.store.durability

    async def head(self) -> Point:
        """The last event of the log."""
        return await self.store.head()

    async def read(
        self,
        *,
        after: Point = START,
        limit: int = 1000,
        categories: frozenset[str] | None = None,
        criteria: tuple[Criterion, ...] | None = None,
        tenant: str | None = None,
    ) -> LogPage:
        """One page, as `EventStore.read`."""
        return await self.store.read(
            after=after, limit=limit, categories=categories, criteria=criteria, tenant=tenant
        )

    def follow(
        self,
        *,
        after: Point = START,
        limit: int = 1000,
        categories: frozenset[str] | None = None,
        criteria: tuple[Criterion, ...] | None = None,
        tenant: str | None = None,
    ) -> AsyncIterator[LogPage]:
        """Page after page, for ever, as `follow` in `diptych.store.subscription`."""
        return follow(
            self.store,
            after=after,
            limit=limit,
            categories=categories,
            criteria=criteria,
            tenant=tenant,
        )

    async def decode(self, recorded: RecordedEvent) -> tuple[object, ...]:
        """What the event stands for: an object of its class; several, if its upcaster makes them
        of it; none, if that drops it, or whoever declares its type ignores it.

        Raises: UnknownEventType: nothing in this application declares its category or type.
        """
        category = category_of(recorded.stream)
        ignored = False
        for family in self.families:  # those of a view may know fewer types than the decider's
            if family.category == category:
                with suppress(UnknownEventType):
                    if found := family.decode_all(recorded):
                        return found
                    ignored = True
        if ignored:
            return ()
        raise UnknownEventType(recorded.type, category=category, position=recorded.position)
