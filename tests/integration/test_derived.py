"""Views over views and sticky keys: one place, one revision, one error, on both read databases."""

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import pytest

from diptych.errors import ProjectionStopped
from diptych.read.projector import Status
from diptych.read.query import QueryHandler, answer
from diptych.read.readiness import State
from diptych.read.rows import Rows
from diptych.read.view import View
from diptych.store.contract import EventStore
from diptych.store.memory import MemoryEventStore
from diptych.testing.waiting import wait_until
from tests.integration.accounts import (
    Account,
    Closed,
    Deposited,
    GetAccount,
    Labelled,
    Opened,
    accounts,
    append,
    get_account,
    head_token,
    projector_of,
    reading,
)
from tests.integration.conftest import AnyDatabase
from tests.integration.owners import (
    GROUP,
    QUERIES,
    STICKY,
    GetOwner,
    GetTables,
    GetTurnovers,
    Owner,
    Turnover,
    expected_tables,
    expected_turnovers,
    project_owner,
    turnovers,
)

EMMA, FINN = UUID(int=1), UUID(int=2)


async def test_a_view_over_a_view_follows_every_change_of_its_rows(
    any_store: EventStore, any_database: AnyDatabase
) -> None:
    async with reading(any_store, models=GROUP, queries=QUERIES, database=any_database()) as side:
        await append(any_store, Opened(EMMA, "Ann"), Deposited(EMMA, 5), Labelled(EMMA, ("x",)))
        token = await append(any_store, Opened(FINN, "Ann"), Deposited(FINN, 2))
        found = await side.query(GetOwner("Ann"), at_least=token)
        assert found == Owner("Ann", 2, 7, 4)
        token = await append(any_store, Closed(EMMA))
        found = await side.query(GetOwner("Ann"), at_least=token)
        assert found == Owner("Ann", 1, 2, 5)
        token = await append(any_store, Opened(FINN, "Bea"))
        assert await side.query(GetOwner("Ann"), at_least=token) is None
        assert await side.query(GetOwner("Bea")) == Owner("Bea", 1, 0, 1)
        assert await side.query(GetTables()) == await expected_tables(any_store)


async def test_tenants_do_not_mix(store: MemoryEventStore, any_database: AnyDatabase) -> None:
    models, queries = [*GROUP, turnovers], [*QUERIES, *STICKY]
    async with reading(store, models=models, queries=queries, database=any_database()) as side:
        await append(store, Opened(EMMA, "Ann"), Deposited(EMMA, 5), tenant="a")
        token = await append(store, Opened(EMMA, "Ann"), Deposited(EMMA, 2), tenant="b")
        for tenant, balance in (("a", 5), ("b", 2)):
            found = await side.query(GetOwner("Ann"), at_least=token, tenant=tenant)
            assert found == Owner("Ann", 1, balance, 2)
            paid = await side.query(GetTurnovers(), at_least=token, tenant=tenant)
            assert paid == {"Ann": Turnover("Ann", balance, 2)}


