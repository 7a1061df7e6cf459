"""Tokens: a read that follows a write sees it, or raises, or says that it is stale."""

import asyncio
import random
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from diptych.errors import (
    ConsistencyTimeout,
    ProjectionStopped,
    TokenFromAnotherHistory,
    ViewNotReady,
)
from diptych.failpoints import armed
from diptych.read.query import answer
from diptych.read.readiness import State
from diptych.read.rows import Rows
from diptych.store.contract import EventStore
from diptych.store.memory import MemoryEventStore
from diptych.testing.clock import FixedClock
from diptych.testing.waiting import wait_until
from diptych.tokens import Token
from tests.integration.accounts import (
    SOON,
    Account,
    Deposited,
    GetAccount,
    GetLabel,
    Labelled,
    ListAccounts,
    Noted,
    Opened,
    account_view,
    accounts,
    append,
    get_account,
    get_label,
    head_token,
    labels,
    projector_of,
    reading,
)


class Stalled:
    """Holds projectors before they read, by failing there."""

    def __init__(self) -> None:
        self.armed = armed("projector.after_read", self._fail, on=1, times=10**9)

    def _fail(self) -> None:
        raise ConnectionError("held back by the test")


async def test_an_answer_says_how_new_it_is(store: MemoryEventStore) -> None:
    account_id = uuid4()
    async with reading(store) as side:
        token = await append(store, Opened(account_id, "Ann"))
        found = await side.ask(GetAccount(account_id), at_least=token)
        assert (found.as_of, found.token, found.stale) == (token, token, False)
        assert found.value is not None


async def test_a_query_raises_when_the_view_does_not_get_there_in_time(
    store: MemoryEventStore, caplog: pytest.LogCaptureFixture
) -> None:
    account_id = uuid4()
    async with reading(store) as side:
        first = await append(store, Opened(account_id, "Ann"))
        await side.query(GetAccount(account_id), at_least=first)
        with Stalled().armed:
            token = await append(store, Deposited(account_id, 1))
            with pytest.raises(ConsistencyTimeout) as late:
                await side.query(GetAccount(account_id), at_least=token, timeout=SOON)
            assert (late.value.view, late.value.wanted, late.value.reached) == ("accounts", 2, 1)
            found = await side.ask(
                GetAccount(account_id), at_least=token, timeout=SOON, on_timeout="stale"
            )
            assert found.stale
            assert found.value is not None
            assert found.value.balance == 0
            assert (found.as_of, found.token) == (first, token)
        found = await side.ask(GetAccount(account_id), at_least=token)
        assert (found.stale, found.as_of) == (False, token)


async def test_a_query_without_a_token_answers_from_what_there_is(
    store: MemoryEventStore, caplog: pytest.LogCaptureFixture
) -> None:
    account_id = uuid4()
    async with reading(store) as side:
        token = await append(store, Opened(account_id, "Ann"))
        await side.query(GetAccount(account_id), at_least=token)
        with Stalled().armed:
            await append(store, Deposited(account_id, 1))
            found = await side.ask(GetAccount(account_id), timeout=timedelta(0))
            assert (found.as_of, found.stale) == (token, False)


async def test_who_returns_the_last_token_never_sees_an_older_answer(
    any_store: EventStore,
) -> None:
    account_id = uuid4()
    await append(any_store, Opened(account_id, "Ann"))
    seen: list[int] = []

    async def write() -> None:
        for _ in range(100):
            await append(any_store, Deposited(account_id, 1))

    async def read() -> None:
        token: Token | None = None
        while not seen or seen[-1] < 100:
            found = await side.ask(GetAccount(account_id), at_least=token)
            assert found.value is not None
            if token is not None:
                assert found.token.position >= token.position
            token = found.token
            seen.append(found.value.deposits)

    async with reading(any_store) as side:
        await asyncio.gather(write(), read())
    assert seen == sorted(seen)


