"""Defects of appending: versions, atomicity, positions, what the outcome says."""

import asyncio
from itertools import starmap
from uuid import UUID, uuid4

from msgspec.structs import replace

from diptych.store.contract import (
    ANY_VERSION,
    Appended,
    CommandKey,
    CommandRecord,
    Load,
    Point,
)
from diptych.testing.conformance.steps import turns
from tests.conformance.defects.opening import Opening


def expecting(append, choose):
    """`append` with each expected version replaced by what `choose` makes of it."""
    writes = (replace(w, expected_version=choose(w.expected_version)) for w in append.writes)
    return replace(append, writes=tuple(writes))


async def versions(store, append):
    loads = [store.log.load(Load(write.stream, append.tenant)) for write in append.writes]
    return [(await load).version for load in loads]


class CountsVersionsFromZero(Opening):
    fails = frozenset(
        {
            "test_the_events_of_a_new_stream_have_the_versions_from_one",
            "test_an_append_continues_its_stream",
            "test_a_long_stream_is_loaded_to_its_end",
        }
    )

    def seen(self, event):
        return event._replace(version=event.version - 1)


class IgnoresExpectedVersions(Opening):
    fails = frozenset(
        {
            "test_a_stale_version_is_refused_and_writes_nothing",
            "test_a_version_that_is_not_reached_yet_is_refused",
            "test_a_version_of_a_stream_that_does_not_exist_is_refused",
            "test_version_zero_refuses_a_stream_that_exists",
            "test_a_version_is_that_of_the_own_tenant",
            "test_bad_members_of_a_burst_fail_alone",
            "test_of_racers_on_one_version_exactly_one_wins",
            "test_versions_go_on_where_they_were",
        }
    )

    def written(self, append):
        return expecting(append, lambda _: ANY_VERSION)


class ComparesVersionsOffByOne(Opening):
    fails = frozenset(
        {
            "test_an_append_continues_its_stream",
            "test_a_stale_version_is_refused_and_writes_nothing",
        }
    )

    def written(self, append):
        return expecting(append, lambda v: v + 1 if isinstance(v, int) and v > 0 else v)


class AcceptsVersionsAhead(Opening):
    """`version <= expected`, as of an upsert that compares the wrong way."""

    fails = frozenset(
        {
            "test_a_version_that_is_not_reached_yet_is_refused",
            "test_a_version_of_a_stream_that_does_not_exist_is_refused",
        }
    )

    async def append(self, append):
        writes = zip(append.writes, await versions(self, append), strict=True)
        return await super().append(replace(append, writes=tuple(starmap(_at_most, writes))))


def _at_most(write, actual):
    behind = write.expected_version is not ANY_VERSION and write.expected_version < actual
    return write if behind else replace(write, expected_version=ANY_VERSION)


class TakesZeroForAnyVersion(Opening):
    fails = frozenset(
        {
            "test_version_zero_refuses_a_stream_that_exists",
            "test_versions_go_on_where_they_were",
        }
    )

    def written(self, append):
        return expecting(append, lambda version: version or ANY_VERSION)


class TakesAnyVersionForZero(Opening):
    fails = frozenset({"test_any_version_appends_whatever_the_version_is"})

    def written(self, append):
        return expecting(append, lambda version: 0 if version is ANY_VERSION else version)


class FoldsTheCaseOfStreams(Opening):
    """As a column with a case-insensitive collation does."""

    fails = frozenset({"test_streams_with_similar_names_are_different_streams"})

    def written(self, append):
        writes = (replace(write, stream=write.stream.casefold()) for write in append.writes)
        return replace(append, writes=tuple(writes))

    async def load(self, load):
        return await super().load(replace(load, stream=load.stream.casefold()))


def _stream(write):
    return write.stream


class SortsItsWrites(Opening):
    fails = frozenset(
        {
            "test_an_append_writes_to_several_streams_in_order",
            "test_the_outcome_names_each_stream_with_its_new_version",
            "test_versions_are_looked_at_in_the_order_of_the_writes_then_the_condition",
        }
    )

    def written(self, append):
        return replace(append, writes=tuple(sorted(append.writes, key=_stream)))


