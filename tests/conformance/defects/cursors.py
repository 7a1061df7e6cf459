"""Defects of holding a cursor: two holders, none, zombies, lost places."""

import asyncio

from msgspec.structs import replace

from diptych.store.contract import START, Point
from diptych.store.memory_cursors import MemoryCursors
from tests.conformance.defects.opening import Kept, Opening

HELD = frozenset(
    {
        "test_a_cursor_that_is_held_is_not_given_to_another",
        "test_a_holder_that_is_known_to_be_gone_is_not_waited_for",
        "test_a_renewed_lease_lasts",
        "test_what_is_given_back_is_free_at_once",
        "test_of_many_who_want_it_at_once_one_gets_it",
        "test_cursors_are_the_same_at_every_opening",
    }
)


class BeginsAnewWhereItIsRegistered(Opening):
    fails = frozenset({"test_a_cursor_begins_where_it_was_first_registered"})

    class Kept(Kept):
        async def register(self, name, start):
            await self.inner.register(name, start)
            self.row(name).point = start


class ListsCursorsAsTheyCame(Opening):
    fails = frozenset({"test_cursors_are_listed_by_name"})

    class Kept(Kept):
        async def look(self):
            names = list(self.inner._rows)
            return sorted(await self.inner.look(), key=lambda each: names.index(each.name))


class TakesWithoutANewEpoch(Opening):
    fails = frozenset({"test_whoever_takes_a_cursor_raises_its_epoch"})

    class Kept(Kept):
        async def take(self, name, worker, *, ttl, gone=""):
            held = await self.inner.take(name, worker, ttl=ttl, gone=gone)
            self.row(name).epoch = 1
            return held and replace(held, epoch=1)


class GivesACursorToWhoeverAsks(Opening):
    fails = HELD

    class Kept(Kept):
        async def take(self, name, worker, *, ttl, gone=""):
            holder = self.row(name).holder
            gone = holder.id if holder else gone
            return await self.inner.take(name, worker, ttl=ttl, gone=gone)


class LooksAndThenTakes(Opening):
    """Between the look and the change there is room for another."""

    fails = frozenset({"test_of_many_who_want_it_at_once_one_gets_it"})

    class Kept(Kept):
        async def take(self, name, worker, *, ttl, gone=""):
            free = self.row(name).holder is None
            await asyncio.sleep(0)
            if free and self.row(name).holder is not None:
                gone = self.row(name).holder.id
            return await self.inner.take(name, worker, ttl=ttl, gone=gone)


class LetsNoLeaseEnd(Opening):
    """As a lock does whose session outlives its process."""

    hangs = True
    fails = frozenset({"test_a_lease_that_is_over_is_taken"})

    class Kept(Kept):
        async def take(self, name, worker, *, ttl, gone=""):
            return await self.inner.take(name, worker, ttl=1000 * ttl, gone=gone)


class WaitsForWhoIsGone(Opening):
    fails = frozenset({"test_a_holder_that_is_known_to_be_gone_is_not_waited_for"})

    class Kept(Kept):
        async def take(self, name, worker, *, ttl, gone=""):
            return await self.inner.take(name, worker, ttl=ttl)


class SaysThatItRenewed(Opening):
    fails = frozenset({"test_a_renewed_lease_lasts"})

    class Kept(Kept):
        async def renew(self, worker, *, ttl):
            return await self.inner.renew(worker, ttl=0.0)


class KeepsWhatIsGivenBack(Opening):
    fails = frozenset({"test_what_is_given_back_is_free_at_once"})

    class Kept(Kept):
        async def release(self, worker, name=None):
            pass


class GivesBackWhatOthersHold(Opening):
    fails = frozenset({"test_what_is_given_back_is_free_at_once"})

    class Kept(Kept):
        async def release(self, worker, name=None):
            for row in self.inner._rows.values():
                row.holder = None


class LosesTheEventAtAPoint(Opening):
    fails = frozenset(
        {
            "test_a_cursor_goes_forward_and_comes_back_where_it_was",
            "test_a_cursor_never_goes_back",
            "test_cursors_are_the_same_at_every_opening",
        }
    )

    class Kept(Kept):
        async def advance(self, held, point):
            return await self.inner.advance(held, Point(point.position))


class GoesBack(Opening):
    """As an answer does that was sent twice and arrives late."""

    fails = frozenset({"test_a_cursor_never_goes_back"})

    class Kept(Kept):
        async def advance(self, held, point):
            mine = await self.inner.advance(held, point)
            if mine:
                self.row(held.name).point = point
            return mine


