"""Defects of command records: what is remembered, how it is compared, whose it is."""

import asyncio

from msgspec.structs import replace

from diptych.errors import CommandIdReused, ConcurrencyError, ConditionFailed, InvalidInput
from diptych.store.contract import ANY_VERSION, Append, Appended, Load, StreamVersion
from diptych.testing.conformance.steps import to, turns
from tests.conformance.defects.appending import versions
from tests.conformance.defects.opening import Opening


class ForgetsCommands(Opening):
    fails = frozenset(
        {
            "test_a_repeated_command_gets_the_first_outcome_and_writes_nothing",
            "test_a_repeat_gets_the_streams_as_they_were_then",
            "test_a_repeat_under_a_stale_version_gets_the_first_outcome",
            "test_a_repeat_under_a_failed_condition_gets_the_first_outcome",
            "test_a_repeat_may_carry_other_events",
            "test_twins_at_once_take_effect_once",
            "test_a_command_is_found_with_its_hash_and_outcome",
            "test_a_load_tells_what_became_of_a_command",
            "test_a_command_that_is_repeated_at_another_opening_takes_effect_once",
            "test_commands_are_remembered",
        }
    )

    def written(self, append):
        return replace(append, command=None) if append.writes else append


class RepeatsWithTheVersionsOfNow(Opening):
    fails = frozenset({"test_a_repeat_gets_the_streams_as_they_were_then"})

    async def append(self, append):
        outcome = await super().append(append)
        if not outcome.repeated:
            return outcome
        now = await versions(self, append)
        streams = (StreamVersion(w.stream, v) for w, v in zip(append.writes, now, strict=True))
        return replace(outcome, streams=tuple(streams))


class DoesNotMarkRepeats(Opening):
    fails = frozenset(
        {
            "test_a_repeated_command_gets_the_first_outcome_and_writes_nothing",
            "test_twins_at_once_take_effect_once",
        }
    )

    async def append(self, append):
        return replace(await super().append(append), repeated=False)


class LooksAtVersionsBeforeCommands(Opening):
    fails = frozenset(
        {
            "test_a_repeat_under_a_stale_version_gets_the_first_outcome",
            "test_another_hash_is_refused_before_the_version_is_looked_at",
        }
    )

    async def append(self, append):
        for write, actual in zip(append.writes, await versions(self, append), strict=True):
            expected = write.expected_version
            if expected is not ANY_VERSION and expected != actual:
                raise ConcurrencyError(write.stream, expected=expected, actual=actual)
        return await super().append(append)


class LooksAtConditionsBeforeCommands(Opening):
    fails = frozenset(
        {
            "test_a_repeat_under_a_failed_condition_gets_the_first_outcome",
            "test_versions_are_looked_at_in_the_order_of_the_writes_then_the_condition",
        }
    )

    async def append(self, append):
        if (condition := append.condition) is not None:
            page = await self.log.read(after=condition.after, criteria=condition.criteria)
            if page.events:
                found = page.events[0].position
                raise ConditionFailed(after=condition.after.position, position=found)
        return await super().append(append)


class TakesOtherEventsForAnotherCommand(Opening):
    fails = frozenset({"test_a_repeat_may_carry_other_events"})

    async def append(self, append):
        if append.command is None:
            return await super().append(append)
        key, streams = append.command.key, [write.stream for write in append.writes]
        if self.disk.notes.setdefault(key, streams) != streams:
            raise CommandIdReused(key.command_id)
        return await super().append(append)


class IgnoresHashes(Opening):
    fails = frozenset(
        {
            "test_another_hash_is_refused_and_writes_nothing",
            "test_another_hash_is_refused_before_the_version_is_looked_at",
            "test_of_twins_with_other_hashes_at_once_one_takes_effect",
            "test_a_command_that_did_nothing_refuses_another_hash",
            "test_bad_members_of_a_burst_fail_alone",
            "test_commands_are_remembered",
        }
    )

    def written(self, append):
        record = append.command
        return replace(append, command=record and replace(record, hash=b""))