async def test_many_readers_wait_for_many_writes(store: MemoryEventStore) -> None:
    ids = [uuid4() for _ in range(20)]
    await append(store, *[Opened(account_id, "x") for account_id in ids], stream="account-all")
    counts = dict.fromkeys(ids, 0)
    chance = random.Random(5)

    async def client(number: int) -> None:
        account_id = ids[number % len(ids)]
        for _ in range(5):
            token = await append(store, Deposited(account_id, 1))
            counts[account_id] += 1
            at_least = counts[account_id]
            await asyncio.sleep(chance.random() / 200)
            row = await side.query(GetAccount(account_id), at_least=token)
            assert row is not None
            assert row.deposits >= at_least

    async with reading(store) as side:
        await asyncio.gather(*[client(number) for number in range(100)])


async def test_the_oldest_of_several_views_counts(
    store: MemoryEventStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Also a view that is stopped for good: a query that reads it cannot be newer."""
    broken = account_view(name="broken", version="1")

    async def both(query: GetAccount, rows: Rows) -> Account | None:
        await rows.get(broken, query.account_id)
        return await rows.get(accounts, query.account_id)

    queries = [answer(GetAccount, both, reads=[accounts, broken])]
    account_id = uuid4()
    async with reading(store, models=[accounts, broken], queries=queries) as side:
        first = await append(store, Opened(account_id, "Ann"))
        await side.query(GetAccount(account_id), at_least=first)
        token = await append(store, Deposited(account_id, -1))
        with pytest.raises(ProjectionStopped):
            await side.reached(token.position, timeout=timedelta(seconds=5))
        found = await side.ask(GetAccount(account_id))
        assert found.as_of == first


async def test_a_token_of_another_log_is_refused(store: MemoryEventStore) -> None:
    other = MemoryEventStore()
    await other.open()
    foreign = await append(other, Opened(uuid4(), "Ann"))
    async with reading(store) as side:
        await append(store, Opened(uuid4(), "Ann"))
        with pytest.raises(TokenFromAnotherHistory):
            await side.query(ListAccounts(), at_least=foreign)


async def test_a_token_of_a_history_that_was_replaced_is_refused(
    store: MemoryEventStore,
) -> None:
    async with reading(store) as side:
        token = await append(store, Opened(uuid4(), "Ann"), Opened(uuid4(), "Bea"))
        await side.query(ListAccounts(), at_least=token)
        for _ in range(2):
            with pytest.raises(TokenFromAnotherHistory):
                await side.query(ListAccounts(), at_least=Token(store.log_id, 1, uuid4()))
            with pytest.raises(TokenFromAnotherHistory):
                await side.query(ListAccounts(), at_least=Token(store.log_id, 99, uuid4()))
            with pytest.raises(TokenFromAnotherHistory):
                await side.query(ListAccounts(), at_least=Token(store.log_id, 3))


async def test_the_token_of_an_empty_log_is_always_reached(store: MemoryEventStore) -> None:
    async with reading(store) as side:
        found = await side.ask(ListAccounts())
        assert found.as_of == Token(store.log_id, 0, None)
        again = await side.ask(ListAccounts(), at_least=found.token)
        assert not again.stale


async def test_a_view_that_is_still_built_is_not_answered_from(
    store: MemoryEventStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even stale: its rows would be half of a table."""
    await append(store, *[Opened(uuid4(), "Ann") for _ in range(50)], stream="account-all")
    with Stalled().armed:
        async with reading(store) as side:
            with pytest.raises(ViewNotReady) as building:
                await side.query(ListAccounts(), timeout=SOON)
            assert (building.value.position, building.value.head) == (0, 50)
            with pytest.raises(ViewNotReady):
                await side.ask(ListAccounts(), timeout=SOON, on_timeout="stale")
            readiness = await side.readiness()
            assert not readiness.ready
            assert readiness.views[0].state is State.BUILDING
            assert readiness.views[0].progress == 0.0


async def test_a_query_at_start_waits_until_the_view_has_caught_up(
    store: MemoryEventStore, tmp_path: Path
) -> None:
    path = tmp_path / "read.db"
    await append(store, Opened(uuid4(), "Ann"))
    async with reading(store, path=path) as side:
        assert (await side.query(ListAccounts())).total == 1
    await append(store, Opened(uuid4(), "Bea"))
    async with reading(store, path=path) as side:
        assert (await side.query(ListAccounts())).total == 2


async def test_a_complete_view_that_cannot_catch_up_is_answered_from_as_stale(
    store: MemoryEventStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "read.db"
    await append(store, Opened(uuid4(), "Ann"))
    async with reading(store, path=path) as side:
        assert (await side.query(ListAccounts())).total == 1
    await append(store, Opened(uuid4(), "Bea"))
    with Stalled().armed:
        async with reading(store, path=path) as side:
            with pytest.raises(ViewNotReady):
                await side.query(ListAccounts(), timeout=SOON)
            found = await side.ask(ListAccounts(), timeout=SOON, on_timeout="stale")
            assert (found.value.total, found.stale) == (1, True)


async def test_a_waiting_query_that_is_cancelled_leaves_nothing_behind(
    store: MemoryEventStore, caplog: pytest.LogCaptureFixture
) -> None:
    account_id = uuid4()
    async with reading(store) as side:
        await append(store, Opened(account_id, "Ann"))
        with Stalled().armed:
            token = await append(store, Deposited(account_id, 1))
            waiting = asyncio.create_task(side.query(GetAccount(account_id), at_least=token))
            assert side._running is not None
            signal = side._running.means.signal
            await wait_until(lambda: bool(signal._waiting))
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        assert not signal._waiting
        assert (await side.query(GetAccount(account_id), at_least=token)) is not None


async def test_lag_is_the_age_of_the_first_event_that_is_missing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = FixedClock()
    store = MemoryEventStore(clock=clock)
    await store.open()
    async with reading(store, clock=clock) as side:
        await append(store, Opened(uuid4(), "Ann"))
        await side.query(ListAccounts(), at_least=await head_token(store))
        with Stalled().armed:
            await append(store, Opened(uuid4(), "Bea"))
            clock.advance(timedelta(seconds=3))
            await append(store, Opened(uuid4(), "Cid"))
            clock.advance(timedelta(seconds=4))
            (status,) = (await side.readiness()).views
            assert (status.behind, status.lag) == (2, timedelta(seconds=7))
            assert (status.state, status.within_max_lag) == (State.LIVE, True)
            clock.advance(timedelta(seconds=4))
            (status,) = (await side.readiness()).views
            assert (status.state, status.within_max_lag) == (State.STUCK, False)
            await wait_until(lambda: "ConnectionError" in projector_of(side).error)
        await side.query(ListAccounts(), at_least=await head_token(store))
        (status,) = (await side.readiness()).views
        assert (status.behind, status.lag, status.state) == (0, timedelta(0), State.LIVE)
        assert status.progress == 1.0
    await store.close()


async def test_views_are_waited_for_only_if_they_are_read(
    store: MemoryEventStore, caplog: pytest.LogCaptureFixture
) -> None:
    queries = [
        answer(GetAccount, get_account, reads=[accounts]),
        answer(GetLabel, get_label, reads=[labels]),
    ]
    async with reading(store, models=[accounts, labels], queries=queries) as side:
        token = await append(store, Deposited(uuid4(), -1), Labelled(uuid4(), ("vip",)))
        assert await side.query(GetLabel("vip"), at_least=token) is not None
        with pytest.raises(ProjectionStopped):
            await side.query(GetAccount(uuid4()), at_least=token, timeout=timedelta(seconds=10))


async def test_an_event_that_no_view_reads_has_a_token_too(store: MemoryEventStore) -> None:
    async with reading(store) as side:
        token = await append(store, Noted("nothing for accounts"))
        found = await side.ask(ListAccounts(), at_least=token)
        assert found.as_of == token
