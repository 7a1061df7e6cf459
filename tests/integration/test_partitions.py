"""Partitions: a view whose rows are shared between projectors is the same view to its readers."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from diptych.clock import SystemClock
from diptych.errors import ConsistencyTimeout, ProjectionStopped, ViewNotReady
from diptych.failpoints import armed
from diptych.read.database import Slot
from diptych.read.partition import partition_of
from diptych.read.projector import Status
from diptych.read.query import Query, answer
from diptych.read.readiness import State
from diptych.read.revision import let_serve
from diptych.read.rows import Rows
from diptych.read.schema import REVISIONS
from diptych.read.view import View
from diptych.store.contract import EventStore
from diptych.store.memory import MemoryEventStore
from diptych.testing.waiting import wait_until
from tests.integration.accounts import (
    SOON,
    Account,
    Closed,
    Deposited,
    GetAccount,
    LabelCount,
    Labelled,
    Opened,
    account_events,
    account_view,
    append,
    count_labels,
    expected_accounts,
    head_token,
    held_by,
    labels_of,
    projector_of,
    reading,
)
from tests.integration.conftest import AnyDatabase

LONG = timedelta(seconds=10)

split = account_view(partitions=4)

split_labels: View[LabelCount] = View(
    "labels",
    events=[account_events],
    row=LabelCount,
    key="label",
    keys=labels_of,
    project=count_labels,
    partitions=3,
)


class AllAccounts(Query[dict[UUID, Account]]):
    pass


class AllLabels(Query[dict[str, int]]):
    pass


async def get_account(query: GetAccount, rows: Rows) -> Account | None:
    return await rows.get(split, query.account_id)


async def all_accounts(query: AllAccounts, rows: Rows) -> dict[UUID, Account]:
    page = await rows.page(split, page_size=500)
    return {row.account_id: row for row in page.items}


async def all_labels(query: AllLabels, rows: Rows) -> dict[str, int]:
    page = await rows.page(split_labels, page_size=500)
    return {row.label: row.accounts for row in page.items}


QUERIES = [
    answer(GetAccount, get_account, reads=[split]),
    answer(AllAccounts, all_accounts, reads=[split]),
]


def account_in(partition: int) -> UUID:
    """A new account whose row belongs to a partition."""
    while partition_of("", [(account_id := uuid4()).hex], partitions=4) != partition:
        pass
    return account_id


def held_back() -> None:
    raise ConnectionError("held back by the test")


async def fill(store: EventStore, *, number: int) -> list[UUID]:
    ids = [uuid4() for _ in range(number)]
    for index, account_id in enumerate(ids):
        await append(store, Opened(account_id, f"Owner {index}"), Deposited(account_id, index))
    await append(store, Closed(ids[0]))
    return ids


async def test_the_rows_are_the_fold_of_their_events(
    any_store: EventStore, any_database: AnyDatabase
) -> None:
    await fill(any_store, number=40)
    async with reading(any_store, database=any_database(), models=[split], queries=QUERIES) as side:
        assert len(held_by(side)) == 4
        await fill(any_store, number=10)
        token = await head_token(any_store)
        found = await side.query(AllAccounts(), at_least=token)
        assert found == await expected_accounts(any_store)
        assert len(found) == 48


async def test_two_processes_share_one_view(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async with (
        reading(
            store, database=any_database(), models=[split], queries=QUERIES, lease_ttl=0.5
        ) as one,
        reading(
            store, database=any_database(), models=[split], queries=QUERIES, lease_ttl=0.5
        ) as other,
    ):
        await wait_until(lambda: (len(held_by(one)), len(held_by(other))) == (2, 2))
        ids = await fill(store, number=30)
        for side in (one, other):
            found = await side.query(AllAccounts(), at_least=await head_token(store))
            assert found == await expected_accounts(store)
        for count in range(1, 20):
            token = await append(store, Deposited(ids[count], 1))
            row = await one.query(GetAccount(ids[count]), at_least=token)
            assert row is not None
            assert row.deposits == 2


async def test_an_event_for_several_rows_is_counted_once_in_each(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    queries = [answer(AllLabels, all_labels, reads=[split_labels])]
    names = [f"label{number}" for number in range(12)]
    async with reading(
        store, database=any_database(), models=[split_labels], queries=queries
    ) as side:
        for start in range(4):
            await append(store, Labelled(uuid4(), tuple(names[start:])))
        found = await side.query(AllLabels(), at_least=await head_token(store))
        assert found == {name: min(index + 1, 4) for index, name in enumerate(names)}


@pytest.mark.parametrize("place", ["projector.before_checkpoint", "projector.after_commit"])
async def test_errors_at_any_point_apply_nothing_twice(
    store: MemoryEventStore, any_database: AnyDatabase, place: str
) -> None:
    await fill(store, number=20)
    with armed(place, held_back, on=2, times=3):
        async with reading(store, database=any_database(), models=[split], queries=QUERIES) as side:
            found = await side.query(AllAccounts(), at_least=await head_token(store))
    assert found == await expected_accounts(store)


async def test_a_reader_waits_for_the_last_partition(store: MemoryEventStore) -> None:
    """The row that it asks for may be in any of them."""
    async with reading(store, models=[split], queries=QUERIES) as side:
        await side.query(AllAccounts())
        held, partition = list[str](), projector_of(side, partition=2)

        def hold_one_back() -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks = side._running.projecting._tasks  # type: ignore[union-attr]
            if task is tasks[partition.slot]:
                held.append("held")
                held_back()

        with armed("projector.after_read", hold_one_back, times=10**9):
            token = await append(store, Opened(account_in(1), "Ann"))
            await wait_until(lambda: projector_of(side, partition=1).point.position == 1)
            with pytest.raises(ConsistencyTimeout):
                await side.query(AllAccounts(), at_least=token, timeout=SOON)
            assert held
            (status,) = (await side.readiness()).views
            assert (status.position, len(status.slots)) == (0, 4)
            assert sorted(slot.position for slot in status.slots) == [0, 1, 1, 1]
        assert len(await side.query(AllAccounts(), at_least=token)) == 1


async def test_a_view_serves_when_all_partitions_are_there_and_not_before(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    await fill(store, number=5)

    async def status_of_revision() -> str:
        async with side._database.snapshot() as snapshot:
            return str((await snapshot.execute(sa.select(REVISIONS.c.status)))[0].status)

    held: Slot | None = None

    def hold_the_first_back() -> None:
        nonlocal held
        tasks = {task: slot for slot, task in side._running.projecting._tasks.items()}  # type: ignore[union-attr]
        task = asyncio.current_task()
        assert task is not None
        held = held or tasks[task]
        if tasks[task] == held:
            held_back()

    async with reading(store, database=any_database(), project=False, models=[split], queries=[]):
        pass
    with armed("projector.after_read", hold_the_first_back, times=10**9):
        async with reading(store, database=any_database(), models=[split], queries=QUERIES) as side:
            points = [projector_of(side, partition=number) for number in range(4)]
            await wait_until(lambda: sum(each.point.position == 11 for each in points) == 3)
            with pytest.raises(ViewNotReady):
                await side.ask(AllAccounts(), timeout=SOON, on_timeout="stale")
            assert await status_of_revision() == "building"
            assert (await side.readiness()).views[0].state is State.BUILDING
    async with reading(store, database=any_database(), models=[split], queries=QUERIES) as side:
        assert await side.query(AllAccounts()) == await expected_accounts(store)
        assert await status_of_revision() == "serving"


async def test_two_partitions_that_get_there_at_one_time_let_the_view_serve(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    """Neither sees the other's checkpoint before it is committed."""
    await append(store, Opened(uuid4(), "Ann"))
    pair = account_view(partitions=2)
    async with reading(
        store, database=any_database(), models=[pair], queries=[], project=False
    ) as side:
        served = list[bool]()

        async def arrive(slot: Slot) -> None:
            async with side._database.transaction() as tx:
                await tx.execute(
                    sa.text(
                        "UPDATE diptych_checkpoints SET position = 1"
                        f" WHERE partition = {slot.partition}"
                    )
                )
                await asyncio.sleep(0.02)
                served.append(
                    await let_serve(tx, slot.revision, serves_from=1, at=SystemClock().now())
                )

        assert side._running is not None
        slots = side._running.targets.by_name[pair.name].slots
        await asyncio.gather(*map(arrive, slots))
        assert sorted(served) == [False, True]


