"""Defects of reading: pages, filters, how far was looked, points, loads, tenants."""

from msgspec.structs import replace

from diptych.errors import InvalidInput
from diptych.store.contract import START, Criterion, Loaded, LogPage, Point
from tests.conformance.defects.opening import Opening

FILTERS = ("categories", "criteria", "tenant")
PASSES_OVER = "test_a_filtered_read_passes_over_what_does_not_match"
EXCLUSIVE = "test_after_is_exclusive"
FOLLOWERS = "test_no_follower_misses_an_event_while_many_write"


def filtered(asked):
    return any(asked.get(name) is not None for name in FILTERS)


def plain(asked):
    return {name: value for name, value in asked.items() if name not in FILTERS}


class SaysAHeadThatIsNotThere(Opening):
    fails = frozenset(
        {
            "test_an_empty_log_reads_as_an_empty_page_at_its_head",
            "test_a_page_has_at_most_limit_events_and_tells_the_last",
            "test_a_page_after_the_head_is_empty_and_stays_there",
            "test_the_head_of_an_empty_log_is_the_start",
            "test_the_head_is_the_last_event",
        }
    )

    async def read(self, **asked):
        page = await super().read(**asked)
        return replace(page, head=page.head + 1)

    async def head(self):
        return Point((await super().head()).position + 1)


class SaysTheHeadWithoutItsEvent(Opening):
    fails = frozenset({"test_the_head_is_the_last_event"})

    async def head(self):
        return Point((await super().head()).position)


class ReadsStreamByStream(Opening):
    fails = frozenset(
        {
            "test_the_log_is_read_in_the_order_of_its_positions",
            "test_a_read_of_several_categories_keeps_the_order_of_the_log",
            "test_an_append_writes_to_several_streams_in_order",
            "test_a_read_of_all_tenants_has_every_event_in_order",
        }
    )

    async def read(self, **asked):
        page = await super().read(**asked)
        return replace(page, events=sorted(page.events, key=lambda e: (e.tenant, e.stream)))


class TakesAfterForInclusive(Opening):
    fails = frozenset(
        {
            EXCLUSIVE,
            "test_pages_of_any_size_add_up_to_the_log",
            "test_a_page_after_the_head_is_empty_and_stays_there",
            FOLLOWERS,
        }
    )

    async def read(self, *, after=START, **asked):
        if after.event_id is not None:
            await super().read(after=after)
        return await super().read(after=Point(max(0, after.position - 1)), **asked)


class IgnoresLimits(Opening):
    fails = frozenset({"test_a_page_has_at_most_limit_events_and_tells_the_last"})

    async def read(self, **asked):
        return await super().read(**asked | {"limit": 1000})


class LooksBack(Opening):
    fails = frozenset({"test_a_page_after_a_place_that_the_log_has_not_reached_is_empty"})

    async def read(self, **asked):
        page = await super().read(**asked)
        return page if page.events else replace(page, scanned=await self.log.head())


class LosesTheRestOfAFullPage(Opening):
    """A page that is cut by its bytes, and says nevertheless that the head was reached."""

    fails = frozenset({"test_pages_of_big_events_add_up_to_the_log"})

    async def read(self, **asked):
        page = await super().read(**asked)
        size, fitting = 0, []
        for event in page.events:
            size += len(event.data)
            fitting += [event] if size < 4_000_000 else []
        return replace(page, events=fitting)


class TakesCategoriesForPrefixes(Opening):
    fails = frozenset({"test_a_category_is_what_stands_before_the_first_dash"})

    async def read(self, *, categories=None, **asked):
        page = await super().read(**asked)
        if categories is None:
            return page
        found = [event for event in page.events if event.stream.startswith(tuple(categories))]
        return replace(page, events=found)


class TakesTheLastDashForTheEndOfTheCategory(Opening):
    fails = frozenset({"test_a_category_is_what_stands_before_the_first_dash"})

    async def read(self, *, categories=None, **asked):
        page = await super().read(**asked)
        if categories is None:
            return page
        found = [e for e in page.events if e.stream.rpartition("-")[0] in categories]
        return replace(page, events=found)


