"""Defects of parking: what is set aside is lost, mixed up, done twice, or never comes back."""

from msgspec.structs import replace

from diptych.store.cursors import Discard, Limits, Parking
from tests.conformance.defects.opening import Kept, Opening

NO_LIMIT = Limits(10**6, 10**6)


class TellsNobodyWhatIsParked(Opening):
    fails = frozenset(
        {
            "test_a_parked_stream_is_told_to_its_holder_and_to_everybody",
            "test_cursors_are_the_same_at_every_opening",
        }
    )

    class Kept(Kept):
        async def take(self, name, worker, *, ttl, gone=""):
            held = await self.inner.take(name, worker, ttl=ttl, gone=gone)
            return held and replace(held, parked=())


class ListsParkedStreamsByName(Opening):
    fails = frozenset({"test_parked_streams_come_in_the_order_of_what_failed"})

    class Kept(Kept):
        async def parked(self, name):
            return sorted(await self.inner.parked(name), key=lambda each: each.stream)


class LetsTheLastThatJoinedBeTheEnd(Opening):
    fails = frozenset({"test_parking_and_joining_may_be_repeated"})

    class Kept(Kept):
        async def join(self, held, *, tenant, stream, place, limits):
            found = await self.inner.join(
                held, tenant=tenant, stream=stream, place=place, limits=limits
            )
            parked = self.row(held.name).parked
            if found is Parking.PARKED:
                parked[tenant, stream] = replace(parked[tenant, stream], through=place[0])
            return found


class ParksWhatWasDiscarded(Opening):
    fails = frozenset({"test_what_was_discarded_is_not_parked_again"})

    class Kept(Kept):
        async def park(self, held, failure, *, limits):
            row = self.row(held.name)
            kept, row.discards = row.discards, []
            found = await self.inner.park(held, failure, limits=limits)
            row.discards = kept
            return found


class StopsAtWhatWasSkipped(Opening):
    fails = frozenset({"test_an_event_that_was_skipped_does_not_stop_it_again"})

    class Kept(Kept):
        async def stop(self, held, failure):
            mine = await self.inner.stop(held, failure)
            if mine:
                self.row(held.name).failure = failure
            return mine


class JoinsWhatIsNotParked(Opening):
    """It is set aside, and nobody will ever find it."""

    fails = frozenset(
        {
            "test_a_stream_that_is_not_parked_cannot_be_joined",
            "test_streams_of_two_tenants_are_parked_apart",
            "test_two_cursors_park_apart",
            "test_what_joins_while_a_stream_is_worked_off_is_worked_off_too",
        }
    )

    class Kept(Kept):
        async def join(self, held, **event):
            found = await self.inner.join(held, **event)
            return Parking.PARKED if found is Parking.NOT_PARKED else found


class MixesTenants(Opening):
    fails = frozenset({"test_streams_of_two_tenants_are_parked_apart"})

    class Kept(Kept):
        async def park(self, held, failure, *, limits):
            return await self.inner.park(held, replace(failure, tenant=""), limits=limits)

        async def reopen(self, name, *, tenant, stream):
            return await self.inner.reopen(name, tenant="", stream=stream)


class MixesCursors(Opening):
    fails = frozenset({"test_two_cursors_park_apart"})

    class Kept(Kept):
        async def take(self, name, worker, *, ttl, gone=""):
            held = await self.inner.take(name, worker, ttl=ttl, gone=gone)
            return held and replace(held, parked=await self.inner.parked("mail"))


class ParksAnyNumberOfStreams(Opening):
    fails = frozenset({"test_no_more_streams_are_parked_than_may_be"})

    class Kept(Kept):
        async def park(self, held, failure, *, limits):
            limits = replace(NO_LIMIT, events=limits.events)
            return await self.inner.park(held, failure, limits=limits)


class ParksAnyNumberOfEvents(Opening):
    fails = frozenset({"test_no_more_events_are_parked_than_may_be"})

    class Kept(Kept):
        async def join(self, held, *, limits, **event):
            return await self.inner.join(held, limits=NO_LIMIT, **event)


