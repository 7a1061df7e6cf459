"""Parking where views are over views, or keys are sticky; and an audit knows of it."""

from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from diptych.messages import RecordedEvent
from diptych.read.query import answer
from diptych.read.rows import Rows
from diptych.read.schema import DISCARDS, PARKED_EVENTS, PARKED_KEYS
from diptych.read.view import View
from diptych.store.memory import MemoryEventStore
from tests.integration.accounts import (
    Account,
    AccountEvent,
    Deposited,
    GetAccount,
    Labelled,
    Opened,
    account_events,
    append,
    reading,
)
from tests.integration.conftest import AnyDatabase
from tests.integration.owners import (
    GetOwner,
    GetTurnovers,
    Owner,
    Turnover,
    project_owner,
    project_turnover,
)
from tests.integration.parked import parked_keys, parked_positions, parking_view
from tests.integration.test_audit import LONG, by_hand, operations_of

EMMA, FINN = UUID(int=1), UUID(int=2)


class Superstitious(Exception):
    pass


def refuse_thirteen(
    row: Owner | None, before: Account | None, after: Account | None
) -> Owner | None:
    if after is not None and after.last_amount == 13:
        raise Superstitious
    return project_owner(row, before, after)


async def test_an_error_over_a_view_parks_the_key_of_the_root(
    store: MemoryEventStore, any_database: AnyDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    """Both accounts are Ann's: what is parked of one keeps nothing of the other from her row."""
    root = parking_view()
    over = View("owners", source=root, row=Owner, key="owner", project=refuse_thirteen, version="1")

    async def get_account(query: GetAccount, rows: Rows) -> Account | None:
        return await rows.get(root, query.account_id)

    async def get_owner(query: GetOwner, rows: Rows) -> Owner | None:
        return await rows.get(over, query.owner)

    queries = [
        answer(GetAccount, get_account, reads=[root]),
        answer(GetOwner, get_owner, reads=[over]),
    ]
    await append(store, Opened(EMMA, "Ann"), Deposited(EMMA, 1))
    await append(store, Opened(FINN, "Ann"), Deposited(EMMA, 13), Deposited(FINN, 2))
    token = await append(store, Deposited(EMMA, 5), Deposited(FINN, 3))
    database = any_database()
    async with reading(store, models=[over, root], queries=queries, database=database) as side:
        await side.reached(token.position, timeout=LONG)
        assert [(key.tenant, key.events) for key in await parked_keys(side)] == [("", 2)]
        assert await parked_positions(side) == [4, 6]
        finn = await side.query(GetAccount(FINN), at_least=token)
        assert finn is not None
        assert finn.balance == 5
        ann = (await side.ask(GetOwner("Ann"))).value
        assert ann == Owner("Ann", 2, 6, 5)
        for view in ("accounts", "owners"):
            for sample in (None, 10):
                found = await operations_of(side).audit(view, sample=sample)
                assert found.equal, found
        await by_hand(database, root, lambda t: sa.update(t).values(balance=t.c.balance + 13))
        assert (await operations_of(side).audit("accounts")).different == 2
        await operations_of(side).rebuild_key("accounts", EMMA)
        await operations_of(side).rebuild_key("accounts", FINN)
        assert (await operations_of(side).audit("accounts")).equal
        assert await parked_positions(side) == [4, 6]


def refuse_bob(row: Turnover | None, event: AccountEvent, recorded: RecordedEvent) -> Turnover:
    if isinstance(event, Opened) and event.owner == "Bob":
        raise Superstitious
    return project_turnover(row, event, recorded)


async def test_events_that_are_parked_tell_sticky_keys_all_the_same(
    store: MemoryEventStore, any_database: AnyDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    view: View[Turnover] = View(
        "turnovers",
        events=[account_events],
        row=Turnover,
        key="owner",
        sticky=True,
        project=refuse_bob,
        version="1",
        on_error="park",
    )

    async def get(query: GetTurnovers, rows: Rows) -> Any:
        return {row.owner: row for row in (await rows.page(view)).items}

    queries = [answer(GetTurnovers, get, reads=[view])]
    await append(store, Opened(EMMA, "Ann"), Deposited(EMMA, 1))
    await append(store, Opened(EMMA, "Bob"))
    await append(store, Deposited(EMMA, 2))
    token = await append(store, Opened(EMMA, "Ann"), Deposited(EMMA, 4))
    async with reading(store, models=[view], queries=queries, database=any_database()) as side:
        await side.reached(token.position, timeout=LONG)
        assert await parked_positions(side) == [3, 4]
        found = (await side.ask(GetTurnovers())).value
        assert found == {"Ann": Turnover("Ann", 5, 4)}
        assert (await operations_of(side).audit("turnovers")).equal
        assert (await operations_of(side).audit("turnovers", sample=10)).equal


async def test_an_audit_passes_over_what_was_discarded(
    store: MemoryEventStore, any_database: AnyDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    """As `discard` leaves it: what was parked is not applied, what comes after it is."""
    view = parking_view()
    token = await append(store, Opened(EMMA, "Ann"), Deposited(EMMA, -1), Labelled(EMMA, ("x",)))
    database = any_database()
    async with reading(store, models=[view], queries=(), database=database) as side:
        await side.reached(token.position, timeout=LONG)
        (key,) = await parked_keys(side)
    async with reading(store, models=[view], queries=(), database=database, project=False) as side:
        async with database.transaction() as tx:
            told = {"key_id": key.key_id, "revision": key.revision, "first_position": 2}
            said = {"view": "accounts", "tenant": "", "key": key.key, "error": "", "reason": "x"}
            at = {"positions": "[2, 3]", "discarded_at": "2026-11-01T00:00:00+00:00"}
            await tx.execute(sa.insert(DISCARDS).values(**told, **said, **at))
            await tx.execute(sa.delete(PARKED_KEYS))
            await tx.execute(sa.delete(PARKED_EVENTS))
        await by_hand(database, view, lambda t: sa.update(t).values(_version=3))
        assert (await operations_of(side).audit("accounts")).equal
        assert (await operations_of(side).rebuild_key("accounts", EMMA)).problem == ""
        await by_hand(database, view, lambda t: sa.update(t).values(balance=-1))
        rebuilt = await operations_of(side).rebuild_key("accounts", EMMA)
        assert (rebuilt.problem, rebuilt.fields) == ("different", ("balance",))
