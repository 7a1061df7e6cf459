"""A log that skips events, or delivers them twice: the view stops before it shows any of it."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from diptych.errors import DeliveryGap, ProjectionStopped
from diptych.operations import Operations
from diptych.read.continuity import require_page
from diptych.store.contract import LogPage, Point
from diptych.store.memory import MemoryEventStore
from tests.integration.accounts import Deposited, GetAccount, Opened, append, reading
from tests.integration.conftest import AnyDatabase
from tests.integration.parked import checkpoints

Fault = Callable[[LogPage], LogPage]


class FaultyStore(MemoryEventStore):
    """Delivers pages as `fault` makes them."""

    fault: Fault | None = None

    async def read(self, **options: Any) -> LogPage:
        page = await super().read(**options)
        return self.fault(page) if self.fault and page.events else page


@pytest.fixture
async def store() -> AsyncIterator[FaultyStore]:
    log = FaultyStore()
    await log.open()
    yield log
    await log.close()


def with_events(page: LogPage, events: Any) -> LogPage:
    return LogPage(tuple(events), page.scanned, page.head)


def with_a_hole(page: LogPage) -> LogPage:
    return with_events(page, [*page.events[:1], *page.events[2:]])


def twice(page: LogPage) -> LogPage:
    return with_events(page, [*page.events, *page.events])


def turned_round(page: LogPage) -> LogPage:
    return with_events(page, reversed(page.events))


def of_old(page: LogPage) -> LogPage:
    """What was delivered before comes again, at its end."""
    last = page.events[-1]
    return LogPage(page.events, Point(last.position - 1), page.head)


@pytest.mark.parametrize("fault", [with_a_hole, twice, turned_round, of_old])
async def test_a_page_that_does_not_follow_stops_the_view_before_it_shows_anything_of_it(
    store: FaultyStore, any_database: AnyDatabase, fault: Fault
) -> None:
    ann = uuid4()
    seen = await append(store, Opened(ann, "Ann"), Deposited(ann, 1))
    async with reading(store, database=any_database(), lease_ttl=1.0) as side:
        await side.reached(seen.position, timeout=timedelta(seconds=10))
        store.fault = fault
        last = await append(store, *[Deposited(ann, 1)] * 3)
        with pytest.raises(ProjectionStopped, match="DeliveryGap"):
            await side.reached(last.position, timeout=timedelta(seconds=10))
        (checkpoint,) = await checkpoints(side)
        assert (checkpoint.position, checkpoint.error_class) == (seen.position, "gap")
        row = await side.query(GetAccount(ann))
        assert row is not None
        assert row.balance == 1
        store.fault = None
        assert (await Operations(side).retry("accounts")).started
        row = await side.query(GetAccount(ann), at_least=last)
        assert row is not None
        assert (row.balance, row.deposits) == (4, 4)


async def test_a_fault_that_passes_stops_nothing(
    store: FaultyStore, any_database: AnyDatabase
) -> None:
    faults = iter([True, True])
    ann = uuid4()
    seen = await append(store, Opened(ann, "Ann"), Deposited(ann, 1))
    async with reading(store, database=any_database()) as side:
        await side.reached(seen.position, timeout=timedelta(seconds=10))
        store.fault = lambda page: with_a_hole(page) if next(faults, False) else page
        last = await append(store, *[Deposited(ann, 1)] * 3)
        row = await side.query(GetAccount(ann), at_least=last)
        assert row is not None
        assert row.deposits == 4
        assert not next(faults, False)


async def test_without_a_filter_a_dense_log_must_be_complete(store: FaultyStore) -> None:
    await append(store, *[Opened(uuid4(), "x")] * 5)
    page = await store.read(after=Point(1))
    require_page(page, after=1, view="accounts", complete=True)
    with pytest.raises(DeliveryGap) as gap:
        require_page(with_a_hole(page), after=1, view="accounts", complete=True)
    assert (gap.value.view, gap.value.position) == ("accounts", 3)
    with pytest.raises(DeliveryGap):
        require_page(page, after=2, view="accounts")


async def test_an_event_that_a_row_has_seen_is_not_applied_again(
    store: FaultyStore, any_database: AnyDatabase
) -> None:
    """With a new position, as a log that was copied with a mistake may have it."""
    ann = uuid4()
    seen = await append(store, Opened(ann, "Ann"), Deposited(ann, 1))

    def again(page: LogPage) -> LogPage:
        return with_events(page, [each._replace(version=2) for each in page.events])

    async with reading(store, database=any_database()) as side:
        await side.reached(seen.position, timeout=timedelta(seconds=10))
        store.fault = again
        last = await append(store, Deposited(ann, 1))
        with pytest.raises(ProjectionStopped, match="DeliveryGap"):
            await side.reached(last.position, timeout=timedelta(seconds=10))
