"""Defects of loading: which stream, from which version, of which tenant, from how many looks."""

import asyncio

from msgspec.structs import replace

from diptych.store.contract import Load, category_of
from diptych.testing.conformance.steps import turns
from tests.conformance.defects.opening import Opening


class InventsStreams(Opening):
    """A stream that does not exist has the place of the log's head."""

    fails = frozenset(
        {
            "test_a_stream_that_does_not_exist_is_at_version_zero",
            "test_a_stream_of_another_tenant_does_not_exist",
        }
    )

    async def load(self, load):
        loaded = await super().load(load)
        return loaded if loaded.version else replace(loaded, point=await self.log.head())


class LoadsTheWholeCategory(Opening):
    fails = frozenset(
        {
            "test_a_load_gives_the_stream_and_nothing_else",
            "test_streams_with_similar_names_are_different_streams",
        }
    )

    async def load(self, load):
        category = frozenset({category_of(load.stream)})
        page = await self.log.read(categories=category, tenant=load.tenant)
        return replace(await super().load(load), events=page.events)


class LoadsInclusively(Opening):
    fails = frozenset(
        {
            "test_a_load_gives_the_events_after_a_version",
            "test_many_loads_at_once_each_get_what_they_asked_for",
        }
    )

    async def load(self, load):
        return await super().load(replace(load, after=max(0, load.after - 1)))


class TellsTheVersionOfWhatItLoaded(Opening):
    fails = frozenset(
        {
            "test_version_and_point_are_those_of_the_stream_whatever_was_asked_for",
            "test_many_loads_at_once_each_get_what_they_asked_for",
        }
    )

    async def load(self, load):
        loaded = await super().load(load)
        version = loaded.events[-1].version if loaded.events else 0
        return replace(loaded, version=version)


class LoadsOnePage(Opening):
    fails = frozenset({"test_a_long_stream_is_loaded_to_its_end"})

    async def load(self, load):
        loaded = await super().load(load)
        return replace(loaded, events=loaded.events[:1000])


class MixesUpLoads(Opening):
    """Loads that are asked for together get each other's answers."""

    fails = frozenset({"test_many_loads_at_once_each_get_what_they_asked_for"})

    async def load(self, load):
        self.latest = load
        await asyncio.sleep(0)
        return await super().load(self.latest)


class LoadsInTwoQueries(Opening):
    fails = frozenset({"test_a_load_agrees_with_itself_while_others_append"})

    async def load(self, load):
        loaded = await super().load(load)
        await turns(4)
        version = (await self.log.load(Load(load.stream, load.tenant))).version
        return replace(loaded, version=version)


class KeepsStreamsOfAllTenantsTogether(Opening):
    fails = frozenset(
        {
            "test_tenants_have_streams_of_the_same_name_apart",
            "test_a_version_is_that_of_the_own_tenant",
        }
    )

    def written(self, append):
        return replace(append, tenant="", command=None)

    async def load(self, load):
        return await super().load(replace(load, tenant=""))


class LoadsFromAnyTenant(Opening):
    fails = frozenset(
        {
            "test_a_stream_of_another_tenant_does_not_exist",
            "test_tenants_have_streams_of_the_same_name_apart",
        }
    )

    async def load(self, load):
        loaded = [await self.log.load(replace(load, tenant=t)) for t in ("north", "south", "")]
        return max(loaded, key=lambda one: one.version)
