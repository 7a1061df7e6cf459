"""Where waiting ends: views that never get there, and views that are half built."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa

from diptych.errors import ViewNotReady
from diptych.failpoints import armed
from diptych.read.query import Query, answer
from diptych.read.rows import Rows
from diptych.read.schema import REVISIONS
from diptych.store.memory import MemoryEventStore
from tests.integration.accounts import (
    SOON,
    Deposited,
    Labelled,
    ListAccounts,
    Opened,
    accounts,
    append,
    labels,
    reading,
)


@dataclass(frozen=True)
class CountBoth(Query[tuple[int, int]]):
    pass


async def count_both(query: CountBoth, rows: Rows) -> tuple[int, int]:
    return (await rows.page(accounts)).total, (await rows.page(labels)).total


def stalled() -> None:
    raise ConnectionError("held back by the test")


async def test_a_query_gives_up_in_time_even_if_the_position_is_there_but_not_released(
    store: MemoryEventStore,
) -> None:
    """Another process builds the revision, and began when the log was longer than for us."""
    await append(store, Opened(uuid4(), "Ann"))
    async with reading(store) as side:
        await side.query(ListAccounts())
        async with side._database.transaction() as tx:
            await tx.execute(sa.update(REVISIONS).values(status="building"))
        with pytest.raises(ViewNotReady):
            async with asyncio.timeout(5):
                await side.query(ListAccounts(), timeout=timedelta(seconds=0.1))


async def test_a_stale_answer_is_not_given_from_a_second_view_that_is_half_built(
    store: MemoryEventStore, tmp_path: Path
) -> None:
    path, account_id = tmp_path / "read.db", uuid4()
    await append(store, Opened(account_id, "Ann"), Labelled(account_id, ("new",)))
    async with reading(store, path=path) as side:
        await side.query(ListAccounts())
    await append(store, Deposited(account_id, 5))
    both = answer(CountBoth, count_both, reads=[accounts, labels])
    with armed("projector.after_read", stalled, on=1, times=10**9):
        async with reading(store, path=path, models=[accounts, labels], queries=[both]) as side:
            with pytest.raises(ViewNotReady, match="view labels"):
                await side.ask(CountBoth(), timeout=SOON, on_timeout="stale")
