"""A database that is away for a while, or busy, does not end a rebuild."""

import asyncio
from collections.abc import Callable

import pytest

from diptych.errors import RebuildRunning, StorageBusy, StorageUnavailable
from diptych.failpoints import armed
from diptych.read import rebuild
from diptych.read.schema import CHECKPOINTS
from tests.integration.accounts import Deposited, all_accounts, append, expected_accounts
from tests.integration.rebuilds import Live, revisions


def away() -> None:
    raise StorageUnavailable("the server does not answer")


def busy() -> None:
    raise StorageBusy("it was in a deadlock with another transaction")


@pytest.mark.parametrize("trouble", [away, busy])
@pytest.mark.parametrize(
    "where",
    [
        "rebuild.after_read",
        "rebuild.before_write",
        "rebuild.before_commit",
        "rebuild.after_commit",
        "rebuild.after_verify",
        "flip.before_begin",
        "flip.before_commit",
        "flip.after_commit",
    ],
)
async def test_a_rebuild_goes_on_when_the_database_is_back(
    live: Live, where: str, trouble: Callable[[], None]
) -> None:
    """Also where it is not known if the last transaction was committed."""
    with armed(where, trouble, times=2):
        (rebuilt,) = await live.operations.rebuild(["accounts"])
    assert (rebuilt.serving, rebuilt.revision, rebuilt.replaced) == (True, 2, 1)
    assert rebuilt.verification is not None
    assert await revisions(live.database) == [(1, "retired"), (2, "serving")]
    assert await all_accounts(live.side) == await expected_accounts(live.store)


async def test_a_database_that_stays_away_ends_it_and_the_next_goes_on(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild, "_PATIENCE", 0.2)
    with (
        armed("rebuild.after_verify", away, times=10**9),
        pytest.raises(StorageUnavailable),
    ):
        await live.operations.rebuild(["accounts"])
    assert await revisions(live.database) == [(1, "serving"), (2, "building")]
    (rebuilt,) = await live.operations.rebuild(["accounts"])
    assert (rebuilt.serving, rebuilt.revision) == (True, 2)


@pytest.mark.parametrize("where", ["rebuild.after_verify", "flip.before_commit"])
async def test_a_log_that_grows_is_no_progress(
    where: str, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was built follows its head with each try, and yet gets no nearer to its end."""
    monkeypatch.setattr(rebuild, "_PATIENCE", 0.2)

    async def grow() -> None:
        while True:
            await append(live.store, Deposited(live.ids[0], 1))
            await asyncio.sleep(0.01)

    growing = asyncio.create_task(grow())
    try:
        with armed(where, away, times=10**9), pytest.raises(StorageUnavailable):
            await asyncio.wait_for(live.operations.rebuild(["accounts"]), timeout=10)
    finally:
        growing.cancel()


async def test_what_another_has_taken_over_meanwhile_is_left_to_it(live: Live) -> None:
    async def take() -> None:
        async with live.database.transaction() as tx:
            await tx.execute(
                CHECKPOINTS.update().where(CHECKPOINTS.c.revision == 2).values(holder="other")
            )

    taking = rebuild._Work._pause

    async def pause(work: rebuild._Work, error: StorageBusy | StorageUnavailable) -> None:
        await take()
        await taking(work, error)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rebuild._Work, "_pause", pause)
        with armed("rebuild.before_commit", away), pytest.raises(RebuildRunning):
            await live.operations.rebuild(["accounts"])
    assert await all_accounts(live.side) == await expected_accounts(live.store)