async def test_views_of_a_group_are_at_one_place_at_any_time(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    """Accounts and what is summed up over them agree in every snapshot, caught up or not."""
    async with reading(store, models=GROUP, queries=QUERIES, database=any_database()) as side:
        for number in range(60):
            account_id = UUID(int=number % 5)
            await append(store, Opened(account_id, f"owner {number % 3}"), Deposited(EMMA, number))
            found = await side.query(GetTables())
            balance = sum(each.balance for each in found["accounts"].values())
            assert sum(each.balance for each in found["owners"].values()) == balance
            assert sum(each.balance for each in found["sizes"].values()) == balance


class Refused(Exception):
    pass


def refuse_third(row: Owner | None, before: Account | None, after: Account | None) -> Owner | None:
    if row is not None and row.changes == 2:
        raise Refused
    return project_owner(row, before, after)


def group_with(project: Any, **options: Any) -> tuple[list[View[Any]], list[QueryHandler]]:
    view = View("owners", source=accounts, row=Owner, key="owner", project=project, **options)

    async def get_owner(query: GetOwner, rows: Rows) -> Owner | None:
        return await rows.get(view, query.owner)

    handlers = [answer(GetOwner, get_owner, reads=[view])]
    return [accounts, view], [*handlers, answer(GetAccount, get_account, reads=[accounts])]


async def test_an_error_over_a_view_stops_the_group_before_the_event(
    store: MemoryEventStore, any_database: AnyDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    models, queries = group_with(refuse_third, version="1")
    await append(store, Opened(EMMA, "Ann"), Deposited(EMMA, 1))
    await append(store, Opened(FINN, "Bea"), Deposited(EMMA, 2), Deposited(FINN, 3))
    async with reading(store, models=models, queries=queries, database=any_database()) as side:
        await wait_until(lambda: projector_of(side).status is Status.STOPPED)
        status = (await side.readiness()).views
        assert [(view.name, view.over, view.state, view.position) for view in status] == [
            ("accounts", ("owners",), State.STOPPED, 3)
        ]
        with pytest.raises(ProjectionStopped) as stopped:
            await side.query(GetOwner("Ann"), at_least=await head_token(store))
        assert (stopped.value.projection, stopped.value.position) == ("accounts", 4)
        assert "Refused" in stopped.value.reason


async def test_a_changed_view_over_a_view_makes_the_whole_group_anew(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    def doubled(row: Owner | None, before: Account | None, after: Account | None) -> Owner | None:
        changed = project_owner(row, before, after)
        return changed and replace(changed, changes=changed.changes + 1)

    token = await append(store, Opened(EMMA, "Ann"), Deposited(EMMA, 1))
    old, new = group_with(project_owner), group_with(doubled, version="2")
    async with (
        reading(store, models=old[0], queries=old[1], database=any_database()) as before,
        reading(store, models=new[0], queries=new[1], database=any_database()) as after,
    ):
        assert await before.query(GetOwner("Ann"), at_least=token) == Owner("Ann", 1, 1, 2)
        assert await after.query(GetOwner("Ann"), at_least=token) == Owner("Ann", 1, 1, 4)
        for side in (before, after):
            found = await side.query(GetAccount(EMMA), at_least=token)
            assert found is not None
            assert found.balance == 1
    async with reading(store, models=[accounts], database=any_database()) as alone:
        found = await alone.query(GetAccount(EMMA), at_least=token)
        assert found is not None
        assert found.balance == 1


@dataclass(frozen=True)
class Amount:
    last_amount: int
    accounts: int


def count_amounts(
    row: Amount | None, before: Account | None, after: Account | None
) -> Amount | None:
    shown = after or before
    assert shown is not None
    assert shown.last_amount is not None
    count = (row.accounts if row else 0) + (after is not None) - (before is not None)
    return Amount(shown.last_amount, count) if count else None


async def test_a_source_row_whose_key_is_none_is_for_no_row(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    view = View("amounts", source=accounts, row=Amount, key="last_amount", project=count_amounts)

    async def get_amount(query: GetOwner, rows: Rows) -> Owner | None:
        found = await rows.get(view, int(query.owner))
        return found and Owner(query.owner, found.accounts, 0, 0)

    queries = [answer(GetOwner, get_amount, reads=[view])]
    async with reading(
        store, models=[accounts, view], queries=queries, database=any_database()
    ) as side:
        await append(store, Opened(EMMA, "Ann"), Opened(FINN, "Bea"))
        token = await append(store, Deposited(EMMA, 5), Deposited(FINN, 5))
        assert await side.query(GetOwner("5"), at_least=token) == Owner("5", 2, 0, 0)
        token = await append(store, Opened(EMMA, "Ann"), Closed(FINN))
        assert await side.query(GetOwner("5"), at_least=token) is None


async def test_events_without_the_key_are_for_the_row_that_their_stream_was_told_last(
    any_store: EventStore, any_database: AnyDatabase
) -> None:
    for _ in range(2):
        async with reading(
            any_store, models=[turnovers], queries=STICKY, database=any_database()
        ) as side:
            await append(any_store, Opened(EMMA, "Ann"), Deposited(EMMA, 5))
            await append(any_store, Opened(FINN, "Bea"), Deposited(EMMA, 2))
            token = await append(any_store, Opened(EMMA, "Bea"), Deposited(EMMA, 1))
            found = await side.query(GetTurnovers(), at_least=token)
            assert found == await expected_turnovers(any_store)
            token = await append(any_store, Deposited(EMMA, 4), Deposited(FINN, 3))


async def test_an_event_whose_stream_was_never_told_a_key_stops_the_view(
    store: MemoryEventStore, any_database: AnyDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    await append(store, Opened(EMMA, "Ann"))
    await append(store, Deposited(FINN, 1))
    async with reading(store, models=[turnovers], queries=STICKY, database=any_database()) as side:
        with pytest.raises(ProjectionStopped) as stopped:
            await side.query(GetTurnovers(), at_least=await head_token(store))
        assert stopped.value.position == 2
        assert "ConfigurationError" in stopped.value.reason
