"""Cursors of a log that is open several times at once, as several processes have it."""

import asyncio
from uuid import uuid4

from diptych.store.contract import EventStore, Point
from diptych.store.cursors import Cursors, Held, cursors_of
from diptych.testing.conformance.cursors import ANN, BOB, LONG, CursorSuite, parked, seen, taken
from diptych.testing.conformance.sharing import SharedSuite
from diptych.testing.conformance.steps import add, log_of, settle, to


class SharedCursorConformance(CursorSuite, SharedSuite):
    """For durable stores whose log may be open more than once at a time."""

    async def test_cursors_are_the_same_at_every_opening(
        self, cursors: Cursors, other: EventStore
    ) -> None:
        point, elsewhere = Point(12, uuid4()), cursors_of(other)
        held = await taken(cursors)
        await cursors.advance(held, point)
        found = await parked(cursors, held, 3, 4)
        assert list(await elsewhere.look()) == list(await cursors.look())
        assert await elsewhere.take("mail", BOB, ttl=LONG) is None
        heir = await elsewhere.take("mail", BOB, ttl=LONG, gone=ANN.id)
        assert heir is not None
        assert (heir.point, list(heir.parked)) == (point, [found])
        assert not await cursors.advance(held, Point(13))

    async def test_a_cursor_is_written_while_events_are_appended(
        self, cursors: Cursors, store: EventStore, other: EventStore
    ) -> None:
        """By the same process and by another: neither keeps the other from it for long."""
        held = await taken(cursors)
        writing = [_busy(each, number) for number, each in enumerate((store, other))]
        saved = _advanced(cursors, held)
        await asyncio.gather(*writing, saved)
        assert (await seen(cursors)).point == Point(30)
        assert len(await log_of(store)) == 60


async def _busy(store: EventStore, number: int) -> None:
    for _ in range(30):
        await settle(store, add(to(f"order-{number}")))


async def _advanced(cursors: Cursors, held: Held) -> None:
    for position in range(1, 31):
        assert await cursors.advance(held, Point(position))
