"""Rebuilding a view by command: beside the one that serves, compared with it, and in its place."""

import asyncio
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from diptych.errors import ProjectionStopped, RebuildRunning, StorageBusy, UnknownView
from diptych.failpoints import FailpointError, armed, fail
from diptych.operations import Operations
from diptych.read.builder import Builder
from diptych.read.building import Building
from diptych.read.database import ReadDatabase
from diptych.read.flip import Flip
from diptych.read.progress import Meter, Progress
from diptych.read.schema import WORKERS
from diptych.read.throttle import Throttle
from diptych.store.contract import EventStore
from diptych.store.memory import MemoryEventStore
from diptych.testing.waiting import wait_until
from tests.integration.accounts import (
    Deposited,
    GetAccount,
    Opened,
    account_view,
    accounts,
    all_accounts,
    append,
    expected_accounts,
    head_token,
    held_by,
    labels,
    projector_of,
    reading,
)
from tests.integration.conftest import AnyDatabase
from tests.integration.rebuilds import (
    LONG,
    Live,
    caught_up,
    operator,
    process,
    revisions,
    some_accounts,
)
from tests.integration.test_projector_tables import QUERIES as SPEND_QUERIES
from tests.integration.test_projector_tables import GetTotals, spend


async def spoil(database: ReadDatabase, revision: int) -> None:
    """As somebody does who mends rows by hand."""
    table = accounts.bind(revision, database.dialect).table.table
    async with database.transaction() as tx:
        first = sa.select(sa.func.min(table.c._position)).scalar_subquery()
        await tx.execute(sa.update(table).where(table.c._position == first).values(balance=77))


async def test_a_rebuilt_view_is_the_fold_over_the_log_and_serves_in_place_of_the_one_before(
    any_store: EventStore, any_database: AnyDatabase
) -> None:
    await some_accounts(any_store)
    database = any_database()
    async with process(any_store, database) as side:
        await caught_up(side, any_store)
        await spoil(database, 1)
        assert await all_accounts(side) != await expected_accounts(any_store)
        async with operator(any_store, any_database()) as operations:
            (rebuilt,) = await operations.rebuild(["accounts"])
        head = await any_store.head()
        assert (rebuilt.view, rebuilt.revision, rebuilt.replaced) == ("accounts", 2, 1)
        assert (rebuilt.serving, rebuilt.position, rebuilt.parked) == (True, head.position, 0)
        assert await revisions(database) == [(1, "retired"), (2, "serving")]
        assert await all_accounts(side) == await expected_accounts(any_store)


async def test_running_processes_follow_the_flip(
    any_store: EventStore, any_database: AnyDatabase
) -> None:
    """The one that projects, and the one that only answers."""
    (account_id, *_) = await some_accounts(any_store)
    async with (
        process(any_store, any_database()) as side,
        process(any_store, any_database(), project=False) as answering,
    ):
        await caught_up(side, any_store)
        async with operator(any_store, any_database()) as operations:
            await operations.rebuild(["accounts"])
        token = await append(any_store, Deposited(account_id, 1))
        for each in (side, answering):
            row = await each.query(GetAccount(account_id), at_least=token, timeout=LONG)
            assert row is not None
            assert row.balance == 7
            (status,) = (await each.readiness()).views
            assert (status.revision, status.position) == (2, token.position)
            assert (await each.readiness()).ready
        assert {slot.revision for slot in held_by(side)} == {2}


async def test_whoever_waits_for_a_token_across_the_flip_gets_it(
    any_store: EventStore, any_database: AnyDatabase
) -> None:
    """An old projector that has the event, and is kept from writing it until the flip is over."""
    (account_id, *_) = await some_accounts(any_store, 3)
    async with (
        process(any_store, any_database()) as side,
        process(any_store, any_database(), project=False) as answering,
        operator(any_store, any_database()) as operations,
    ):
        await caught_up(side, any_store)
        asked: list[asyncio.Task[Any]] = []

        def write_and_ask() -> None:
            asked.append(asyncio.create_task(written_and_read()))

        async def written_and_read() -> int:
            token = await append(any_store, Deposited(account_id, 1))
            query = GetAccount(account_id)
            rows = await asyncio.gather(
                *(each.query(query, at_least=token, timeout=LONG) for each in (side, answering))
            )
            assert rows[0] == rows[1]
            return rows[0].balance if rows[0] else 0

        with armed("flip.before_commit", write_and_ask):
            await operations.rebuild(["accounts"])
        async with asyncio.timeout(2):
            assert await asked[0] == 7


