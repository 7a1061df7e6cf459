"""Revisions: old and new code beside each other, each with the table of its own fingerprint."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from diptych.errors import ViewNotReady
from diptych.failpoints import FailpointError, armed, fail
from diptych.messages import RecordedEvent
from diptych.read.query import Query, answer
from diptych.read.rows import Rows
from diptych.read.view import View
from diptych.sqlite_library import sqlite
from diptych.store.memory import MemoryEventStore
from tests.integration.accounts import (
    SOON,
    AccountEvent,
    Closed,
    Deposited,
    GetAccount,
    Opened,
    account_events,
    accounts,
    append,
    head_token,
    reading,
)


@dataclass(frozen=True)
class Richer:
    """The row of the new code: another column, another index."""

    account_id: UUID
    owner: str
    total: int
    vip: bool


def project_richer(
    row: Richer | None, event: AccountEvent, recorded: RecordedEvent
) -> Richer | None:
    match event:
        case Opened(account_id=account_id, owner=owner):
            return Richer(account_id, owner, 0, False)
        case Deposited(amount=amount):
            return row and replace(row, total=row.total + amount, vip=row.total + amount > 10)
        case Closed():
            return None
        case _:
            return row


new_accounts = View(
    "accounts",
    events=[account_events],
    row=Richer,
    key="account_id",
    project=project_richer,
    indexes=[("vip", "total")],
)


@dataclass(frozen=True)
class GetRicher(Query[Richer | None]):
    account_id: UUID


async def get_richer(query: GetRicher, rows: Rows) -> Richer | None:
    return await rows.get(new_accounts, query.account_id)


NEW: dict[str, Any] = {
    "models": [new_accounts],
    "queries": [answer(GetRicher, get_richer, reads=[new_accounts])],
}


def tables(path: Path) -> set[str]:
    db = sqlite.connect(path)
    found = db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    db.close()
    return {name for (name,) in found}


async def test_old_and_new_code_each_read_their_own_revision(
    store: MemoryEventStore, tmp_path: Path
) -> None:
    """On the same file, at the same time, while events come in."""
    path = tmp_path / "read.db"
    account_id = uuid4()
    await append(store, Opened(account_id, "Ann"), Deposited(account_id, 5))
    async with reading(store, path=path) as old:
        assert (await old.query(GetAccount(account_id))) is not None
        async with reading(store, path=path, **NEW) as new:
            for total in range(6, 30):
                token = await append(store, Deposited(account_id, 1))
                before = await old.query(GetAccount(account_id), at_least=token)
                after = await new.query(GetRicher(account_id), at_least=token)
                assert before is not None
                assert before.balance == total
                assert after == Richer(account_id, "Ann", total, total > 10)


async def test_going_back_to_the_old_code_finds_its_revision_and_catches_up(
    store: MemoryEventStore, tmp_path: Path
) -> None:
    path = tmp_path / "read.db"
    account_id = uuid4()
    await append(store, Opened(account_id, "Ann"))
    async with reading(store, path=path) as side:
        await side.query(GetAccount(account_id))
    await append(store, Deposited(account_id, 5))
    async with reading(store, path=path, **NEW) as side:
        assert (await side.query(GetRicher(account_id))) is not None
    await append(store, Deposited(account_id, 5))
    before = tables(path)
    async with reading(store, path=path) as side:
        row = await side.query(GetAccount(account_id))
        assert row is not None
        assert row.balance == 10
    assert tables(path) == before


async def test_the_same_code_finds_its_table_again(store: MemoryEventStore, tmp_path: Path) -> None:
    path = tmp_path / "read.db"
    await append(store, Opened(uuid4(), "Ann"))
    for _ in range(3):
        async with reading(store, path=path) as side:
            await side.query(GetAccount(uuid4()), at_least=await head_token(store))
            (status,) = (await side.readiness()).views
            assert (status.revision, status.fingerprint) == (1, accounts.fingerprint)
    assert {name for name in tables(path) if name.startswith("accounts__")} == {
        "accounts__1",
        *(f"accounts__1__words{part}" for part in ("", "_config", "_data", "_idx")),
    }


async def test_a_crash_while_a_revision_is_made_leaves_nothing_of_it(
    store: MemoryEventStore, tmp_path: Path
) -> None:
    path = tmp_path / "read.db"
    async with reading(store, path=path):
        before = tables(path)
    with armed("register.before_commit", fail), pytest.raises(FailpointError):
        async with reading(store, path=path, **NEW):
            pass
    assert tables(path) == before
    async with reading(store, path=path, **NEW) as side:
        assert await side.query(GetRicher(uuid4())) is None


async def test_a_build_that_was_cut_off_goes_on_and_is_not_served_before_its_end(
    store: MemoryEventStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "read.db"
    account_id = uuid4()
    await append(store, Opened(account_id, "Ann"))
    for _ in range(30):
        await append(store, *[Deposited(account_id, 1)] * 100)
    with armed("projector.before_commit", fail, on=3, times=10**9):
        async with reading(store, path=path) as side:
            with pytest.raises(ViewNotReady) as building:
                await side.query(GetAccount(account_id), timeout=SOON)
            assert building.value.head == 3001
    async with reading(store, path=path) as side:
        row = await side.query(GetAccount(account_id))
        assert row is not None
        assert row.deposits == 3000
