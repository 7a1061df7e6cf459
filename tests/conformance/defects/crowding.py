"""Defects that show only when many append, wait or give up at once."""

import asyncio
from collections import defaultdict

from msgspec.structs import replace

from diptych.errors import ConcurrencyError, LimitExceeded
from diptych.store.contract import ANY_VERSION, Load, Point
from diptych.testing.conformance.steps import turns
from tests.conformance.defects.appending import expecting, versions
from tests.conformance.defects.conditions import ChecksConditionsItself
from tests.conformance.defects.opening import Opening

FOLLOWERS = "test_no_follower_misses_an_event_while_many_write"


class Batched(Opening):
    """Appends of one turn of the loop go together; `batch` commits them."""

    async def open(self):
        await super().open()
        self.waiting, self.task = [], None

    async def append(self, append):
        self.must_be_open()
        self.waiting.append(append)
        if self.task is None:
            self.task = asyncio.ensure_future(self.drain())
        task, place = self.task, len(self.waiting) - 1
        return await self.answer(task, place)

    async def drain(self):
        await asyncio.sleep(0)
        batch, self.waiting, self.task = self.waiting, [], None
        calls = (self.log.append(append) for append in batch)
        return await asyncio.gather(*calls, return_exceptions=True)

    async def answer(self, task, place):
        answers = await asyncio.shield(task)
        return settled(answers[place])


def settled(answer):
    if isinstance(answer, BaseException):
        raise answer
    return answer


class PoisonsTheBatch(Batched):
    fails = frozenset({"test_bad_members_of_a_burst_fail_alone"})

    async def answer(self, task, place):
        answers = await asyncio.shield(task)
        errors = [answer for answer in answers if isinstance(answer, BaseException)]
        return settled(errors[0] if errors else answers[place])


class MixesUpAnswers(Batched):
    fails = frozenset(
        {
            "test_appends_at_once_to_one_stream_are_each_told_their_own_version",
            "test_an_append_that_was_answered_before_another_began_comes_before_it",
        }
    )

    async def answer(self, task, place):
        return settled((await asyncio.shield(task))[-1])


class CancelsTheBatchWithItsWaiter(Batched):
    fails = frozenset({"test_a_waiter_that_is_cancelled_takes_nobody_with_it"})

    async def answer(self, task, place):
        return settled((await task)[place])


class LimitsTheBatchInsteadOfTheAppend(Opening):
    fails = frozenset({"test_big_appends_at_once_are_all_there"})
    bytes = 0

    async def append(self, append):
        size = sum(len(event.data) for write in append.writes for event in write.events)
        self.bytes += size
        try:
            if self.bytes > 4_000_000 > size:
                raise LimitExceeded("writes", limit=4_000_000, unit="bytes")
            return await super().append(append)
        finally:
            self.bytes -= size


class CommitsInTheTaskOfItsCaller(Opening):
    hangs = True
    fails = frozenset({"test_a_waiter_that_is_cancelled_does_not_take_its_append_back"})

    async def append(self, append):
        await turns(20)
        return await super().append(append)


class ForgetsTheCommandOfACancelledAppend(Opening):
    fails = frozenset(
        {
            "test_a_cancelled_append_takes_effect_once_when_it_is_asked_for_again",
        }
    )

    async def append(self, append):
        self.must_be_open()
        key = append.command and append.command.key
        if key in self.disk.notes:
            return replace(self.disk.notes[key], repeated=True)
        appending = asyncio.ensure_future(self.log.append(replace(append, command=None)))
        outcome = await asyncio.shield(appending)
        self.disk.notes[key] = outcome
        return outcome


class LooksAtVersionsTooEarly(Opening):
    """Looks, lets others go on, and appends."""

    fails = frozenset(
        {
            "test_of_racers_on_one_version_exactly_one_wins",
            "test_of_racers_on_two_openings_exactly_one_wins",
        }
    )

    async def append(self, append):
        for write, actual in zip(append.writes, await versions(self, append), strict=True):
            expected = write.expected_version
            if expected is not ANY_VERSION and expected != actual:
                raise ConcurrencyError(write.stream, expected=expected, actual=actual)
        return await super().append(expecting(append, lambda _: ANY_VERSION))


class LooksAtConditionsTooEarly(ChecksConditionsItself):
    fails = frozenset({"test_of_racers_on_one_condition_exactly_one_wins"})


class LocksStreamsInTheOrderOfTheWrites(Opening):
    hangs = True
    fails = frozenset({"test_racers_over_the_same_streams_in_other_orders_all_finish"})

    async def append(self, append):
        locks = self.disk.notes.setdefault("locks", defaultdict(asyncio.Lock))
        held = [locks[write.stream] for write in append.writes]
        for lock in held:
            await lock.acquire()
            await turns(1)
        try:
            return await super().append(append)
        finally:
            for lock in held:
                lock.release()


class HandsPositionsOutBeforeTheCommit(Opening):
    """Every fifth append becomes visible only after later ones: readers pass it by, for ever."""

    hangs = True
    fails = frozenset({FOLLOWERS, "test_no_follower_misses_what_two_openings_write"})

    async def append(self, append):
        late = self.disk.notes.setdefault("late", set())
        outcome = await super().append(append)
        if outcome.point.position % 5 == 0:
            late.add(outcome.point.position)
            await turns(30)
            late.discard(outcome.point.position)
        return outcome

    async def read(self, **asked):
        page = await super().read(**asked)
        late = self.disk.notes.get("late", ())
        return replace(page, events=[event for event in page.events if event.position not in late])


class GivesPositionsOutInBlocks(Opening):
    """Each connection takes positions from a block of its own."""

    fails = frozenset(
        {
            "test_an_append_that_was_answered_before_another_began_comes_before_it",
            "test_the_outcome_points_at_its_last_event",
        }
    )

    async def append(self, append):
        outcome = await super().append(append)
        point = Point(outcome.point.position ^ 3, outcome.point.event_id)
        return replace(outcome, point=point)


class NumbersEventsFromAnEarlierLook(Opening):
    fails = frozenset({"test_versions_have_no_holes_and_grow_with_positions_after_a_race"})

    async def append(self, append):
        for write in append.writes:
            version = (await self.log.load(Load(write.stream, append.tenant))).version
            for event in write.events:
                version += 1
                self.disk.notes[event.event_id] = version
        await turns(2)
        return await super().append(append)

    def seen(self, event):
        return event._replace(version=self.disk.notes[event.event_id])
