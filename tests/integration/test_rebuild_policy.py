"""`View(rebuild=)`: what is done where there is no table for this code yet."""

from typing import Any

import pytest

from diptych.errors import ConfigurationError, RebuildRequired, ViewNotReady
from diptych.operations import Operations
from diptych.read.query import answer
from diptych.read.readiness import State
from diptych.read.rows import Rows
from diptych.read.view import View
from diptych.store.memory import MemoryEventStore
from diptych.testing.waiting import wait_until
from tests.integration.accounts import (
    SOON,
    Account,
    GetAccount,
    Opened,
    account_view,
    append,
    held_by,
    reading,
)
from tests.integration.conftest import AnyDatabase
from tests.integration.rebuilds import caught_up, some_accounts
from tests.integration.test_projector_revisions import NEW, GetRicher


def code(view: View[Account]) -> dict[str, Any]:
    async def get(query: GetAccount, rows: Rows) -> Account | None:
        return await rows.get(view, query.account_id)

    return {"models": [view], "queries": [answer(GetAccount, get, reads=[view])], "lease_ttl": 0.5}


ASK, NEVER = code(account_view(rebuild="ask")), code(account_view(rebuild="never"))


async def test_a_view_that_asks_is_not_built_before_the_command_and_serves_after_it(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    ids = await some_accounts(store)
    async with reading(store, database=any_database(), **ASK) as side:
        with pytest.raises(ViewNotReady):
            await side.query(GetAccount(ids[0]), timeout=SOON)
        found = await side.readiness()
        assert not found.ready
        assert [each.state for each in found.views] == [State.UNBUILT]
        assert not held_by(side)
        async with reading(store, database=any_database(), **ASK, project=False) as operator:
            (rebuilt,) = await Operations(operator).rebuild(["accounts"])
        assert (rebuilt.revision, rebuilt.replaced, rebuilt.serving) == (1, None, True)
        await wait_until(lambda: len(held_by(side)) == 1)
        assert (await side.readiness()).ready
        token = await append(store, Opened(ids[-1], "Bea"))
        row = await side.query(GetAccount(ids[-1]), at_least=token)
        assert row is not None
        assert row.owner == "Bea"


async def test_a_view_that_asks_is_projected_where_its_table_is_there(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    """On an empty log it is complete at once, and after a restart it goes on."""
    async with reading(store, database=any_database(), **ASK) as side:
        ids = await some_accounts(store, 2)
        await caught_up(side, store)
    async with reading(store, database=any_database(), **ASK) as side:
        token = await append(store, Opened(ids[0], "Bea"))
        assert await side.query(GetAccount(ids[0]), at_least=token) is not None


async def test_code_that_must_be_rebuilt_for_is_not_opened_before(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    """Meanwhile the old code serves, from a table of its own."""
    ids = await some_accounts(store)
    async with reading(store, database=any_database(), **NEW) as old:
        for project in (True, False):
            with pytest.raises(RebuildRequired, match="diptych rebuild accounts"):
                async with reading(store, database=any_database(), **NEVER, project=project):
                    pass
        async with reading(store, database=any_database(), **NEVER, operating=True) as operator:
            (rebuilt,) = await Operations(operator).rebuild(["accounts"])
        assert (rebuilt.serving, rebuilt.replaced) == (True, None)
        assert await old.query(GetRicher(ids[0])) is not None
        async with reading(store, database=any_database(), **NEVER) as side:
            assert (await side.readiness()).ready
            assert await side.query(GetAccount(ids[0])) is not None


async def test_what_is_built_for_another_rule_is_compared_by_its_rows_which_may_differ(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    await some_accounts(store)
    async with reading(store, database=any_database(), **NEW) as old:
        await caught_up(old, store)
    async with reading(store, database=any_database(), **NEVER, operating=True) as operator:
        (rebuilt,) = await Operations(operator).rebuild(["accounts"], only_if_equal=True)
    found = rebuilt.verification
    assert found is not None
    assert (found.expected, found.finding, found.compared) == (True, False, 0)
    assert [(each.rows, each.before) for each in found.counted] == [(29, 29)]


async def test_an_operator_opens_without_projecting(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    await some_accounts(store, 2)
    async with reading(store, database=any_database(), operating=True) as side:
        assert side._running is not None
        assert side._running.projecting is None


def test_another_word_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="rebuild= is one of"):
        account_view(rebuild="sometimes")


def test_when_it_is_built_is_no_part_of_what_it_is() -> None:
    assert account_view(rebuild="ask").fingerprint == account_view().fingerprint