class ForgetsAStreamWithItsFirstEvent(Opening):
    fails = frozenset(
        {
            "test_a_parked_stream_is_worked_off_event_by_event",
            "test_what_joins_while_a_stream_is_worked_off_is_worked_off_too",
            "test_a_second_operator_takes_over_from_the_first",
            "test_what_was_worked_off_is_not_worked_off_again",
        }
    )

    class Kept(Kept):
        async def worked_off(self, name, parked):
            found = await self.inner.worked_off(name, parked)
            if found is not Parking.LOST:
                self.row(name).parked.pop((parked.tenant, parked.stream), None)
                return Parking.NOT_PARKED
            return found


class ForgetsWhatJoinedMeanwhile(Opening):
    fails = frozenset({"test_what_joins_while_a_stream_is_worked_off_is_worked_off_too"})

    class Kept(Kept):
        async def worked_off(self, name, parked):
            stream = parked.tenant, parked.stream
            there = self.row(name).parked.get(stream)
            if there is not None:
                self.row(name).parked[stream] = replace(there, through=parked.through)
            return await self.inner.worked_off(name, parked)


class LetsTwoOperatorsWorkAtOnce(Opening):
    fails = frozenset({"test_a_second_operator_takes_over_from_the_first"})

    class Kept(Kept):
        async def worked_off(self, name, parked):
            there = self.row(name).parked.get((parked.tenant, parked.stream))
            epoch = there.epoch if there else parked.epoch
            return await self.inner.worked_off(name, replace(parked, epoch=epoch))


class LetsAnEndedOperatorComplain(Opening):
    fails = frozenset(
        {
            "test_a_second_operator_takes_over_from_the_first",
            "test_what_was_worked_off_is_not_worked_off_again",
        }
    )

    class Kept(Kept):
        async def failed_again(self, name, parked, failure):
            there = self.row(name).parked.get((parked.tenant, parked.stream))
            return await self.inner.failed_again(name, there or parked, failure)


class WorksOffTheNextForTheLast(Opening):
    """An answer that was lost is asked for again, and one more event counts as done."""

    fails = frozenset({"test_what_was_worked_off_is_not_worked_off_again"})

    class Kept(Kept):
        async def worked_off(self, name, parked):
            there = self.row(name).parked.get((parked.tenant, parked.stream))
            first = there.first if there else parked.first
            return await self.inner.worked_off(name, replace(parked, first=first))


class KeepsTheFirstFailure(Opening):
    fails = frozenset({"test_what_fails_again_stays_parked_with_its_new_failure"})

    class Kept(Kept):
        async def failed_again(self, name, parked, failure):
            return await self.inner.failed_again(name, parked, parked.failure)


class EndsTheWorkOfOperatorsByATakeover(Opening):
    fails = frozenset({"test_a_takeover_leaves_what_is_worked_off_alone"})

    class Kept(Kept):
        async def take(self, name, worker, *, ttl, gone=""):
            held = await self.inner.take(name, worker, ttl=ttl, gone=gone)
            parked = self.row(name).parked
            for stream, each in parked.items():
                parked[stream] = replace(each, epoch=each.epoch + 1)
            return held


class DiscardsWithoutAWord(Opening):
    fails = frozenset({"test_a_discarded_stream_is_remembered_and_passed_over"})

    class Kept(Kept):
        async def discard(self, name, **what):
            discard = await self.inner.discard(name, **what)
            self.row(name).discards.clear()
            return discard


class ForgetsADiscardBeforeItIsPassed(Opening):
    """It compares the cursor with the first event that was discarded, not with the last."""

    fails = frozenset({"test_a_discarded_stream_is_remembered_and_passed_over"})

    class Kept(Kept):
        async def discard(self, name, **what):
            discard = await self.inner.discard(name, **what)
            row = self.row(name)
            row.discards = [(10 * each.first, each) for _, each in row.discards]
            return discard


class DiscardsButKeeps(Opening):
    fails = frozenset(
        {
            "test_a_discarded_stream_is_remembered_and_passed_over",
            "test_what_is_discarded_can_no_longer_be_worked_off",
        }
    )

    class Kept(Kept):
        async def discard(self, name, *, tenant, stream, reason, at):
            row = self.row(name)
            found = row.parked.get((tenant, stream))
            if found is None:
                return None
            error = found.failure.error
            discard = Discard(tenant, stream, found.first, found.through, reason, error, at)
            row.discards.append((row.reached[tenant, stream], discard))
            return discard
