"""A standby takes over: with synchronous replication nothing that was acknowledged is lost."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from diptych.errors import CheckpointDiverged
from diptych.postgres_library import listening
from diptych.read.postgres.database import PostgresReadDatabase
from diptych.read.side import ReadSide
from diptych.store.postgres.store import PostgresEventStore
from diptych.testing.conformance.steps import add, log_of, opened, to
from diptych.testing.waiting import wait_until
from tests.failover.history import HistoryViolated, demand, lost
from tests.failover.load import following, loading
from tests.integration.accounts import (
    ListAccounts,
    all_accounts,
    expected_accounts,
    head_token,
    reading,
)
from tests.servers.postgres import PostgresServer, installations, own_server


@dataclass(frozen=True)
class Pair:
    """A primary and its standby; `url` names both, so the one that can write is found."""

    primary: PostgresServer
    standby: PostgresServer

    @property
    def url(self) -> str:
        hosts = f"127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}"
        return f"postgresql://postgres@{hosts}/postgres"

    def has_all(self) -> bool:
        """Whether the standby has replayed all that the primary has committed."""
        lag = "SELECT replay_lsn >= pg_current_wal_lsn() FROM pg_stat_replication"
        return self.primary.execute(lag) == "t"

    def fail_over(self) -> None:
        self.primary.kill()
        self.standby.promote()


async def diverges(side: ReadSide) -> bool:
    """Whether a query says that its view shows what the log does not have any more."""
    try:
        await side.query(ListAccounts())
    except CheckpointDiverged:
        return True
    return False


@pytest.fixture
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """Of the newest version, where the test does not ask for the `oldest`."""
    oldest = getattr(request, "param", "") == "oldest"
    with own_server(installations()[-1 if oldest else 0]) as primary:
        standby = primary.standby()
        try:
            yield Pair(primary, standby)
        finally:
            standby.remove()


@pytest.mark.parametrize("pair", ["newest", "oldest"], indirect=True)
async def test_a_synchronous_standby_takes_over_and_nothing_acknowledged_is_lost(
    pair: Pair,
) -> None:
    pair.primary.replicate_to("standby")
    async with (
        opened(PostgresEventStore(pair.url)) as one,
        opened(PostgresEventStore(pair.url)) as two,
        following(two) as follower,
        reading(two, database=PostgresReadDatabase(pair.url)) as side,
    ):
        async with loading(one, two) as load:
            await load.more(60)
            await asyncio.to_thread(pair.fail_over)
            await load.more(60)
        await load.settle(one)
        log = await log_of(two)
        demand(load.history, log)
        await follower.at(len(log))
        assert follower.seen == log
        rows = await all_accounts(side, at_least=await head_token(two))
        assert rows == await expected_accounts(two)


async def test_a_primary_that_hangs_is_left_and_has_no_effect_when_it_comes_back(
    pair: Pair,
) -> None:
    """It answers nobody, closes no socket, and when it goes on it believes to be the primary."""
    pair.primary.replicate_to("standby")
    async with opened(PostgresEventStore(pair.url, deadline=0.5, patience=30)) as store:
        async with loading(store) as load:
            await load.more(60)
            await asyncio.to_thread(pair.primary.freeze)
            await asyncio.to_thread(pair.standby.promote)
            await load.more(60)
            await asyncio.to_thread(pair.primary.thaw)
            await load.more(60)
        await load.settle(store)
        demand(load.history, await log_of(store))


async def test_who_only_reads_finds_out_that_another_is_the_primary_now(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connections outlive the failover, and the former primary answers as if nothing was."""
    monkeypatch.setattr(listening, "_PULSE", 0.2)
    async with opened(PostgresEventStore(pair.url)) as reader, following(reader) as follower:
        async with opened(PostgresEventStore(pair.primary.url())) as store:
            await store.append(add(to("order-1")))
            await follower.at(1)
            await wait_until(lambda: asyncio.to_thread(pair.has_all))
        await asyncio.to_thread(pair.standby.promote)
        async with opened(PostgresEventStore(pair.standby.url())) as store:
            await store.append(add(to("order-1", expecting=1)))
        await follower.at(2)
        assert [event.version for event in follower.seen] == [1, 2]


async def test_a_former_primary_that_is_started_again_is_not_taken_for_the_log(pair: Pair) -> None:
    """It stands first in the URL, knows the same log, and lets itself be written to."""
    async with opened(PostgresEventStore(pair.url)) as store:
        await store.append(add(to("order-1")))
        await asyncio.to_thread(pair.fail_over)
        await store.append(add(to("order-1", expecting=1)))
    await asyncio.to_thread(pair.primary.restart)
    async with opened(PostgresEventStore(pair.url)) as store:
        await store.append(add(to("order-1", expecting=2)))
    assert pair.standby.execute("SELECT max(version) FROM diptych.events") == "3"
    assert pair.primary.execute("SELECT max(version) FROM diptych.events") == "1"


async def test_an_asynchronous_standby_may_lose_what_was_acknowledged_and_that_is_seen(
    pair: Pair, tmp_path: Path
) -> None:
    """Loss is not promised away here. It must be found: by the checker, and by who follows."""
    async with (
        opened(PostgresEventStore(pair.url)) as store,
        following(store) as follower,
        reading(store, path=tmp_path / "read.db") as side,
    ):
        async with loading(store) as load:
            await load.more(20)
            await asyncio.to_thread(pair.standby.detach)
            await load.more(20)
        head = await head_token(store)
        await follower.at(head.position)
        await side.query(ListAccounts(), at_least=head)
        await asyncio.to_thread(pair.fail_over)
        log = await log_of(store)
        assert len(log) < head.position
        assert lost(load.history, log) > 0
        with pytest.raises(HistoryViolated, match="lost"):
            demand(load.history, log)
        await wait_until(partial(diverges, side), timeout=30)
        async with loading(store) as load:  # a follower meets it where the new history goes beyond
            await wait_until(lambda: follower.diverged is not None, timeout=30)
