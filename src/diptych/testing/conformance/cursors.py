"""Cursors: one holder at a time, forward only, nothing by who was superseded, nothing skipped."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest_asyncio

from diptych.store.contract import START, EventStore, Point
from diptych.store.cursors import (
    Cursor,
    Cursors,
    Discard,
    Failure,
    Held,
    Limits,
    Parked,
    Parking,
    cursors_of,
)
from diptych.testing.conformance.steps import Suite, until
from diptych.worker import Worker

AT = datetime(2026, 11, 21, 8, 30, 0, 123456, tzinfo=UTC)
LONG, SHORT = 60.0, 0.05
MANY = Limits(streams=10, events=100)
ANN, BOB = Worker("ann", "host/1", "boot 1 7"), Worker("bob", "host/2", "boot 2 8")


def failure(version: int = 1, *, stream: str = "order-1", tenant: str = "") -> Failure:
    return Failure(
        "handle",
        "Refused in send, mail.py:7",
        AT,
        10 * version,
        tenant=tenant,
        stream=stream,
        version=version,
        event_type="OrderCreated",
        attempts=3,
    )


async def taken(cursors: Cursors, worker: Worker = ANN, *, ttl: float = LONG) -> Held:
    held = await cursors.take("mail", worker, ttl=ttl)
    assert held is not None
    return held


async def joined(
    cursors: Cursors, held: Held, version: int, *, limits: Limits = MANY, stream: str = "order-1"
) -> Parking:
    place = version, 10 * version
    return await cursors.join(held, tenant="", stream=stream, place=place, limits=limits)


async def parked(cursors: Cursors, held: Held, *versions: int) -> Parked:
    """The stream order-1, from the first of `versions` on."""
    first, *others = versions
    assert await cursors.park(held, failure(first), limits=MANY) is Parking.PARKED
    for version in others:
        assert await joined(cursors, held, version) is Parking.PARKED
    (found,) = await cursors.parked("mail")
    return found


async def seen(cursors: Cursors, name: str = "mail") -> Cursor:
    (found,) = [each for each in await cursors.look() if each.name == name]
    return found


class CursorSuite(Suite):
    @pytest_asyncio.fixture
    async def cursors(self, store: EventStore) -> Cursors:
        """Of a log with a cursor `mail` at its start."""
        cursors = cursors_of(store)
        await cursors.register("mail", START)
        return cursors


class HoldingConformance(CursorSuite):
    async def test_a_cursor_begins_where_it_was_first_registered(self, cursors: Cursors) -> None:
        point = Point(7, uuid4())
        await cursors.register("search", point)
        await cursors.register("search", Point(99))
        found = await seen(cursors, "search")
        assert (found.point, found.holder, found.alive) == (point, None, False)
        assert (found.failure, found.paused_at, found.parked_events) == (None, None, 0)
        assert (await seen(cursors)).point == START

    async def test_cursors_are_listed_by_name(self, cursors: Cursors) -> None:
        for name in ("zeta", "alpha"):
            await cursors.register(name, START)
        assert [each.name for each in await cursors.look()] == ["alpha", "mail", "zeta"]

    async def test_whoever_takes_a_cursor_raises_its_epoch(self, cursors: Cursors) -> None:
        first = await taken(cursors)
        second = await taken(cursors)
        assert first.epoch < second.epoch == (await seen(cursors)).epoch

    async def test_a_cursor_that_is_held_is_not_given_to_another(self, cursors: Cursors) -> None:
        await taken(cursors)
        assert await cursors.take("mail", BOB, ttl=LONG) is None
        found = await seen(cursors)
        assert (found.holder, found.alive) == (ANN, True)

    async def test_of_many_who_want_it_at_once_one_gets_it(self, cursors: Cursors) -> None:
        workers = [Worker(f"w{n}", f"host/{n}", "boot 1 7") for n in range(20)]
        found = await asyncio.gather(*(cursors.take("mail", each, ttl=LONG) for each in workers))
        assert len([each for each in found if each is not None]) == 1

    async def test_a_lease_that_is_over_is_taken(self, cursors: Cursors) -> None:
        await taken(cursors, ttl=SHORT)
        await until(lambda: _takes(cursors, BOB))
        assert (await seen(cursors)).holder == BOB

    async def test_a_holder_that_is_known_to_be_gone_is_not_waited_for(
        self, cursors: Cursors
    ) -> None:
        await taken(cursors)
        assert await cursors.take("mail", BOB, ttl=LONG, gone="carl") is None
        assert await cursors.take("mail", BOB, ttl=LONG, gone=ANN.id) is not None

    async def test_a_renewed_lease_lasts(self, cursors: Cursors) -> None:
        await cursors.register("search", START)
        await taken(cursors, ttl=SHORT)
        assert set(await cursors.renew(ANN, ttl=LONG)) == {"mail"}
        assert set(await cursors.renew(BOB, ttl=LONG)) == set()
        await asyncio.sleep(2 * SHORT)
        assert await cursors.take("mail", BOB, ttl=LONG) is None

    async def test_what_is_given_back_is_free_at_once(self, cursors: Cursors) -> None:
        await cursors.register("search", START)
        await taken(cursors)
        assert await cursors.take("search", ANN, ttl=LONG) is not None
        await cursors.release(BOB)
        assert await cursors.take("mail", BOB, ttl=LONG) is None
        await cursors.release(ANN, "mail")
        assert await cursors.take("mail", BOB, ttl=LONG) is not None
        assert await cursors.take("search", BOB, ttl=LONG) is None
        await cursors.release(ANN)
        assert await cursors.take("search", BOB, ttl=LONG) is not None

    async def test_a_cursor_goes_forward_and_comes_back_where_it_was(
        self, cursors: Cursors
    ) -> None:
        held, point = await taken(cursors), Point(12, uuid4())
        assert await cursors.advance(held, point)
        assert await cursors.advance(held, point)
        assert (await seen(cursors)).point == point
        assert (await taken(cursors)).point == point

    async def test_a_cursor_never_goes_back(self, cursors: Cursors) -> None:
        held, point = await taken(cursors), Point(12, uuid4())
        assert await cursors.advance(held, point)
        assert await cursors.advance(held, Point(5, uuid4()))
        assert (await seen(cursors)).point == point

    async def test_who_was_superseded_changes_nothing(self, cursors: Cursors) -> None:
        zombie = await taken(cursors)
        parking = await parked(cursors, zombie, 4)
        await taken(cursors)
        before = await seen(cursors)
        assert not await cursors.advance(zombie, Point(9, uuid4()))
        assert not await cursors.stop(zombie, failure(2))
        other = failure(2, stream="order-2")
        assert await cursors.park(zombie, other, limits=MANY) is Parking.LOST
        assert await joined(cursors, zombie, 5) is Parking.LOST
        assert await seen(cursors) == before
        assert await cursors.parked("mail") == [parking]

    async def test_a_cursor_that_nobody_registered_is_nothing(self, cursors: Cursors) -> None:
        assert await cursors.take("search", ANN, ttl=LONG) is None
        assert list(await cursors.parked("search")) == []
        assert await cursors.reopen("search", tenant="", stream="order-1") is None
        assert not await cursors.again("search")
        assert [each.name for each in await cursors.look()] == ["mail"]

    async def test_a_paused_cursor_is_not_given_to_anybody(self, cursors: Cursors) -> None:
        await cursors.pause("mail", reason="the server moves", at=AT)
        await cursors.pause("mail", reason="again", at=AT.replace(year=2027))
        found = await seen(cursors)
        assert (found.paused_at, found.paused_reason) == (AT, "the server moves")
        assert await cursors.take("mail", ANN, ttl=LONG) is None
        assert await cursors.resume("mail")
        assert not await cursors.resume("mail")
        assert await cursors.take("mail", ANN, ttl=LONG) is not None

    async def test_a_pause_lets_the_holder_finish(self, cursors: Cursors) -> None:
        held = await taken(cursors)
        await cursors.pause("mail", reason="", at=AT)
        assert await cursors.advance(held, Point(3))
        assert (await seen(cursors)).point == Point(3)


class StoppingConformance(CursorSuite):
    async def test_why_a_cursor_is_stopped_is_kept_until_it_is_taken(
        self, cursors: Cursors
    ) -> None:
        held = await taken(cursors)
        assert await cursors.stop(held, failure(3, tenant="north"))
        assert (await seen(cursors)).failure == failure(3, tenant="north")
        await taken(cursors)
        assert (await seen(cursors)).failure is None

    async def test_an_operator_lets_a_stopped_cursor_go_on(self, cursors: Cursors) -> None:
        held = await taken(cursors)
        assert not await cursors.again("mail")
        await cursors.stop(held, failure(3))
        assert await cursors.again("mail")
        assert not await cursors.again("mail")
        found = await seen(cursors)
        assert (found.failure, found.holder, found.epoch) == (None, ANN, held.epoch)

    async def test_the_event_that_stops_a_cursor_is_skipped_and_remembered(
        self, cursors: Cursors
    ) -> None:
        held = await taken(cursors)
        await cursors.stop(held, failure(3, tenant="north"))
        expected = Discard("north", "order-1", 3, 3, "a test order", failure().error, AT)
        assert await cursors.skip("mail", reason="a test order", at=AT) == expected
        assert await cursors.skip("mail", reason="twice", at=AT) is None
        assert (await seen(cursors)).failure is None
        assert list(await cursors.discarded("mail")) == [expected]
        again = await taken(cursors)
        assert list(again.discarded) == [expected]
        assert await cursors.advance(again, Point(30))
        assert list((await taken(cursors)).discarded) == []
        assert list(await cursors.discarded("mail")) == [expected]

    async def test_an_event_that_was_skipped_does_not_stop_it_again(self, cursors: Cursors) -> None:
        """Whoever did not hear that it was stopped stops it once more."""
        held = await taken(cursors)
        await cursors.stop(held, failure(3))
        await cursors.skip("mail", reason="a test order", at=AT)
        assert await cursors.stop(held, failure(3))
        assert (await seen(cursors)).failure is None
        assert await cursors.stop(held, failure(4))
        assert (await seen(cursors)).failure is not None

    async def test_what_stops_a_cursor_and_is_no_event_cannot_be_skipped(
        self, cursors: Cursors
    ) -> None:
        held = await taken(cursors)
        await cursors.stop(held, Failure("diverged", "another log", AT, 7))
        assert await cursors.skip("mail", reason="", at=AT) is None
        found = await seen(cursors)
        assert found.failure is not None
        assert (found.failure.kind, found.failure.position) == ("diverged", 7)


async def _takes(cursors: Cursors, worker: Worker) -> bool:
    return await cursors.take("mail", worker, ttl=LONG) is not None
