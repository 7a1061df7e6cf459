"""Defects of append conditions: what is compared with what, from where, and whose."""

from msgspec.structs import replace

from diptych.errors import ConditionFailed, HistoryDiverged
from diptych.store.contract import ANY_VERSION, START, Criterion, Point, category_of
from tests.conformance.defects.appending import expecting
from tests.conformance.defects.opening import Opening

MATCHING = "test_an_event_that_matches_refuses_the_append_and_nothing_is_written"
SOUND = "test_a_condition_after_an_event_that_matches_nothing_is_sound"


class Conditional(Opening):
    """A store that changes the criteria or the point of each condition."""

    def criteria(self, criteria):
        return criteria

    def after(self, point):
        return point

    def written(self, append):
        if (found := append.condition) is None:
            return append
        condition = replace(
            found, criteria=tuple(self.criteria(found.criteria)), after=self.after(found.after)
        )
        return replace(append, condition=condition)


class ChecksConditionsItself(Opening):
    """A store that reads the log for each condition, filtered by `filters`."""

    def filters(self, append):
        return {"tenant": append.tenant}

    async def append(self, append):
        if (condition := append.condition) is None:
            return await super().append(append)
        page = await self.log.read(
            after=condition.after, criteria=condition.criteria, **self.filters(append)
        )
        if page.events:
            found = page.events[0].position
            raise ConditionFailed(after=condition.after.position, position=found)
        return await super().append(replace(append, condition=None))


class IgnoresConditions(Opening):
    fails = frozenset(
        {
            MATCHING,
            "test_the_first_event_after_after_counts",
            "test_criteria_are_alternatives",
            "test_a_condition_looks_at_every_category",
            "test_a_condition_sees_its_own_tenant",
            "test_a_failed_condition_leaves_no_record_of_the_command",
            "test_a_condition_after_another_event_than_the_log_has_is_refused",
            "test_of_racers_on_one_condition_exactly_one_wins",
            "test_bad_members_of_a_burst_fail_alone",
        }
    )

    def written(self, append):
        return replace(append, condition=None)


class IgnoresConditionsOfCommandsThatDidNothing(Opening):
    fails = frozenset({"test_a_failed_condition_refuses_a_record_of_nothing"})

    def written(self, append):
        return append if append.writes else replace(append, condition=None)


class IgnoresAfterInConditions(Conditional):
    fails = frozenset({"test_an_event_at_or_before_after_does_not_count"})

    def after(self, point):
        return START


class TakesAfterForInclusiveInConditions(Conditional):
    fails = frozenset({"test_an_event_at_or_before_after_does_not_count"})

    def after(self, point):
        return Point(max(0, point.position - 1))


class SkipsTheFirstEventAfterAfter(Conditional):
    fails = frozenset({MATCHING, "test_the_first_event_after_after_counts"})

    def after(self, point):
        return Point(point.position + 1)


class WantsAllTypesAtOnce(Conditional):
    fails = frozenset({"test_the_types_of_a_criterion_are_alternatives"})

    def criteria(self, criteria):
        return (criterion for criterion in criteria if len(criterion.types) < 2)


class IsContentWithOneTag(Conditional):
    fails = frozenset(
        {
            "test_all_tags_of_a_criterion_must_be_there",
            "test_the_tags_of_two_events_do_not_add_up",
        }
    )

    def criteria(self, criteria):
        for criterion in criteria:
            for tag in criterion.tags or [""]:
                yield replace(criterion, tags=frozenset(filter(None, [tag])))


class AddsUpTheTagsOfEvents(ChecksConditionsItself):
    """As a join over the table of tags does that forgets to group by event."""

    fails = frozenset({"test_the_tags_of_two_events_do_not_add_up"})

    async def append(self, append):
        if (condition := append.condition) is not None:
            page = await self.log.read(after=condition.after, tenant=append.tenant)
            tags = {tag for event in page.events for tag in event.tags}
            if any(criterion.tags and criterion.tags <= tags for criterion in condition.criteria):
                raise ConditionFailed(after=condition.after.position, position=page.head)
        return await super().append(append)


