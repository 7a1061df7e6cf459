"""Defects of waiting and of opening and closing: lost wake-ups, hangs, loss at the end."""

import asyncio

from msgspec.structs import replace

from diptych.errors import StoreClosed, StoreError
from diptych.store.contract import START
from tests.conformance.defects.opening import Opening

FOLLOWERS = "test_no_follower_misses_an_event_while_many_write"


class WaitsForTheNextAppendAlways(Opening):
    """The wake-up that came between the read and the wait is lost."""

    hangs = True
    fails = frozenset({"test_who_is_behind_the_head_does_not_wait"})

    async def moved(self, after):
        await super().moved((await self.log.head()).position)


class LosesWakeUps(Opening):
    hangs = True
    fails = frozenset({"test_an_append_wakes_everyone_who_waits", FOLLOWERS})

    async def moved(self, after):
        if (await self.head()).position <= after:
            await asyncio.Event().wait()


class WakesOneWaiter(Opening):
    hangs = True
    fails = frozenset({"test_an_append_wakes_everyone_who_waits"})

    async def open(self):
        await super().open()
        self.condition = asyncio.Condition()

    async def append(self, append):
        outcome = await super().append(append)
        async with self.condition:
            self.condition.notify(1)
        return outcome

    async def moved(self, after):
        if (await self.head()).position <= after:
            async with self.condition:
                await self.condition.wait()


class PollsTenTimesASecond(Opening):
    fails = frozenset({"test_a_waiter_is_woken_by_the_append_and_not_by_a_poll"})

    async def moved(self, after):
        while (await self.head()).position <= after:  # noqa: ASYNC110 - the defect
            await asyncio.sleep(0.1)


class LetsAllWaitersShareOneFuture(Opening):
    fails = frozenset({"test_a_waiter_that_gives_up_leaves_the_others_waiting"})

    async def moved(self, after):
        shared = self.disk.notes.get("shared")
        if shared is None or shared.done():
            shared = self.disk.notes["shared"] = asyncio.ensure_future(super().moved(after))
        await shared


class WakesAllTheTime(Opening):
    fails = frozenset({"test_a_quiet_log_lets_its_followers_sleep"})

    async def moved(self, after):
        self.must_be_open()
        await asyncio.sleep(0)


class WakesOnlyForItsOwnAppends(Opening):
    hangs = True
    fails = frozenset({"test_an_append_by_another_opening_wakes_who_waits"})

    async def open(self):
        await super().open()
        self.own = asyncio.Event()

    async def append(self, append):
        outcome = await super().append(append)
        self.own.set()
        return outcome

    async def moved(self, after):
        if (await self.head()).position <= after:
            self.own.clear()
            await self.own.wait()


class OpensItself(Opening):
    fails = frozenset({"test_a_store_refuses_everything_before_it_is_opened"})
    hangs = True

    def must_be_open(self):
        if hasattr(self, "number"):
            super().must_be_open()

    async def append(self, append):
        if not self.is_open:
            await self.open()
        return await super().append(append)


class AnswersWhenClosed(Opening):
    fails = frozenset({"test_a_closed_store_refuses_everything"})

    async def read(self, **asked):
        return await self.log.read(**asked)


class HangsWhenClosed(Opening):
    hangs = True
    fails = frozenset({"test_a_closed_store_refuses_everything"})

    async def moved(self, after):
        if not self.is_open and hasattr(self, "number"):
            await asyncio.Event().wait()
        await super().moved(after)


class FailsWhenItIsClosedTwice(Opening):
    fails = frozenset({"test_a_store_may_be_closed_twice"})

    async def close(self):
        if not self.is_open:
            raise StoreError("not open")
        await super().close()


class LeavesWhatIsWaitingUnanswered(Opening):
    hangs = True
    fails = frozenset({"test_closing_answers_every_append_that_was_accepted"})

    async def append(self, append):
        self.must_be_open()
        appending = asyncio.ensure_future(super().append(append))
        await asyncio.wait([appending])
        if not self.is_open:
            await asyncio.Event().wait()
        return appending.result()


class AnswersWithTheErrorOfItsDriver(Opening):
    fails = frozenset(
        {
            "test_a_closed_store_refuses_everything",
            "test_a_store_refuses_everything_before_it_is_opened",
        }
    )

    def must_be_open(self):
        try:
            super().must_be_open()
        except StoreClosed:
            raise StoreError("Cannot operate on a closed database.") from None


class LeavesFollowersWaitingWhenItCloses(Opening):
    hangs = True
    fails = frozenset({"test_closing_lets_waiting_followers_go"})

    async def moved(self, after):
        self.must_be_open()
        await self.log.moved(after)


class ForgetsCommandsWhenItIsClosed(Opening):
    fails = frozenset(
        {
            "test_commands_are_remembered",
            "test_a_command_that_is_repeated_at_another_opening_takes_effect_once",
        }
    )

    def written(self, append):
        record = append.command
        if record is None:
            return append
        key = record.key._replace(principal=f"{record.key.principal}{self.number}")
        return replace(append, command=replace(record, key=key))


class StartsPositionsAnewWhenItIsOpened(Opening):
    fails = frozenset({"test_positions_go_on_where_they_were"})

    async def open(self):
        await super().open()
        self.start = (await self.log.head()).position

    async def append(self, append):
        outcome = await super().append(append)
        point = outcome.point._replace(position=outcome.point.position - self.start)
        return replace(outcome, point=point)

    async def head(self):
        return START


class LosesTagsWhenItIsClosed(Opening):
    fails = frozenset({"test_a_log_that_is_opened_again_has_every_event_as_it_was"})

    def seen(self, event):
        return event if self.number == 1 else event._replace(tags=())


class SeesItsOwnStreamsOnly(Opening):
    """A cache of streams that another opening's appends do not reach."""

    fails = frozenset({"test_what_one_opening_appends_is_there_for_the_other"})

    async def load(self, load):
        cache = self.__dict__.setdefault("cache", {})
        if load not in cache:
            cache[load] = await super().load(load)
        return cache[load]

    async def append(self, append):
        self.__dict__.pop("cache", None)
        return await super().append(append)
