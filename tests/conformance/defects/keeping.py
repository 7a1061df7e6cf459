"""Defects of keeping: what comes back is not what was given, or what was refused is kept."""

import json
import unicodedata
from datetime import timedelta
from uuid import uuid4

from msgspec.structs import replace

from diptych.errors import InvalidInput
from diptych.store.contract import Append, Appended, StreamVersion
from diptych.testing.conformance.steps import to
from tests.conformance.defects.opening import Opening

BACKWARDS = "test_the_time_of_recording_has_microseconds_and_never_runs_backwards"
LIMITS = frozenset(
    {
        "test_an_event_over_a_megabyte_is_refused",
        "test_an_append_over_four_megabytes_is_refused",
        "test_more_than_ten_thousand_events_are_refused",
        "test_more_than_five_hundred_writes_are_refused",
        "test_metadata_over_eight_kilobytes_are_refused",
        "test_more_than_32_tags_of_an_event_are_refused",
        "test_names_over_512_bytes_are_refused",
        "test_names_that_are_not_printable_text_are_refused",
        "test_a_stream_twice_in_an_append_is_refused",
        "test_a_write_without_events_is_refused",
        "test_a_version_out_of_range_is_refused",
        "test_a_condition_out_of_range_is_refused",
        "test_a_command_of_another_tenant_than_its_append_is_refused",
        "test_bytes_that_are_not_text_are_refused",
        "test_a_time_without_a_zone_is_refused",
    }
)


def changed(append, change):
    """`append` with each of its events replaced by what `change` makes of it."""
    writes = (replace(w, events=tuple(map(change, w.events))) for w in append.writes)
    return replace(append, writes=tuple(writes))


class ReformatsJson(Opening):
    """As a column of type JSONB does."""

    fails = frozenset({"test_data_comes_back_byte_for_byte"})

    def seen(self, event):
        return event._replace(data=json.dumps(json.loads(event.data)).encode())


class LosesMetadata(Opening):
    fails = frozenset(
        {
            "test_metadata_comes_back_with_every_event_of_its_append",
            "test_metadata_may_have_eight_kilobytes",
        }
    )

    def written(self, append):
        return replace(append, metadata=b"{}")


class KeepsMetadataWithTheFirstEventOnly(Opening):
    fails = frozenset({"test_metadata_comes_back_with_every_event_of_its_append"})

    def seen(self, event):
        return event if event.version != 2 else event._replace(metadata_json=b"{}")


class CutsMetadata(Opening):
    fails = frozenset({"test_metadata_may_have_eight_kilobytes"})

    def seen(self, event):
        return event._replace(metadata_json=event.metadata_json[:4096])


class MakesNewEventIds(Opening):
    fails = frozenset(
        {"test_event_ids_and_types_come_back", "test_an_event_id_may_be_recorded_twice"}
    )

    def written(self, append):
        return changed(append, lambda event: event._replace(event_id=uuid4()))


class WantsEventIdsToBeUnique(Opening):
    fails = frozenset({"test_an_event_id_may_be_recorded_twice"})

    def written(self, append):
        known = self.disk.notes.setdefault("ids", set())
        for event in (event for write in append.writes for event in write.events):
            if event.event_id in known:
                raise InvalidInput("event_id", "is not new")
            known.add(event.event_id)
        return append


class DropsTags(Opening):
    fails = frozenset(
        {
            "test_tags_come_back_as_they_were_given",
            "test_a_read_by_criteria_finds_what_meets_any_of_them",
            "test_all_tags_of_a_criterion_must_be_there",
        }
    )

    def written(self, append):
        return changed(append, lambda event: event._replace(tags=()))


class SortsTags(Opening):
    fails = frozenset({"test_tags_come_back_as_they_were_given"})

    def seen(self, event):
        return event._replace(tags=tuple(sorted(set(event.tags))))


class ReadsOnlyTheTagsThatWereAskedFor(Opening):
    """As a join with the table of tags does that is filtered by tag."""

    fails = frozenset({"test_tags_come_back_from_a_read_that_asks_for_one_of_them"})

    async def read(self, *, criteria=None, **asked):
        page = await super().read(criteria=criteria, **asked)
        wanted = {tag for criterion in criteria or () for tag in criterion.tags}
        narrow = [e._replace(tags=tuple(wanted.intersection(e.tags))) for e in page.events]
        return replace(page, events=narrow) if wanted else page


class RoundsTheTimesOfImports(Opening):
    fails = frozenset({"test_the_time_of_an_imported_event_comes_back_aware_and_exact"})

    def seen(self, event):
        at = event.occurred_at
        return event._replace(occurred_at=at and at.replace(microsecond=at.microsecond // 1000))


class ForgetsThatTimesHaveZones(Opening):
    fails = frozenset(
        {
            "test_the_time_of_recording_is_aware_and_in_utc",
            "test_the_time_of_an_imported_event_comes_back_aware_and_exact",
        }
    )

    def seen(self, event):
        at = event.occurred_at
        naive = at and at.replace(tzinfo=None)
        return event._replace(recorded_at=event.recorded_at.replace(tzinfo=None), occurred_at=naive)


class RoundsTheTimeOfRecording(Opening):
    fails = frozenset({BACKWARDS})

    def seen(self, event):
        return event._replace(recorded_at=event.recorded_at.replace(microsecond=0))


class RecordsTimesThatRunBackwards(Opening):
    """As two writers do whose clocks differ."""

    fails = frozenset({BACKWARDS})

    def seen(self, event):
        late = timedelta(seconds=event.position % 2)
        return event._replace(recorded_at=event.recorded_at - late)


class NormalisesNames(Opening):
    fails = frozenset(
        {
            "test_any_printable_text_is_a_name",
            "test_streams_with_similar_names_are_different_streams",
        }
    )

    def seen(self, event):
        return event._replace(stream=unicodedata.normalize("NFC", event.stream))


class CutsBigEvents(Opening):
    """As a column of type TEXT with 64 KB does in silence."""

    fails = frozenset({"test_an_event_may_have_a_megabyte"})

    def written(self, append):
        return changed(append, lambda event: event._replace(data=event.data[:65_535]))


class CutsBigAppends(Opening):
    """As a driver does that sends parameters in chunks, of which only the first arrives."""

    fails = frozenset(
        {
            "test_an_append_may_have_ten_thousand_events",
            "test_an_append_may_write_to_five_hundred_streams",
        }
    )

    def written(self, append):
        cut = (replace(write, events=write.events[:1000]) for write in append.writes[:100])
        return replace(append, writes=tuple(cut))


class SaysThatItDidWhatItCannotDo(Opening):
    fails = LIMITS | {"test_nothing_to_do_is_refused", "test_bad_members_of_a_burst_fail_alone"}

    async def append(self, append):
        try:
            return await super().append(append)
        except InvalidInput:
            return Appended(await self.head(), (StreamVersion("order-1", 1),))


class WritesSomethingOfWhatItRefuses(Opening):
    fails = LIMITS

    async def append(self, append):
        try:
            return await super().append(append)
        except InvalidInput:
            await self.log.append(Append((to("order-1"),)))
            raise
