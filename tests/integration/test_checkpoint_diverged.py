"""A log that lost events which a view has applied: found out, said aloud, and nothing skipped."""

import shutil
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa

from diptych.errors import CheckpointDiverged, TokenFromAnotherHistory
from diptych.read.readiness import State
from diptych.read.schema import CHECKPOINTS
from diptych.read.side import ReadSide
from diptych.store.memory import MemoryEventStore
from diptych.store.memory_log import MemoryLog
from diptych.store.sqlite.store import SqliteEventStore
from diptych.testing.waiting import wait_until
from diptych.tokens import Token
from tests.integration.accounts import (
    SOON,
    Deposited,
    GetAccount,
    ListAccounts,
    Opened,
    append,
    head_token,
    reading,
)
from tests.integration.conftest import AnyDatabase

LONG = timedelta(seconds=10)
ANN = uuid4()


async def fill(store: MemoryEventStore | SqliteEventStore) -> None:
    await append(store, Opened(ANN, "Ann"))
    await append(store, Deposited(ANN, 1))


def restore(store: MemoryEventStore) -> None:
    """The store as a backup after two events left it. Its followers are not told.

    It has the streams of those events too: what is appended has the versions that follow.
    """
    older = MemoryLog()
    older._extend(store._log.events[:2])
    store._log, store._visible = older, 2


async def is_refused(side: ReadSide) -> None:
    """What a view that shows lost events says to whoever asks, with a token or without."""
    with pytest.raises(CheckpointDiverged) as refused:
        await side.query(ListAccounts(), timeout=LONG)
    assert (refused.value.view, refused.value.position) == ("accounts", 3)
    with pytest.raises(CheckpointDiverged):
        await side.ask(GetAccount(ANN), timeout=LONG, on_timeout="stale")
    with pytest.raises(CheckpointDiverged):
        await side.reached(99, timeout=LONG)
    readiness = await side.readiness()
    assert not readiness.ready
    assert readiness.views[0].state is State.STOPPED
    assert readiness.views[0].error.startswith("CheckpointDiverged: view accounts")


async def position_of(side: ReadSide) -> int:
    async with side._database.snapshot() as snapshot:
        rows = await snapshot.execute(sa.select(CHECKPOINTS.c.position))
    return int(rows[0].position)


@pytest.mark.parametrize("project", [True, False])
@pytest.mark.parametrize("grows", [0, 1, 5])
async def test_it_is_found_out_at_start(
    store: MemoryEventStore, any_database: AnyDatabase, project: bool, grows: int
) -> None:
    """Also by a process that does not project, and also if the log has grown past it since."""
    await fill(store)
    async with reading(store, database=any_database()) as side:
        lost = await append(store, Deposited(ANN, 7))
        await side.query(GetAccount(ANN), at_least=lost)
    restore(store)
    for _ in range(grows):
        await append(store, Deposited(ANN, 1))
    async with reading(store, database=any_database(), project=project) as side:
        await is_refused(side)
        assert await position_of(side) == 3
        with pytest.raises(TokenFromAnotherHistory):
            await side.query(GetAccount(ANN), at_least=lost)


async def test_it_is_found_out_while_running_and_known_to_all(
    store: MemoryEventStore,
    any_database: AnyDatabase,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A log that is shorter than the checkpoint does not move: nothing else would wake anybody."""
    monkeypatch.setattr("diptych.read.projector._LOOK_AGAIN", 0.02)
    await fill(store)
    async with (
        reading(store, database=any_database()) as side,
        reading(store, database=any_database(), project=False) as other,
    ):
        lost = await append(store, Deposited(ANN, 7))
        await other.query(GetAccount(ANN), at_least=lost)
        restore(store)
        for each in (side, other):

            async def says_so(each: ReadSide = each) -> bool:
                return not (await each.readiness()).ready

            await wait_until(says_so)
            await is_refused(each)
        assert await position_of(side) == 3


async def test_a_backup_of_a_file_is_told_from_the_file(
    tmp_path: Path, any_database: AnyDatabase
) -> None:
    path, backup = tmp_path / "log.db", tmp_path / "backup.db"
    async with SqliteEventStore(path) as store:
        await fill(store)
    shutil.copy(path, backup)
    async with SqliteEventStore(path) as store, reading(store, database=any_database()) as side:
        lost = await append(store, Deposited(ANN, 7))
        await side.query(GetAccount(ANN), at_least=lost)
    shutil.copy(path, tmp_path / "newer.db")
    shutil.copy(backup, path)
    async with SqliteEventStore(path) as store:
        await append(store, Deposited(ANN, 1))
        async with reading(store, database=any_database()) as side:
            await is_refused(side)
    shutil.copy(tmp_path / "newer.db", path)
    async with SqliteEventStore(path) as store, reading(store, database=any_database()) as side:
        token = await append(store, Deposited(ANN, 1))

        async def goes_on() -> bool:
            return (await side.readiness()).ready

        await wait_until(goes_on)
        row = await side.query(GetAccount(ANN), at_least=token)
        assert row is not None
        assert (row.deposits, row.balance) == (3, 9)


async def test_a_view_that_is_behind_the_backup_goes_on(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    await fill(store)
    async with reading(store, database=any_database()) as side:
        await side.query(GetAccount(ANN), at_least=await head_token(store))
    await append(store, Deposited(ANN, 7))
    restore(store)
    await append(store, Deposited(ANN, 2))
    async with reading(store, database=any_database()) as side:
        row = await side.query(GetAccount(ANN), at_least=await head_token(store))
        assert row is not None
        assert row.balance == 3


async def test_views_that_are_restored_together_with_the_log_answer_without_a_restart(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    """As after a failover that lost the end of both: nobody waits for what was the head before."""
    await fill(store)
    lost = await append(store, Deposited(ANN, 7))
    async with reading(store, database=any_database()) as first:
        await first.query(GetAccount(ANN), at_least=lost)
    database = any_database()
    async with reading(store, database=database, project=False) as side:
        await side.query(GetAccount(ANN), at_least=lost)
        restore(store)
        head = await head_token(store)
        async with database.transaction() as tx:
            place = {"position": head.position, "event_id": head.event_id}
            await tx.execute(sa.update(CHECKPOINTS).values(place))
        assert (await side.readiness()).ready
        answered = await side.ask(ListAccounts(), timeout=SOON, on_timeout="stale")
        assert (answered.stale, answered.as_of) == (False, head)
        await side.query(GetAccount(ANN), at_least=head, timeout=SOON)
        for timeout in (SOON, LONG):  # it was believed, so it is waited for once
            with pytest.raises(TokenFromAnotherHistory):
                await side.query(GetAccount(ANN), at_least=lost, timeout=timeout)


async def test_tokens_that_were_believed_are_looked_at_again_once_one_was_lost(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    await fill(store)
    lost = [await append(store, Deposited(ANN, 7)) for _ in range(2)]
    options = {"project": False, "models": [], "queries": []}
    async with reading(store, database=any_database(), **options) as side:
        assert side._running is not None
        consistency = side._running.live.consistency
        for each in lost:
            await consistency.verify(each)
        restore(store)
        for _ in range(2):
            await append(store, Deposited(ANN, 1))
        with pytest.raises(TokenFromAnotherHistory):
            await consistency.verify(Token(store.log_id, 4, uuid4()))
        for each in lost:
            with pytest.raises(TokenFromAnotherHistory):
                await consistency.verify(each)