class AppendsItsStreamsOneByOne(Opening):
    fails = frozenset(
        {
            "test_one_stale_stream_refuses_the_whole_append",
            "test_a_dense_log_has_no_holes_even_after_refusals",
            "test_no_reader_sees_half_of_an_append",
        }
    )

    async def append(self, append):
        streams = ()
        for write in append.writes[:-1]:
            part = replace(append, writes=(write,), command=None, condition=None)
            streams += (await super().append(part)).streams
            await turns(3)
        last = await super().append(replace(append, writes=append.writes[-1:]))
        return replace(last, streams=streams + last.streams)


class NamesOnlyTheFirstStream(Opening):
    fails = frozenset(
        {
            "test_the_outcome_names_each_stream_with_its_new_version",
            "test_an_append_may_write_to_five_hundred_streams",
        }
    )

    async def append(self, append):
        outcome = await super().append(append)
        return replace(outcome, streams=outcome.streams[:1])


class PointsAtTheFirstEvent(Opening):
    fails = frozenset({"test_the_outcome_points_at_its_last_event"})

    async def append(self, append):
        outcome = await super().append(append)
        if not append.writes:
            return outcome
        count = sum(len(write.events) for write in append.writes)
        first = Point(outcome.point.position - count + 1, append.writes[0].events[0].event_id)
        return replace(outcome, point=first)


class PointsWithoutEventId(Opening):
    fails = frozenset({"test_the_outcome_points_at_its_last_event"})

    async def append(self, append):
        outcome = await super().append(append)
        return replace(outcome, point=Point(outcome.point.position))


class MarksEverythingAsRepeated(Opening):
    fails = frozenset(
        {
            "test_a_first_outcome_is_not_marked_as_repeated",
            "test_appends_without_a_command_are_never_taken_for_repeats",
        }
    )

    async def append(self, append):
        return replace(await super().append(append), repeated=True)


class TakesMissingCommandsForOneCommand(Opening):
    """As a unique index does that takes NULLs for equal."""

    fails = frozenset({"test_appends_without_a_command_are_never_taken_for_repeats"})

    def written(self, append):
        nobody = CommandRecord(CommandKey(append.tenant, "", UUID(int=0)))
        return replace(append, command=append.command or nobody)


class AnswersBeforeItCanBeSeen(Opening):
    """As a store whose reads go to a replica."""

    fails = frozenset(
        {
            "test_an_append_is_there_for_everyone_who_asks_after_its_answer",
            "test_what_one_opening_appends_is_there_for_the_other",
        }
    )

    async def append(self, append):
        self.disk.notes["head"] = await self.log.head()
        outcome = await super().append(append)
        asyncio.get_running_loop().call_later(0.003, self.disk.notes.clear)
        return outcome

    async def head(self):
        return self.disk.notes.get("head") or await super().head()


class GivesTwoEventsOnePosition(Opening):
    fails = frozenset(
        {
            "test_positions_increase_from_one_append_to_the_next",
            "test_the_log_is_read_in_the_order_of_its_positions",
            "test_a_read_of_all_tenants_has_every_event_in_order",
        }
    )

    def seen(self, event):
        return event._replace(position=(event.position + 1) // 2)


class LeavesHolesInADenseLog(Opening):
    """As a sequence does, which a rollback does not turn back."""

    fails = frozenset({"test_a_dense_log_has_no_holes_even_after_refusals"})
    dense = True

    def seen(self, event):
        return event._replace(position=event.position * 2)


class MakesALogIdWhenAsked(Opening):
    fails = frozenset(
        {
            "test_a_log_has_one_id",
            "test_a_log_that_is_opened_again_has_the_same_id",
        }
    )

    @property
    def log_id(self):
        return uuid4()


class SaysNothingOfDurability(Opening):
    fails = frozenset({"test_the_store_says_in_one_line_how_durable_it_is"})
    durability = ""


class AcknowledgesWithoutWriting(Opening):
    """Under load it answers first and means to write later."""

    fails = frozenset(
        {
            "test_what_was_answered_while_the_store_was_closing_is_there",
            "test_bad_members_of_a_burst_fail_alone",
        }
    )

    async def append(self, append):
        if self.working < 2:
            return await super().append(append)
        self.must_be_open()
        return Appended(Point(10**9, uuid4()), ())