async def test_an_event_that_cannot_be_applied_stops_its_partition_and_so_the_view(
    store: MemoryEventStore, any_database: AnyDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    """The others go on: what they have done is not lost, and after a fix nothing waits for them."""
    broken, well = account_in(3), account_in(0)
    async with reading(store, database=any_database(), models=[split], queries=QUERIES) as side:
        seen = await append(store, Opened(broken, "Ann"), Opened(well, "Bea"))
        await side.query(AllAccounts(), at_least=seen)
        await append(store, Deposited(broken, -1))
        token = await append(store, Deposited(well, 5))
        await wait_until(lambda: projector_of(side, partition=3).status is Status.STOPPED)
        await wait_until(lambda: projector_of(side, partition=0).point.position == 4)
        with pytest.raises(ProjectionStopped):
            await side.query(GetAccount(well), at_least=token, timeout=LONG)
        found = await side.ask(AllAccounts())
        assert found.as_of == seen
        (status,) = (await side.readiness()).views
        assert status.state is State.STOPPED
        assert [bool(slot.error) for slot in status.slots] == [False, False, False, True]


async def test_a_partition_that_stopped_ahead_does_not_fail_who_waits_for_another(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    broken, well = account_in(3), account_in(0)
    async with reading(store, database=any_database(), models=[split], queries=QUERIES) as side:
        await append(store, Opened(broken, "Ann"), Opened(well, "Bea"))
        await side.reached(2, timeout=LONG)
        tasks, late = side._running.projecting._tasks, projector_of(side, partition=0)  # type: ignore[union-attr]

        def hold_one_back() -> None:
            if asyncio.current_task() is tasks[late.slot]:
                held_back()

        with armed("projector.after_read", hold_one_back, times=10**9):
            token = await append(store, Deposited(well, 5))
            await append(store, Deposited(broken, -1))
            await wait_until(lambda: projector_of(side, partition=3).status is Status.STOPPED)
            with pytest.raises(ConsistencyTimeout):
                await side.query(GetAccount(well), at_least=token, timeout=SOON)
        row = await side.query(GetAccount(well), at_least=token, timeout=LONG)
        assert row is not None
        assert row.balance == 5
