"""Defects of points: what a reader has seen is not compared, or with a part of the log only."""

from diptych.errors import HistoryDiverged
from diptych.store.contract import START, Point
from tests.conformance.defects.opening import Opening
from tests.conformance.defects.reading import filtered


class LooksForPointsAmongMatchesOnly(Opening):
    fails = frozenset(
        {
            "test_a_point_with_the_right_event_is_accepted_whether_or_not_it_matches",
        }
    )

    async def read(self, *, after=START, **asked):
        if after.event_id is not None:
            before = await super().read(after=Point(after.position - 1), **asked)
            if after.event_id not in [event.event_id for event in before.events]:
                raise HistoryDiverged("the reader", position=after.position)
        return await super().read(after=after, **asked)


class WantsEventIdsInPoints(Opening):
    fails = frozenset({"test_a_point_without_an_event_id_is_not_compared"})

    async def read(self, *, after=START, **asked):
        if after.position and after.event_id is None:
            raise HistoryDiverged("the reader", position=after.position)
        return await super().read(after=after, **asked)


class BelievesPoints(Opening):
    fails = frozenset(
        {
            "test_a_point_with_another_event_is_refused",
            "test_a_point_beyond_the_head_is_refused",
            "test_a_point_is_compared_in_filtered_reads_too",
        }
    )

    async def read(self, *, after=START, **asked):
        return await super().read(after=Point(after.position), **asked)


class BelievesPointsBeyondTheHead(Opening):
    fails = frozenset(
        {
            "test_a_point_beyond_the_head_is_refused",
            "test_a_point_is_compared_in_filtered_reads_too",
        }
    )

    async def read(self, *, after=START, **asked):
        if after.position > (await self.log.head()).position:
            after = Point(after.position)
        return await super().read(after=after, **asked)


class BelievesPointsOfFilteredReads(Opening):
    fails = frozenset({"test_a_point_is_compared_in_filtered_reads_too"})

    async def read(self, *, after=START, **asked):
        seen = Point(after.position) if filtered(asked) else after
        return await super().read(after=seen, **asked)