async def test_several_views_are_built_by_one_reading(
    store: MemoryEventStore, any_database: AnyDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    await some_accounts(store)
    models = [accounts, account_view(name="copies"), labels]
    async with process(store, any_database(), models=models) as side:
        await caught_up(side, store)
        async with operator(store, any_database(), models=models) as operations:
            read, pages = store.read, list[frozenset[str]]()

            async def counted(**asked: Any) -> Any:
                if asked.get("limit", 1) > 1 and not asked["after"].position:
                    pages.append(asked["categories"])
                return await read(**asked)

            monkeypatch.setattr(store, "read", counted)
            rebuilt = await operations.rebuild(["copies", "labels", "accounts", "copies"])
        assert [each.view for each in rebuilt] == ["copies", "labels", "accounts"]
        assert pages == [frozenset({"account"})]
        assert await all_accounts(side) == await expected_accounts(store)


async def test_what_was_changed_by_hand_is_reported_by_key_and_field(live: Live) -> None:
    await spoil(live.database, 1)
    table = accounts.bind(1, live.database.dialect).table.table
    async with live.database.transaction() as tx:
        last = sa.select(sa.func.max(table.c._position)).scalar_subquery()
        await tx.execute(sa.delete(table).where(table.c._position == last))
    (rebuilt,) = await live.operations.rebuild(["accounts"])
    found = rebuilt.verification
    assert found is not None
    assert found.finding
    assert (found.against, found.expected, found.same_place) == (1, False, True)
    assert [(each.rows, each.before) for each in found.counted] == [(29, 28)]
    problems = {(each.problem, each.fields) for each in found.differences}
    assert problems == {("changed", ("balance",)), ("surplus", ())}
    assert found.different == 2


async def test_a_view_that_is_as_it_was_is_no_finding(live: Live) -> None:
    (rebuilt,) = await live.operations.rebuild(["accounts"])
    found = rebuilt.verification
    assert found is not None
    assert not found.finding
    assert (found.compared, found.different) == (29, 0)


async def test_one_that_differs_is_kept_from_serving_where_that_was_asked(live: Live) -> None:
    await spoil(live.database, 1)
    (kept,) = await live.operations.rebuild(["accounts"], only_if_equal=True)
    assert (kept.serving, kept.replaced, kept.revision) == (False, None, 2)
    assert await revisions(live.database) == [(1, "serving"), (2, "building")]
    (rebuilt,) = await live.operations.rebuild(["accounts"])
    assert (rebuilt.serving, rebuilt.replaced, rebuilt.revision) == (True, 1, 2)
    assert await all_accounts(live.side) == await expected_accounts(live.store)


@pytest.mark.parametrize(
    "where",
    [
        "rebuild.before_claim",
        "rebuild.after_claim",
        "rebuild.after_read",
        "rebuild.before_write",
        "rebuild.before_commit",
        "rebuild.after_commit",
        "rebuild.after_verify",
        "flip.before_begin",
        "flip.before_commit",
    ],
)
async def test_a_rebuild_that_failed_anywhere_goes_on_where_it_was(live: Live, where: str) -> None:
    with armed(where, fail), pytest.raises(FailpointError):
        await live.operations.rebuild(["accounts"])
    token = await append(live.store, Deposited(live.ids[0], 5))
    assert await all_accounts(live.side, token) == await expected_accounts(live.store)
    (rebuilt,) = await live.operations.rebuild(["accounts"])
    assert await revisions(live.database) == [(1, "retired"), (rebuilt.revision, "serving")]
    assert await all_accounts(live.side, await head_token(live.store)) == await expected_accounts(
        live.store
    )


async def test_a_flip_that_is_committed_stands_though_its_rebuild_failed(live: Live) -> None:
    with armed("flip.after_commit", fail), pytest.raises(FailpointError):
        await live.operations.rebuild(["accounts"])
    assert await revisions(live.database) == [(1, "retired"), (2, "serving")]
    await append(live.store, Opened(uuid4(), "Bea"))
    assert await all_accounts(live.side, await head_token(live.store)) == await expected_accounts(
        live.store
    )


async def test_two_rebuilds_at_once_are_refused(live: Live) -> None:
    async with Builder(live.side.means).claimed([accounts]):
        with pytest.raises(RebuildRunning, match=r"is being built by .*/"):
            await live.operations.rebuild(["accounts"])
    (rebuilt,) = await live.operations.rebuild(["accounts"])
    assert rebuilt.serving


async def test_all_views_are_claimed_or_none(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    models = [accounts, labels]
    database = any_database()
    async with (
        process(store, database, models=models) as side,
        operator(store, any_database(), models=models) as operations,
    ):
        async with Builder(side.means).claimed([labels]):
            with pytest.raises(RebuildRunning):
                await operations.rebuild(["accounts", "labels"])
        assert [status for _, status in await revisions(database)].count("building") == 1


async def test_a_builder_that_was_overtaken_changes_nothing_and_says_so(live: Live) -> None:
    """It was paused for longer than its lease, and another has begun meanwhile."""
    async with Builder(live.side.means).claimed([accounts]) as candidates:
        async with live.database.transaction() as tx:
            await tx.execute(sa.update(WORKERS).values(alive_until=0.0))
        (rebuilt,) = await live.operations.rebuild(["accounts"])
        building = Building(live.side.means, "", Throttle(), Meter("", None))
        with pytest.raises(RebuildRunning):
            await building.catch_up(candidates)
        with pytest.raises(RebuildRunning):
            await Flip(candidates[0], building, None).run()
    assert rebuilt.serving
    assert await all_accounts(live.side) == await expected_accounts(live.store)


async def test_a_view_that_is_still_being_built_by_live_workers_is_left_to_them(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    await some_accounts(store, 3)
    with armed("projector.after_read", fail, times=10**9):
        async with (
            process(store, any_database()) as side,
            operator(store, any_database()) as operations,
        ):
            with pytest.raises(RebuildRunning):
                await operations.rebuild(["accounts"])
            assert [status for _, status in await revisions(side.means.database)] == ["building"]


async def test_what_does_not_exist_cannot_be_rebuilt(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    async with operator(store, any_database()) as operations:
        with pytest.raises(UnknownView) as unknown:
            await operations.rebuild(["accounts", "orders"])
        assert (unknown.value.name, unknown.value.known) == ("orders", ("accounts",))
        assert await revisions(operations._read.means.database) == [(1, "serving")]


async def test_an_event_that_cannot_be_applied_stops_the_rebuild_and_not_the_view(
    live: Live, caplog: pytest.LogCaptureFixture
) -> None:
    """The old revision goes on; and stops there, too, when it gets there."""
    before = await all_accounts(live.side)
    await append(live.store, Deposited(live.ids[0], -1))
    with pytest.raises(ProjectionStopped) as stopped:
        await live.operations.rebuild(["accounts"])
    assert stopped.value.position == (await live.store.head()).position
    assert await all_accounts(live.side) == before
    assert projector_of(live.side).target.revision == 1


async def test_a_view_in_partitions_is_built_as_a_whole(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    await some_accounts(store)
    split = account_view(partitions=3)
    # the queries of the example read `accounts`, so the split one is compared by itself
    async with (
        process(store, any_database(), models=[split], queries=[]) as side,
        operator(store, any_database(), models=[split], queries=[]) as operations,
    ):
        await caught_up(side, store)
        (rebuilt,) = await operations.rebuild(["accounts"])
        assert rebuilt.verification is not None
        assert (rebuilt.verification.compared, rebuilt.verification.different) == (29, 0)
        await wait_until(lambda: {slot.revision for slot in held_by(side)} == {2})
        assert len(held_by(side)) == 3
        await append(store, Opened(uuid4(), "Bea"))
        await caught_up(side, store)


async def test_progress_is_told_from_the_beginning_to_the_end(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    await some_accounts(store)
    told: list[Progress] = []
    async with (
        process(store, any_database()) as side,
        operator(store, any_database()) as operations,
    ):
        await caught_up(side, store)
        await operations.rebuild(["accounts"], on_progress=told.append)
    assert told[-1].share == 1.0
    assert told[-1].total == (await store.head()).position
    assert {each.what for each in told} == {"building"}


async def test_a_rebuild_in_the_process_that_projects(live: Live) -> None:
    await Operations(live.side).rebuild(["accounts"])
    token = await append(live.store, Deposited(live.ids[0], 1))
    assert await all_accounts(live.side, token) == await expected_accounts(live.store)


async def test_rebuilds_again_and_again(store: MemoryEventStore, any_database: AnyDatabase) -> None:
    await some_accounts(store, 3)
    database = any_database()
    async with process(store, database) as side:
        for _ in range(3):
            await caught_up(side, store)
            await Operations(side).rebuild(["accounts"])
            await append(store, Opened(uuid4(), "Bea"))
        assert await all_accounts(side, await head_token(store)) == await expected_accounts(store)
        statuses = [status for _, status in await revisions(database)]
    assert statuses == ["retired"] * 3 + ["serving"]


async def test_a_projection_in_sql_is_rebuilt_too(store: MemoryEventStore, tmp_path: Path) -> None:
    """Its rows are counted; what they say is its own business."""
    ids = await some_accounts(store, 5)
    options: dict[str, Any] = {"models": [spend], "queries": SPEND_QUERIES, "lease_ttl": 0.5}
    async with reading(store, path=tmp_path / "read.db", **options) as side:
        await caught_up(side, store)
        (rebuilt,) = await Operations(side).rebuild(["spend"])
        found = rebuilt.verification
        assert found is not None
        assert (found.finding, found.compared) == (False, 0)
        assert [(each.rows, each.before) for each in found.counted] == [(1, 1), (0, 0)]
        token = await append(store, Deposited(ids[0], 2))
        assert await side.query(GetTotals(), at_least=token) == {2: 16}
        await Operations(side).drop_revision(1)
        assert await side.query(GetTotals(), at_least=token) == {2: 16}


async def test_a_flip_that_met_another_transaction_head_on_is_tried_again(
    live: Live, caplog: pytest.LogCaptureFixture
) -> None:
    def met() -> None:
        raise StorageBusy("it was in a deadlock with another transaction")

    with armed("flip.before_commit", met, times=2):
        (rebuilt,) = await Operations(live.side).rebuild(["accounts"])
    assert rebuilt.serving
    assert await all_accounts(live.side) == await expected_accounts(live.store)
    assert caplog.text.count("a flip is tried again") == 2
