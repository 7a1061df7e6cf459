"""The projector: every event takes effect exactly once, whatever happens around it."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from diptych.failpoints import armed, cancel, fail
from diptych.read.query import answer
from diptych.read.side import ReadSide
from diptych.store.contract import EventStore
from diptych.store.memory import MemoryEventStore
from diptych.testing.waiting import wait_until
from tests.integration.accounts import (
    Closed,
    Deposited,
    GetAccount,
    GetLabel,
    GetVersioned,
    LabelCount,
    Labelled,
    Noted,
    Opened,
    accounts,
    all_accounts,
    append,
    expected_accounts,
    get_account,
    get_label,
    head_token,
    labels,
    projecting_of,
    reading,
)

FAILPOINTS = (
    "projector.after_read",
    "projector.before_write",
    "projector.before_checkpoint",
    "projector.before_commit",
    "projector.after_commit",
)


async def fill(store: EventStore, *, number: int, deposits: int = 3) -> list[UUID]:
    ids = [uuid4() for _ in range(number)]
    for index, account_id in enumerate(ids):
        await append(store, Opened(account_id, f"Owner {index}"))
    for amount in range(deposits):
        for account_id in ids:
            await append(store, Deposited(account_id, amount + 1))
    return ids


async def test_rows_are_the_fold_of_their_events(any_store: EventStore) -> None:
    ids = await fill(any_store, number=20)
    async with reading(any_store) as side:
        await append(any_store, Closed(ids[0]))
        token = await append(any_store, Opened(uuid4(), "Late"))
        rows = await all_accounts(side, token)
        assert rows == await expected_accounts(any_store)
        assert len(rows) == 20
        assert {row.deposits for row in rows.values()} == {0, 3}


async def test_a_reader_with_a_token_sees_each_of_many_writes(any_store: EventStore) -> None:
    account_id = uuid4()
    await append(any_store, Opened(account_id, "Ann"))
    async with reading(any_store) as side:
        for count in range(1, 51):
            token = await append(any_store, Deposited(account_id, 1))
            row = await side.query(GetAccount(account_id), at_least=token)
            assert row is not None
            assert row.deposits == count


@pytest.mark.parametrize("name", FAILPOINTS)
@pytest.mark.parametrize("action", [fail, cancel])
async def test_an_error_at_any_point_applies_nothing_twice_and_loses_nothing(
    store: MemoryEventStore, name: str, action: Callable[[], None]
) -> None:
    ids = await fill(store, number=5)
    with armed(name, action, on=1, times=2):
        async with reading(store) as side:
            await append(store, Deposited(ids[0], 7))
            rows = await all_accounts(side, await head_token(store))
    assert rows == await expected_accounts(store)


@pytest.mark.parametrize("name", FAILPOINTS)
async def test_a_stop_at_any_point_is_taken_up_by_the_next_start(
    store: MemoryEventStore, tmp_path: Path, name: str
) -> None:
    """The task is cancelled exactly there, as by a process that is told to end."""
    ids = await fill(store, number=5)
    for _ in range(3):
        async with reading(store, path=tmp_path / "read.db") as side:
            with armed(name, lambda: stop(side)):
                await append(store, Deposited(ids[0], 7))
                await wait_until(lambda: projector_task(side).done())
    async with reading(store, path=tmp_path / "read.db") as side:
        rows = await all_accounts(side, await head_token(store))
    assert rows == await expected_accounts(store)


def projector_task(side: ReadSide) -> asyncio.Task[None]:
    (task,) = projecting_of(side)._tasks.values()
    return task


def stop(side: ReadSide) -> None:
    task = projector_task(side)
    task.cancel()
    raise asyncio.CancelledError


async def test_the_checkpoint_passes_over_events_of_other_categories(
    any_store: EventStore,
) -> None:
    account_id = uuid4()
    await append(any_store, Opened(account_id, "Ann"))
    async with reading(any_store) as side:
        token = await append(any_store, *[Noted(str(n)) for n in range(2_000)])
        assert await side.query(GetAccount(account_id), at_least=token) is not None
        status = (await side.readiness()).views[0]
        assert status.position == status.head == token.position


async def test_a_row_that_becomes_none_is_deleted_and_can_come_back(
    store: MemoryEventStore,
) -> None:
    account_id = uuid4()
    async with reading(store) as side:
        await append(store, Opened(account_id, "Ann"))
        token = await append(store, Closed(account_id))
        assert await side.query(GetAccount(account_id), at_least=token) is None
        token = await append(store, Opened(account_id, "Ann again"))
        row = await side.query(GetAccount(account_id), at_least=token)
        assert row is not None
        assert row.owner == "Ann again"
        token = await append(store, Closed(account_id), Closed(account_id))
        assert await side.query(GetAccount(account_id), at_least=token) is None


async def test_an_event_counts_once_for_each_of_its_keys(store: MemoryEventStore) -> None:
    queries = [answer(GetLabel, get_label, reads=[labels])]
    async with reading(store, models=[labels], queries=queries) as side:
        await append(store, Labelled(uuid4(), ("new", "vip", "new", "new")))
        await append(store, Labelled(uuid4(), ()))
        token = await append(store, Labelled(uuid4(), ("vip",)))
        assert await side.query(GetLabel("vip"), at_least=token) == LabelCount("vip", 2)
        assert await side.query(GetLabel("new"), at_least=token) == LabelCount("new", 1)
        assert await side.query(GetLabel("old"), at_least=token) is None


async def test_the_rows_of_one_tenant_are_not_those_of_another(store: MemoryEventStore) -> None:
    account_id = uuid4()
    async with reading(store) as side:
        await append(store, Opened(account_id, "Ann"), tenant="a")
        await append(store, Opened(account_id, "Bea"), tenant="b")
        token = await append(store, Deposited(account_id, 5), tenant="b")
        ann = await side.query(GetAccount(account_id), at_least=token, tenant="a")
        bea = await side.query(GetAccount(account_id), at_least=token, tenant="b")
        nobody = await side.query(GetAccount(account_id), at_least=token)
        assert ann is not None
        assert bea is not None
        assert (ann.owner, ann.balance, bea.owner, bea.balance) == ("Ann", 0, "Bea", 5)
        assert nobody is None


async def test_a_row_knows_the_version_of_its_stream(store: MemoryEventStore) -> None:
    """Also of events that do not change it: or `If-Match` would fail for ever."""
    account_id = uuid4()
    async with reading(store) as side:
        await append(store, Opened(account_id, "Ann"), Deposited(account_id, 5))
        token = await append(store, Labelled(account_id, ("vip",)))
        found = await side.query(GetVersioned(account_id), at_least=token)
        assert found is not None
        assert (found.version, found.position) == (3, token.position)


async def test_a_row_of_a_stream_with_another_name_has_no_version(
    store: MemoryEventStore,
) -> None:
    account_id = uuid4()
    async with reading(store) as side:
        token = await append(store, Opened(account_id, "Ann"), stream="account-import")
        found = await side.query(GetVersioned(account_id), at_least=token)
        assert found is not None
        assert found.version is None


async def test_a_large_log_is_caught_up_in_growing_batches(store: MemoryEventStore) -> None:
    account_id = uuid4()
    await append(store, Opened(account_id, "Ann"))
    for _ in range(4):
        await append(store, *[Deposited(account_id, 1)] * 5_000)
    async with reading(store) as side:
        row = await side.query(GetAccount(account_id), at_least=await head_token(store))
        assert row is not None
        assert row.deposits == 20_000


async def test_two_views_are_projected_beside_each_other(store: MemoryEventStore) -> None:
    account_id = uuid4()
    queries = [
        answer(GetLabel, get_label, reads=[labels]),
        answer(GetAccount, get_account, reads=[accounts]),
    ]
    async with reading(store, models=[accounts, labels], queries=queries) as side:
        token = await append(store, Opened(account_id, "Ann"), Labelled(account_id, ("vip",)))
        assert await side.query(GetLabel("vip"), at_least=token) == LabelCount("vip", 1)
        assert await side.query(GetAccount(account_id), at_least=token) is not None
