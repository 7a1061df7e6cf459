"""Rebuilding what cannot all be applied, what is paused, and what a restored log has no more."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from diptych.errors import CheckpointDiverged, DeliveryGap, ProjectionStopped, ViewPaused
from diptych.failpoints import armed
from diptych.operations import Operations
from diptych.read.pausing import pause, resume
from diptych.read.query import answer
from diptych.read.rows import Rows
from diptych.read.schema import CHECKPOINTS
from diptych.read.view import View
from diptych.store.contract import LogPage
from diptych.store.memory import MemoryEventStore
from diptych.testing.waiting import wait_until
from tests.integration.accounts import (
    Account,
    Deposited,
    GetAccount,
    Opened,
    account_view,
    all_accounts,
    append,
    expected_accounts,
    head_token,
    held_by,
    reading,
)
from tests.integration.conftest import AnyDatabase
from tests.integration.owners import (
    GetTables,
    GetTurnovers,
    expected_tables,
    expected_turnovers,
    owners,
    turnovers,
)
from tests.integration.parked import parked_keys, parking_view
from tests.integration.rebuilds import (
    Live,
    caught_up,
    process,
    revisions,
    some_accounts,
)
from tests.integration.test_derived import GROUP, STICKY
from tests.integration.test_derived import QUERIES as GROUP_QUERIES

LATE = 0.001


def code(view: View[Account]) -> dict[str, Any]:
    async def get(query: GetAccount, rows: Rows) -> Account | None:
        return await rows.get(view, query.account_id)

    return {"models": [view], "queries": [answer(GetAccount, get, reads=[view])], "lease_ttl": 0.5}


PARKS = code(parking_view())


async def test_keys_that_are_parked_are_parked_in_the_new_revision_too_and_counted(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    """While events of other keys go on to come in."""
    ids = await some_accounts(store, 10)
    bad, good = ids[0], ids[1]
    async with (
        reading(store, database=any_database(), **PARKS) as side,
        reading(store, database=any_database(), **PARKS, operating=True) as other,
    ):
        await caught_up(side, store)
        await append(store, Deposited(bad, -1))
        await append(store, Deposited(bad, 5))
        await caught_up(side, store)
        writing = asyncio.create_task(deposits(store, good))
        (rebuilt,) = await Operations(other).rebuild(["accounts"])
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        assert (rebuilt.serving, rebuilt.parked) == (True, 1)
        await caught_up(side, store)
        kept = await parked_keys(side)
        assert [(each.revision, each.events) for each in kept] == [(1, 2), (2, 2)]
        await wait_until(lambda: {slot.revision for slot in held_by(side)} == {2})
        token = await append(store, Deposited(good, 1))
        row = await side.query(GetAccount(good), at_least=token)
        expected = 0
        async for page in pages(store):
            expected += sum(event.stream.endswith(str(good)) for event in page)
        assert row is not None
        assert row.deposits == expected - 1


async def deposits(store: MemoryEventStore, account: Any) -> None:
    while True:
        await append(store, Deposited(account, 1))
        await asyncio.sleep(LATE)


async def pages(store: MemoryEventStore) -> Any:
    yield (await store.read(limit=10_000)).events


async def test_a_paused_view_is_not_rebuilt(live: Live) -> None:
    await pause(live.database, "accounts", reason="", at=live.side.means.clock.now())
    with pytest.raises(ViewPaused):
        await live.operations.rebuild(["accounts"])
    assert await revisions(live.database) == [(1, "serving")]
    await resume(live.database, "accounts")
    (rebuilt,) = await live.operations.rebuild(["accounts"])
    assert rebuilt.serving


async def test_a_pause_ends_a_rebuild_which_goes_on_behind_it(live: Live) -> None:
    paused: list[asyncio.Task[bool]] = []

    def pause_it() -> None:
        at = live.side.means.clock.now()
        paused.append(asyncio.create_task(pause(live.database, "accounts", reason="", at=at)))

    async def after_the_pause() -> None:
        await asyncio.gather(*paused)

    decode = live.side._models[0].decode

    async def late(events: Any) -> Any:
        await after_the_pause()
        return await decode(events)

    with armed("rebuild.after_read", pause_it), pytest.MonkeyPatch.context() as patched:
        patched.setattr(live.side._models[0], "decode", late)
        with pytest.raises(ViewPaused):
            await live.operations.rebuild(["accounts"])
    await resume(live.database, "accounts")
    (rebuilt,) = await live.operations.rebuild(["accounts"])
    assert rebuilt.serving
    assert await all_accounts(live.side) == await expected_accounts(live.store)


async def test_a_view_that_was_stopped_is_well_once_it_is_rebuilt_by_code_that_can(
    store: MemoryEventStore, any_database: AnyDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    """The same rule, in code that parks now: the row of the other key was never wrong."""
    ids = await some_accounts(store, 3)
    async with process(store, any_database()) as side:
        await append(store, Deposited(ids[0], -1))
        token = await append(store, Deposited(ids[1], 1))
        await wait_until(lambda: "stopped at position" in caplog.text)
        with pytest.raises(ProjectionStopped):
            await side.query(GetAccount(ids[1]), at_least=token)
        async with reading(store, database=any_database(), **PARKS, operating=True) as other:
            (rebuilt,) = await Operations(other).rebuild(["accounts"])
        assert (rebuilt.serving, rebuilt.parked) == (True, 1)
        row = await side.query(GetAccount(ids[1]), at_least=token)
        assert row is not None
        assert row.balance == 7


async def test_a_view_that_is_newer_than_its_log_is_rebuilt_from_what_the_log_has(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    """After a restore: it neither goes on nor answers, until it is rebuilt."""
    await some_accounts(store, 3)
    database = any_database()
    async with process(store, database) as side:
        await caught_up(side, store)
    async with reading(store, database=database, project=False), database.transaction() as tx:
        await tx.execute(sa.update(CHECKPOINTS).values(position=10_000))
    async with process(store, any_database()) as side:
        token = await head_token(store)
        with pytest.raises(CheckpointDiverged):
            await all_accounts(side, token)
        (rebuilt,) = await Operations(side).rebuild(["accounts"])
        assert (rebuilt.replaced, rebuilt.verification) == (1, None)
        assert await all_accounts(side, token) == await expected_accounts(store)
        await append(store, Opened(next(iter(await expected_accounts(store))), "Bea"))
        await caught_up(side, store)


async def test_what_an_earlier_rebuild_left_and_the_log_has_no_more_is_not_gone_on_with(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    await some_accounts(store, 3)
    database = any_database()
    view = account_view()
    async with process(store, database, models=[view], queries=[]) as side:
        await caught_up(side, store)
        operations = Operations(side)
        await operations.rebuild(["accounts"], only_if_equal=True)
        async with database.transaction() as tx:
            table = view.bind(2, database.dialect).table.table
            await tx.execute(sa.update(table).values(balance=1))
        await operations.rebuild(["accounts"], only_if_equal=True)
        async with database.transaction() as tx:
            at = CHECKPOINTS.c
            await tx.execute(
                sa.update(CHECKPOINTS)
                .where(at.revision == 3)
                .values(position=at.position + 5, event_id=store.log_id)
            )
        with pytest.raises(CheckpointDiverged):
            await operations.rebuild(["accounts"])
        (rebuilt,) = await operations.rebuild(["accounts"])
        assert rebuilt.serving
        assert rebuilt.revision > 3


async def test_a_group_is_rebuilt_as_one_with_the_keys_that_its_streams_were_told(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    """By the name of any of its views; those of the group and the sticky one in one reading."""
    models, queries = [*GROUP, turnovers], [*GROUP_QUERIES, *STICKY]
    database = any_database()
    async with reading(
        store, models=models, queries=queries, database=database, lease_ttl=0.5
    ) as side:
        for number in range(40):
            account_id = UUID(int=number % 9)
            await append(store, Opened(account_id, f"owner {number % 3}"), Deposited(account_id, 2))
        await caught_up(side, store)
        table = owners.bind(1, database.dialect).table.table
        async with database.transaction() as tx:
            await tx.execute(sa.update(table).values(balance=77))
        group, sticky = await Operations(side).rebuild(["sizes", "turnovers", "owners"])
        assert (group.view, sticky.view) == ("accounts", "turnovers")
        assert group.verification is not None
        changed = {(each.problem, each.fields) for each in group.verification.differences}
        assert changed == {("changed", ("balance",))}
        assert len(group.verification.counted) == 3
        assert sticky.verification is not None
        assert not sticky.verification.finding
        assert len(sticky.verification.counted) == 2
        assert await side.query(GetTables()) == await expected_tables(store)
        assert await side.query(GetTurnovers()) == await expected_turnovers(store)
        token = await append(store, Deposited(UUID(int=1), 5))
        assert await side.query(GetTables(), at_least=token) == await expected_tables(store)
        assert await side.query(GetTurnovers(), at_least=token) == await expected_turnovers(store)
        await Operations(side).drop_revision(1)
        assert len(await Operations(side).revisions()) == 3


async def test_a_page_that_does_not_follow_on_the_one_before_ends_the_rebuild_and_not_the_view(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is applied, and the next rebuild goes on where this one was."""
    read = live.store.read

    async def twice(**asked: Any) -> LogPage:
        page = await read(**asked)
        return LogPage([*page.events[:1], *page.events], page.scanned, page.head)

    with monkeypatch.context() as patched:
        patched.setattr(live.store, "read", twice)
        with pytest.raises(DeliveryGap):
            await Operations(live.side).rebuild(["accounts"])
    (rebuilt,) = await Operations(live.side).rebuild(["accounts"])
    assert rebuilt.serving
    assert await all_accounts(live.side) == await expected_accounts(live.store)