class IgnoresCriteria(Opening):
    fails = frozenset({"test_a_read_by_criteria_finds_what_meets_any_of_them", PASSES_OVER})

    async def read(self, **asked):
        return await super().read(**asked | {"criteria": None})


class IgnoresTagsInReads(Opening):
    fails = frozenset({"test_a_read_by_criteria_finds_what_meets_any_of_them"})

    async def read(self, *, criteria=None, **asked):
        bare = criteria and tuple(Criterion(criterion.types) for criterion in criteria)
        return await super().read(criteria=bare, **asked)


class TakesEmptyFiltersForNone(Opening):
    fails = frozenset({"test_empty_filters_match_nothing_and_still_get_to_the_head"})

    async def read(self, *, categories=None, criteria=None, **asked):
        return await super().read(categories=categories or None, criteria=criteria or None, **asked)


class IgnoresCategoriesBesideCriteria(Opening):
    fails = frozenset({"test_all_filters_must_be_met_on_pages_of_any_size", FOLLOWERS})

    async def read(self, *, categories=None, criteria=None, **asked):
        only = categories if criteria is None else None
        return await super().read(categories=only, criteria=criteria, **asked)


class FiltersAfterTheLimit(Opening):
    """Reads `limit` events, filters, and takes an empty page for the end."""

    fails = frozenset({PASSES_OVER, "test_all_filters_must_be_met_on_pages_of_any_size", FOLLOWERS})

    async def read(self, **asked):
        page = await super().read(**plain(asked))
        wanted = {event.position for event in (await super().read(**asked)).events}
        found = [event for event in page.events if event.position in wanted]
        end = page.scanned if found else await self.log.head()
        return LogPage(found, end, page.head)


class AdvancesByMatchesOnly(Opening):
    hangs = True
    fails = frozenset(
        {
            "test_a_filtered_page_tells_how_far_it_looked",
            "test_empty_filters_match_nothing_and_still_get_to_the_head",
            PASSES_OVER,
            FOLLOWERS,
        }
    )

    async def read(self, *, after=START, **asked):
        page = await super().read(after=after, **asked)
        found = [Point(event.position, event.event_id) for event in page.events]
        return replace(page, scanned=[after, *found][-1])


class TakesAnEmptyPageForTheEnd(Opening):
    """A store looks at a bounded part of the log for a page; it may be empty before the head."""

    fails = frozenset({"test_a_filtered_read_finds_what_is_rare_in_a_long_log"})

    async def read(self, **asked):
        page = await super().read(**asked)
        return page if page.events else replace(page, scanned=await self.log.head())


class LooksPastWhatItLeavesOut(Opening):
    fails = frozenset(
        {
            "test_a_filtered_page_never_looks_past_an_event_that_it_leaves_out",
            "test_all_filters_must_be_met_on_pages_of_any_size",
            FOLLOWERS,
        }
    )

    async def read(self, **asked):
        page = await super().read(**asked)
        return replace(page, scanned=await self.log.head()) if filtered(asked) else page


class AnswersImpossibleReads(Opening):
    fails = frozenset({"test_reads_refuse_what_no_append_accepts"})

    async def read(self, **asked):
        try:
            return await super().read(**asked)
        except InvalidInput:
            return LogPage([], START, 0)

    async def load(self, load):
        try:
            return await super().load(load)
        except InvalidInput:
            return Loaded([], 0, START)

    async def find(self, command):
        try:
            return await super().find(command)
        except InvalidInput:
            return None


class ReadsAllTenants(Opening):
    fails = frozenset(
        {
            "test_a_read_of_one_tenant_has_no_event_of_another",
            "test_all_filters_must_be_met_on_pages_of_any_size",
            FOLLOWERS,
        }
    )

    async def read(self, **asked):
        return await super().read(**asked | {"tenant": None})


class TakesNoTenantForTheEmptyOne(Opening):
    fails = frozenset({"test_a_read_of_all_tenants_has_every_event_in_order"})

    async def read(self, *, tenant=None, **asked):
        return await super().read(tenant=tenant or "", **asked)