class IgnoresTagsInConditions(Conditional):
    fails = frozenset(
        {
            "test_all_tags_of_a_criterion_must_be_there",
            "test_a_criterion_wants_its_type_and_its_tags",
        }
    )

    def criteria(self, criteria):
        return (replace(criterion, tags=frozenset()) for criterion in criteria)


class IgnoresTypesInConditions(Conditional):
    fails = frozenset({"test_a_criterion_wants_its_type_and_its_tags"})

    def criteria(self, criteria):
        return (replace(criterion, types=frozenset()) for criterion in criteria)


class TakesAnEmptyCriterionForNoMatch(Conditional):
    fails = frozenset({"test_a_criterion_without_types_and_tags_matches_every_event"})

    def criteria(self, criteria):
        return (criterion for criterion in criteria if criterion.types or criterion.tags)


class ComparesWithTheFirstCriterionOnly(Conditional):
    fails = frozenset({"test_criteria_are_alternatives"})

    def criteria(self, criteria):
        return criteria[:1]


class TakesNoCriteriaForAnyEvent(Conditional):
    fails = frozenset({"test_a_condition_without_criteria_always_holds"})

    def criteria(self, criteria):
        return criteria or (Criterion(),)


class LooksAtTheCategoriesOfTheWritesOnly(ChecksConditionsItself):
    fails = frozenset({"test_a_condition_looks_at_every_category"})

    def filters(self, append):
        categories = frozenset(category_of(write.stream) for write in append.writes)
        return {"tenant": append.tenant, "categories": categories}


class LooksAtAllTenants(ChecksConditionsItself):
    fails = frozenset({"test_a_condition_does_not_see_other_tenants"})

    def filters(self, append):
        return {"tenant": None}


class LooksAtTheEmptyTenant(ChecksConditionsItself):
    fails = frozenset({"test_a_condition_sees_its_own_tenant"})

    def filters(self, append):
        return {"tenant": ""}


class LooksAtItsOwnEvents(Opening):
    fails = frozenset(
        {
            "test_a_condition_does_not_look_at_the_events_of_its_own_append",
            "test_an_event_at_or_before_after_does_not_count",
        }
    )

    async def append(self, append):
        own = [event for write in append.writes for event in write.events]
        for criterion in append.condition.criteria if append.condition else ():
            if any(criterion.matches(event.type, event.tags) for event in own):
                raise ConditionFailed(after=append.condition.after.position, position=1)
        return await super().append(append)


class TakesAConditionForAllThatIsAskedFor(Opening):
    fails = frozenset(
        {
            "test_expected_versions_are_checked_beside_a_condition_that_holds",
            "test_versions_are_looked_at_in_the_order_of_the_writes_then_the_condition",
        }
    )

    def written(self, append):
        return expecting(append, lambda _: ANY_VERSION) if append.condition else append


class BelievesThePointsOfConditions(Conditional):
    fails = frozenset({"test_a_condition_after_another_event_than_the_log_has_is_refused"})

    def after(self, point):
        return Point(point.position)


class ComparesConditionPointsWithinTheTenant(ChecksConditionsItself):
    fails = frozenset({SOUND})

    async def append(self, append):
        if append.condition and append.condition.after.event_id:
            mine = (await self.log.read(tenant=append.tenant)).events
            if append.condition.after not in [(e.position, e.event_id) for e in mine]:
                raise HistoryDiverged("the condition", position=append.condition.after.position)
        return await super().append(append)


class WantsEventIdsInConditions(Opening):
    fails = frozenset({SOUND})

    async def append(self, append):
        after = append.condition.after if append.condition else START
        if after.position and after.event_id is None:
            raise HistoryDiverged("the condition", position=after.position)
        return await super().append(append)
