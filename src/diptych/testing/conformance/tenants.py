"""Tenants share one log and its positions, and never meet in anything else."""

from diptych.errors import ConcurrencyError
from diptych.store.contract import START, EventStore
from diptych.testing.conformance.steps import (
    Suite,
    add,
    happened,
    load,
    log_of,
    refused,
    settle,
    to,
)


class TenantConformance(Suite):
    async def test_tenants_have_streams_of_the_same_name_apart(self, store: EventStore) -> None:
        for count, tenant in enumerate(("", "north", "south"), start=1):
            events = [happened() for _ in range(count)]
            await settle(store, add(to("order-1", *events, expecting=0), tenant=tenant))
        for count, tenant in enumerate(("", "north", "south"), start=1):
            loaded = await load(store, "order-1", tenant=tenant)
            assert (loaded.version, len(loaded.events)) == (count, count)
            assert {event.tenant for event in loaded.events} == {tenant}

    async def test_a_version_is_that_of_the_own_tenant(self, store: EventStore) -> None:
        await settle(store, add(to("order-1", happened(), happened()), tenant="north"))
        await settle(store, add(to("order-1"), tenant="south"))
        async with refused(store, ConcurrencyError) as refusal:
            await settle(store, add(to("order-1", expecting=2), tenant="south"))
        assert refusal.value.actual == 1

    async def test_a_stream_of_another_tenant_does_not_exist(self, store: EventStore) -> None:
        await settle(store, add(to("order-1"), tenant="north"))
        for tenant in ("", "south", "North"):
            loaded = await load(store, "order-1", tenant=tenant)
            assert (list(loaded.events), loaded.version, loaded.point) == ([], 0, START)

    async def test_a_read_of_one_tenant_has_no_event_of_another(self, store: EventStore) -> None:
        for tenant in ("", "north", "south", "", "north"):
            await settle(store, add(to("order-1"), tenant=tenant))
        for tenant, versions in (("", [1, 2]), ("north", [1, 2]), ("south", [1]), ("west", [])):
            found = await log_of(store, tenant=tenant, limit=1)
            assert [(event.tenant, event.version) for event in found] == [
                (tenant, version) for version in versions
            ]

    async def test_a_read_of_all_tenants_has_every_event_in_order(self, store: EventStore) -> None:
        for tenant in ("", "north", "south", "", "north"):
            await settle(store, add(to("order-1"), tenant=tenant))
        log = await log_of(store)
        assert [event.tenant for event in log] == ["", "north", "south", "", "north"]
        assert len({event.position for event in log}) == 5
