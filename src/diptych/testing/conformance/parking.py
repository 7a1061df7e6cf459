"""Parking: streams that are set aside, worked off in order, or discarded for ever."""

from msgspec.structs import replace

from diptych.store.contract import START, Point
from diptych.store.cursors import Cursors, Discard, Limits, Parked, Parking
from diptych.testing.conformance.cursors import (
    ANN,
    AT,
    LONG,
    MANY,
    CursorSuite,
    failure,
    joined,
    parked,
    seen,
    taken,
)


class ParkingConformance(CursorSuite):
    async def test_a_parked_stream_is_told_to_its_holder_and_to_everybody(
        self, cursors: Cursors
    ) -> None:
        held = await taken(cursors)
        expected = Parked("", "order-1", 3, 5, 0, failure(3))
        assert await parked(cursors, held, 3, 4, 5) == expected
        assert list((await taken(cursors)).parked) == [expected]
        found = await seen(cursors)
        assert (found.parked_streams, found.parked_events) == (1, 3)

    async def test_parked_streams_come_in_the_order_of_what_failed(self, cursors: Cursors) -> None:
        held = await taken(cursors)
        for version, stream in ((5, "order-a"), (2, "order-b"), (9, "order-c")):
            await cursors.park(held, failure(version, stream=stream), limits=MANY)
        streams = [each.stream for each in await cursors.parked("mail")]
        assert streams == ["order-b", "order-a", "order-c"]

    async def test_parking_and_joining_may_be_repeated(self, cursors: Cursors) -> None:
        held = await taken(cursors)
        before = await parked(cursors, held, 3, 4)
        assert await cursors.park(held, failure(3), limits=MANY) is Parking.PARKED
        for version in (4, 3, 2):
            assert await joined(cursors, held, version) is Parking.PARKED
        assert list(await cursors.parked("mail")) == [before]

    async def test_a_stream_that_is_not_parked_cannot_be_joined(self, cursors: Cursors) -> None:
        held = await taken(cursors)
        await parked(cursors, held, 3)
        assert await joined(cursors, held, 4, stream="order-2") is Parking.NOT_PARKED
        assert (await seen(cursors)).parked_events == 1

    async def test_streams_of_two_tenants_are_parked_apart(self, cursors: Cursors) -> None:
        held = await taken(cursors)
        await cursors.park(held, failure(tenant="north"), limits=MANY)
        assert await joined(cursors, held, 2) is Parking.NOT_PARKED
        assert await cursors.reopen("mail", tenant="south", stream="order-1") is None
        assert await cursors.reopen("mail", tenant="north", stream="order-1") is not None

    async def test_two_cursors_park_apart(self, cursors: Cursors) -> None:
        await parked(cursors, await taken(cursors), 3)
        await cursors.register("search", START)
        other = await cursors.take("search", ANN, ttl=LONG)
        assert other is not None
        assert (list(other.parked), await joined(cursors, other, 4)) == ([], Parking.NOT_PARKED)

    async def test_no_more_streams_are_parked_than_may_be(self, cursors: Cursors) -> None:
        held, limits = await taken(cursors), Limits(streams=2, events=100)
        found = [
            await cursors.park(held, failure(stream=f"order-{n}"), limits=limits) for n in range(3)
        ]
        assert found == [Parking.PARKED, Parking.PARKED, Parking.FULL]
        assert (await seen(cursors)).parked_streams == 2
        assert await joined(cursors, held, 2, limits=limits) is Parking.PARKED

    async def test_no_more_events_are_parked_than_may_be(self, cursors: Cursors) -> None:
        held, limits = await taken(cursors), Limits(streams=10, events=3)
        await parked(cursors, held, 1, 2, 3)
        assert await joined(cursors, held, 4, limits=limits) is Parking.FULL
        assert await joined(cursors, held, 3, limits=limits) is Parking.PARKED
        other = failure(stream="order-2")
        assert await cursors.park(held, other, limits=limits) is Parking.FULL
        assert (await seen(cursors)).parked_events == 3

    async def test_a_parked_stream_is_worked_off_event_by_event(self, cursors: Cursors) -> None:
        await parked(cursors, await taken(cursors), 3, 4)
        opened = await _reopened(cursors)
        assert (opened.first, opened.through) == (3, 4)
        left = await cursors.worked_off("mail", opened)
        assert isinstance(left, Parked)
        assert (left.first, left.through) == (4, 4)
        assert await cursors.worked_off("mail", left) is Parking.NOT_PARKED
        assert list(await cursors.parked("mail")) == []
        assert await cursors.reopen("mail", tenant="", stream="order-1") is None

    async def test_what_joins_while_a_stream_is_worked_off_is_worked_off_too(
        self, cursors: Cursors
    ) -> None:
        held = await taken(cursors)
        await parked(cursors, held, 3)
        opened = await _reopened(cursors)
        assert await joined(cursors, held, 4) is Parking.PARKED
        left = await cursors.worked_off("mail", opened)
        assert isinstance(left, Parked)
        assert (left.first, left.through) == (4, 4)
        assert await cursors.worked_off("mail", left) is Parking.NOT_PARKED
        assert await joined(cursors, held, 5) is Parking.NOT_PARKED

    async def test_a_second_operator_takes_over_from_the_first(self, cursors: Cursors) -> None:
        await parked(cursors, await taken(cursors), 3, 4)
        first, second = await _reopened(cursors), await _reopened(cursors)
        assert first.epoch < second.epoch
        assert await cursors.worked_off("mail", first) is Parking.LOST
        assert not await cursors.failed_again("mail", first, failure(3))
        left = await cursors.worked_off("mail", second)
        assert isinstance(left, Parked)
        assert left.first == 4

    async def test_what_was_worked_off_is_not_worked_off_again(self, cursors: Cursors) -> None:
        await parked(cursors, await taken(cursors), 3, 4, 5)
        opened = await _reopened(cursors)
        await cursors.worked_off("mail", opened)
        assert await cursors.worked_off("mail", opened) is Parking.LOST
        assert not await cursors.failed_again("mail", opened, failure(3))
        assert [each.first for each in await cursors.parked("mail")] == [4]

    async def test_what_fails_again_stays_parked_with_its_new_failure(
        self, cursors: Cursors
    ) -> None:
        await parked(cursors, await taken(cursors), 3, 4)
        opened = await _reopened(cursors)
        worse = replace(failure(3), error="Refused again", attempts=8)
        assert await cursors.failed_again("mail", opened, worse)
        assert list(await cursors.parked("mail")) == [replace(opened, failure=worse)]

    async def test_a_takeover_leaves_what_is_worked_off_alone(self, cursors: Cursors) -> None:
        await parked(cursors, await taken(cursors), 3)
        opened = await _reopened(cursors)
        await taken(cursors)
        assert await cursors.worked_off("mail", opened) is Parking.NOT_PARKED

    async def test_a_discarded_stream_is_remembered_and_passed_over(self, cursors: Cursors) -> None:
        held = await taken(cursors)
        await parked(cursors, held, 3, 4)
        expected = Discard("", "order-1", 3, 4, "a test order", failure().error, AT)
        assert await _discarded(cursors) == expected
        assert await _discarded(cursors) is None
        assert list(await cursors.parked("mail")) == []
        assert list(await cursors.discarded("mail")) == [expected]
        assert list((await taken(cursors)).discarded) == [expected]
        held = await taken(cursors)
        assert await cursors.advance(held, Point(35))
        assert list((await taken(cursors)).discarded) == [expected]
        held = await taken(cursors)
        assert await cursors.advance(held, Point(40))
        assert list((await taken(cursors)).discarded) == []

    async def test_what_is_discarded_can_no_longer_be_worked_off(self, cursors: Cursors) -> None:
        await parked(cursors, await taken(cursors), 3)
        opened = await _reopened(cursors)
        await _discarded(cursors)
        assert await cursors.worked_off("mail", opened) is Parking.LOST

    async def test_what_was_discarded_is_not_parked_again(self, cursors: Cursors) -> None:
        """Whoever did not hear that it was parked parks it once more."""
        held = await taken(cursors)
        await parked(cursors, held, 3, 4)
        await _discarded(cursors)
        for version in (3, 4):
            found = await cursors.park(held, failure(version), limits=MANY)
            assert found is Parking.NOT_PARKED
        assert list(await cursors.parked("mail")) == []
        assert await cursors.park(held, failure(5), limits=MANY) is Parking.PARKED


async def _reopened(cursors: Cursors) -> Parked:
    opened = await cursors.reopen("mail", tenant="", stream="order-1")
    assert opened is not None
    return opened


async def _discarded(cursors: Cursors) -> Discard | None:
    return await cursors.discard("mail", tenant="", stream="order-1", reason="a test order", at=AT)
