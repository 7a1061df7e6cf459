"""Random logs, random errors, random restarts: always the rows of an independent fold."""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import UUID

import pytest

from diptych.failpoints import armed
from diptych.read.sqlite.database import SqliteReadDatabase
from diptych.read.trying import _FIRST_PAUSE
from diptych.sqlite_library import sqlite
from diptych.store.contract import EventStore
from diptych.store.memory import Hostile, MemoryEventStore
from tests.integration.accounts import (
    AccountEvent,
    Closed,
    Deposited,
    Labelled,
    Noted,
    Opened,
    all_accounts,
    append,
    expected_accounts,
    head_token,
    reading,
)
from tests.soak import SOAK

FAILPOINTS = (
    "projector.after_read",
    "projector.before_write",
    "projector.before_checkpoint",
    "projector.before_commit",
    "projector.after_commit",
)


def some_events(chance: random.Random, ids: list[UUID]) -> list[AccountEvent]:
    account_id = chance.choice(ids)
    kinds: list[Callable[[], AccountEvent]] = [
        lambda: Opened(account_id, chance.choice(["Ann", "Bea", "Cid"])),
        lambda: Deposited(account_id, chance.randrange(100)),
        lambda: Deposited(account_id, chance.randrange(100)),
        lambda: Labelled(account_id, ("x",)),
        lambda: Closed(account_id),
    ]
    return [chance.choice(kinds)() for _ in range(chance.randrange(1, 6))]


async def write(store: EventStore, chance: random.Random, *, appends: int) -> None:
    ids = [UUID(int=chance.getrandbits(128), version=4) for _ in range(6)]
    for _ in range(appends):
        if chance.random() < 0.1:
            await append(store, Noted("between"))
        else:
            await append(store, *some_events(chance, ids))
        if chance.random() < 0.3:
            await asyncio.sleep(0)


@contextmanager
def trouble(chance: random.Random) -> Iterator[None]:
    """Now and then an error, or a cancellation out of nowhere, at any failpoint."""

    def perhaps() -> None:
        if chance.random() < 0.15:
            raise chance.choice([ConnectionError, asyncio.CancelledError, OSError])("by chance")

    with ExitStack() as stack:
        for name in FAILPOINTS:
            stack.enter_context(armed(name, perhaps, on=1, times=10**9))
        yield


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(8 * SOAK))
async def test_rows_equal_an_independent_fold(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("diptych.read.trying._FIRST_PAUSE", _FIRST_PAUSE / 50)
    chance = random.Random(seed)
    hostile = Hostile(seed=seed) if seed % 2 else None
    store = MemoryEventStore(hostile=hostile)
    await store.open()
    for _ in range(4):
        async with reading(store, database=SqliteReadDatabase(tmp_path / "read.db")):
            with trouble(chance):
                await write(store, chance, appends=chance.randrange(1, 40))
    async with reading(store, database=SqliteReadDatabase(tmp_path / "read.db")) as side:
        assert await all_accounts(side, await head_token(store)) == await expected_accounts(store)
    await store.close()
    check_words(tmp_path / "read.db")


def check_words(path: Path) -> None:
    """The full-text index has the words of the rows, and no others."""
    db = sqlite.connect(path)
    names = db.execute("SELECT name FROM sqlite_schema WHERE name GLOB 'accounts__*__words'")
    for (name,) in names.fetchall():
        db.execute(f"INSERT INTO {name}({name}, rank) VALUES ('integrity-check', 1)")
    db.close()