class LetsZombiesSave(Opening):
    fails = frozenset(
        {"test_who_was_superseded_changes_nothing", "test_cursors_are_the_same_at_every_opening"}
    )

    class Kept(Kept):
        async def advance(self, held, point):
            return await self.inner.advance(self.now(held), point)


class LetsZombiesStop(Opening):
    fails = frozenset({"test_who_was_superseded_changes_nothing"})

    class Kept(Kept):
        async def stop(self, held, failure):
            return await self.inner.stop(self.now(held), failure)


class LetsZombiesPark(Opening):
    fails = frozenset({"test_who_was_superseded_changes_nothing"})

    class Kept(Kept):
        async def park(self, held, failure, *, limits):
            return await self.inner.park(self.now(held), failure, limits=limits)


class LetsZombiesJoin(Opening):
    fails = frozenset({"test_who_was_superseded_changes_nothing"})

    class Kept(Kept):
        async def join(self, held, **event):
            return await self.inner.join(self.now(held), **event)


class MakesACursorOfAnyName(Opening):
    fails = frozenset({"test_a_cursor_that_nobody_registered_is_nothing"})

    class Kept(Kept):
        async def take(self, name, worker, *, ttl, gone=""):
            await self.inner.register(name, START)
            return await self.inner.take(name, worker, ttl=ttl, gone=gone)


class GivesAPausedCursor(Opening):
    fails = frozenset({"test_a_paused_cursor_is_not_given_to_anybody"})

    class Kept(Kept):
        async def take(self, name, worker, *, ttl, gone=""):
            row = self.row(name)
            paused, row.paused_at = row.paused_at, None
            held = await self.inner.take(name, worker, ttl=ttl, gone=gone)
            row.paused_at = paused
            return held


class CutsTheHolderOffByAPause(Opening):
    fails = frozenset({"test_a_pause_lets_the_holder_finish"})

    class Kept(Kept):
        async def pause(self, name, *, reason, at):
            await self.inner.pause(name, reason=reason, at=at)
            self.row(name).epoch += 1


class ForgetsWhyItStopped(Opening):
    fails = frozenset(
        {
            "test_why_a_cursor_is_stopped_is_kept_until_it_is_taken",
            "test_an_operator_lets_a_stopped_cursor_go_on",
            "test_the_event_that_stops_a_cursor_is_skipped_and_remembered",
            "test_what_stops_a_cursor_and_is_no_event_cannot_be_skipped",
        }
    )

    class Kept(Kept):
        async def stop(self, held, failure):
            return True


class StaysStopped(Opening):
    fails = frozenset(
        {
            "test_why_a_cursor_is_stopped_is_kept_until_it_is_taken",
            "test_an_operator_lets_a_stopped_cursor_go_on",
        }
    )

    class Kept(Kept):
        async def take(self, name, worker, *, ttl, gone=""):
            failure = self.row(name).failure
            held = await self.inner.take(name, worker, ttl=ttl, gone=gone)
            self.row(name).failure = failure
            return held

        async def again(self, name):
            return self.row(name).failure is not None


class SkipsWithoutAWord(Opening):
    fails = frozenset({"test_the_event_that_stops_a_cursor_is_skipped_and_remembered"})

    class Kept(Kept):
        async def skip(self, name, *, reason, at):
            discard = await self.inner.skip(name, reason=reason, at=at)
            self.row(name).discards.clear()
            return discard


class SkipsWhatIsNoEvent(Opening):
    fails = frozenset({"test_what_stops_a_cursor_and_is_no_event_cannot_be_skipped"})

    class Kept(Kept):
        async def skip(self, name, *, reason, at):
            row = self.row(name)
            if row.failure is not None:
                row.failure = replace(row.failure, version=row.failure.version or 1)
            return await self.inner.skip(name, reason=reason, at=at)


class KeepsCursorsToItself(Opening):
    """As files do that each machine has of its own."""

    fails = frozenset({"test_cursors_are_the_same_at_every_opening"})

    async def open(self):
        await super().open()
        self.own = MemoryCursors()

    class Kept(Kept):
        def __init__(self, opening):
            super().__init__(opening)
            self.inner = opening.own


class SavesNothingWhileEventsAreAppended(Opening):
    """As a writer does that gives up when it meets the lock of another."""

    fails = frozenset({"test_a_cursor_is_written_while_events_are_appended"})

    async def append(self, append):
        self.disk.notes["busy"] = self.disk.notes.get("busy", 0) + 1
        try:
            return await super().append(append)
        finally:
            self.disk.notes["busy"] -= 1

    class Kept(Kept):
        async def advance(self, held, point):
            if self.opening.disk.notes.get("busy"):
                return True
            return await self.inner.advance(held, point)