class LooksForTwinsTooEarly(Opening):
    """Looks the command up, lets others go on, appends, and then remembers it."""

    fails = frozenset(
        {
            "test_twins_at_once_take_effect_once",
            "test_of_twins_with_other_hashes_at_once_one_takes_effect",
        }
    )

    async def append(self, append):
        if append.command is None or not append.writes:
            return await super().append(append)
        key = append.command.key
        if (first := self.disk.notes.get(key)) is not None:
            return replace(first, repeated=True)
        await asyncio.sleep(0)
        self.disk.notes[key] = await super().append(replace(append, command=None))
        return self.disk.notes[key]


class ForgetsCommandsThatDidNothing(Opening):
    fails = frozenset(
        {
            "test_a_command_that_did_nothing_is_remembered",
            "test_a_command_that_did_nothing_still_does_nothing_when_repeated_with_events",
            "test_a_command_that_did_nothing_refuses_another_hash",
            "test_a_command_that_did_nothing_is_found",
            "test_commands_are_remembered",
        }
    )

    async def append(self, append):
        if append.writes:
            return await super().append(append)
        return Appended(await self.head(), append.command.streams)


class RecordsNothingAsAnEvent(Opening):
    fails = frozenset({"test_a_record_of_nothing_writes_no_event"})

    async def append(self, append):
        outcome = await super().append(append)
        if not append.writes:
            await super().append(_nothing_happened(append))
        return outcome


def _nothing_happened(append):
    return Append((to("nothing-1"),), tenant=append.tenant)


class RecordsRefusals(Opening):
    fails = frozenset(
        {
            "test_a_refused_append_leaves_no_record",
            "test_a_failed_condition_leaves_no_record_of_the_command",
            "test_a_failed_condition_refuses_a_record_of_nothing",
            "test_what_is_refused_leaves_no_record_of_its_command",
        }
    )

    async def append(self, append):
        try:
            return await super().append(append)
        except (ConcurrencyError, ConditionFailed, InvalidInput):
            if append.command is not None:
                await super().append(Append((), command=append.command, tenant=append.tenant))
            raise


class KeepsCommandsOfAllTenantsTogether(Opening):
    fails = frozenset(
        {
            "test_tenants_do_not_share_command_ids",
            "test_a_command_is_found_under_its_own_key_only",
        }
    )

    async def append(self, append):
        known = self.disk.notes
        if append.command is None:
            return await super().append(append)
        key = append.command.key._replace(tenant="")
        if key in known:
            return replace(known[key], repeated=True)
        known[key] = await super().append(append)
        return known[key]

    async def find(self, command):
        for tenant in ("", "north", "south"):
            if found := await super().find(command._replace(tenant=tenant)):
                return found
        return None


class KeepsCommandsOfAllPrincipalsTogether(Opening):
    fails = frozenset(
        {
            "test_principals_do_not_share_command_ids",
            "test_a_command_is_found_under_its_own_key_only",
        }
    )

    def written(self, append):
        record = append.command
        return replace(append, command=record and replace(record, key=_of_nobody(record.key)))

    async def find(self, command):
        return await super().find(_of_nobody(command))


def _of_nobody(key):
    return key._replace(principal="")


class FindsCommandsWithoutTheirStreams(Opening):
    fails = frozenset(
        {
            "test_a_command_is_found_with_its_hash_and_outcome",
            "test_a_command_that_did_nothing_is_found",
        }
    )

    async def find(self, command):
        found = await super().find(command)
        return found and replace(found, outcome=replace(found.outcome, streams=()))


class FindsAnyCommandOfTheTenant(Opening):
    fails = frozenset({"test_a_command_is_found_under_its_own_key_only"})

    async def append(self, append):
        if append.command is not None:
            self.disk.notes[append.command.key.tenant] = append.command.key
        return await super().append(append)

    async def find(self, command):
        return await super().find(self.disk.notes.get(command.tenant, command))


class LoadsWithoutCommands(Opening):
    fails = frozenset(
        {
            "test_a_load_tells_what_became_of_a_command",
            "test_a_load_that_does_not_find_a_command_has_none_of_its_events",
        }
    )

    async def load(self, load):
        return await super().load(replace(load, command=None))


class LooksCommandsUpBeforeItLoads(Opening):
    """Two queries without a common snapshot, in the wrong order."""

    fails = frozenset({"test_a_load_that_does_not_find_a_command_has_none_of_its_events"})

    async def load(self, load: Load):
        found = load.command and await self.find(load.command)
        await turns(8)
        return replace(await super().load(load), command=found)
