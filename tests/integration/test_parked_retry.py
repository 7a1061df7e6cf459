"""What operators do with parked keys and stopped views: list, retry, discard, pause."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from diptych.errors import (
    InvalidInput,
    NotParked,
    ProjectionStopped,
    StillParked,
    UnknownView,
)
from diptych.failpoints import FailpointError, armed, fail
from diptych.messages import RecordedEvent
from diptych.operations import Operations
from diptych.read import retrying
from diptych.read.model import Park
from diptych.read.projector import Status
from diptych.read.query import answer
from diptych.read.rows import Rows, Versioned
from diptych.read.schema import DISCARDS
from diptych.read.side import ReadSide
from diptych.read.view import View
from diptych.store.contract import EventStore
from diptych.store.memory import MemoryEventStore
from diptych.testing.waiting import wait_until
from tests.integration.accounts import (
    Account,
    AccountEvent,
    Deposited,
    GetVersioned,
    Opened,
    append,
    held_by,
    project,
    projector_of,
    reading,
)
from tests.integration.conftest import AnyDatabase
from tests.integration.parked import (
    checkpoints,
    parked_keys,
    parked_positions,
    parking_view,
)

SECONDS = timedelta(seconds=10)


@dataclass
class Rule:
    """A rule that refuses amounts; what it refuses may change, as with another deploy."""

    refused: set[int] = field(default_factory=lambda: {13})

    def __call__(
        self, row: Account | None, event: AccountEvent, recorded: RecordedEvent
    ) -> Account | None:
        if isinstance(event, Deposited) and event.amount in self.refused:
            raise ValueError("the secret in the event")
        return project(row, event, recorded)


@dataclass
class Bench:
    """A read side over a view whose rule can be mended, and an operator's process beside it."""

    rule: Rule
    view: View[Account]
    side: ReadSide
    operator: Operations

    async def row(self, account_id: UUID) -> Account | None:
        found = await self.versioned(account_id)
        return found and found.row

    async def versioned(self, account_id: UUID) -> Versioned[Account] | None:
        return await self.side.query(GetVersioned(account_id))


@asynccontextmanager
async def bench(
    store: EventStore, any_database: AnyDatabase, *, mended: Rule | None = None, **options: Any
) -> AsyncIterator[Bench]:
    """The operator's process has the same rule, or one that was mended already."""
    rule = Rule()
    view = parking_view(project=rule, version="1", **options)
    known = parking_view(project=mended or rule, version="1", **options)

    async def get(query: GetVersioned, rows: Rows) -> Versioned[Account] | None:
        return await rows.get_versioned(view, query.account_id)

    queries = [answer(GetVersioned, get, reads=[view])]
    async with (
        reading(
            store, database=any_database(), models=[view], queries=queries, lease_ttl=1.0
        ) as side,
        reading(store, database=any_database(), models=[known], queries=[], project=False) as other,
    ):
        yield Bench(rule, view, side, Operations(other))


async def test_what_is_parked_can_be_listed_and_shown(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    ann, bob = uuid4(), uuid4()
    async with bench(store, any_database) as b:
        assert await b.operator.parked("accounts") == ()
        await append(store, Opened(ann, "Ann"), Deposited(ann, 13))
        await append(store, Deposited(bob, 13), tenant="shop")
        last = await append(store, Deposited(ann, 1))
        await b.side.reached(last.position, timeout=SECONDS)
        first, second = await b.operator.parked("accounts")
        assert (first.view, first.revision, first.tenant) == ("accounts", 1, "")
        assert (first.key, second.key, second.tenant) == (str(ann), str(bob), "shop")
        assert (first.kind, first.event_type, first.position) == ("apply", "Deposited", 2)
        assert (first.first_position, first.last_position, first.events) == (2, 4, 2)
        assert first.error.startswith("ValueError in ")
        assert "secret" not in first.error
        shown = await b.operator.parked_key("accounts", str(ann).upper())
        assert shown.parked == first
        assert [(each.position, each.version, each.type) for each in shown.events] == [
            (2, 2, "Deposited"),
            (4, 3, "Deposited"),
        ]
        assert {each.stream for each in shown.events} == {f"account-{ann}"}
        with pytest.raises(NotParked):
            await b.operator.parked_key("accounts", bob)
        assert (await b.operator.parked_key("accounts", bob, tenant="shop")).parked == second
        with pytest.raises(InvalidInput, match="key: must be a UUID, the account_id"):
            await b.operator.parked_key("accounts", "Ann")
        with pytest.raises(UnknownView):
            await b.operator.parked("nothing")


async def test_a_retry_applies_all_events_of_a_key_in_order(
    any_store: EventStore, any_database: AnyDatabase
) -> None:
    ann, bob = uuid4(), uuid4()
    async with bench(any_store, any_database) as b:
        await append(any_store, Opened(ann, "Ann"), Deposited(ann, 1))
        await append(any_store, Deposited(ann, 13))
        await append(any_store, Deposited(bob, 13))
        last = await append(any_store, Deposited(ann, 5))
        await b.side.reached(last.position, timeout=SECONDS)
        b.rule.refused.clear()
        retried = await b.operator.retry("accounts", ann)
        assert [each.key for each in retried.applied] == [str(ann)]
        row = await b.versioned(ann)
        assert row is not None
        assert (row.row.balance, row.row.deposits, row.row.last_amount) == (19, 3, 5)
        assert (row.version, row.position) == (4, last.position)
        assert [each.key for each in await b.operator.parked("accounts")] == [str(bob)]
        (checkpoint,) = await checkpoints(b.side)
        assert (checkpoint.parked_keys, checkpoint.parked_events) == (1, 1)
        more = await append(any_store, Deposited(ann, 1))
        await b.side.reached(more.position, timeout=SECONDS)
        row = await b.versioned(ann)
        assert row is not None
        assert (row.row.balance, row.version) == (20, 5)


async def test_a_retry_that_fails_again_changes_nothing_but_what_is_known_of_the_error(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    """All or nothing: the first of the events could be applied now, the third cannot."""
    ann = uuid4()
    async with bench(store, any_database) as b:
        await append(store, Opened(ann, "Ann"), Deposited(ann, 13), Deposited(ann, 1))
        last = await append(store, Deposited(ann, 14))
        await b.side.reached(last.position, timeout=SECONDS)
        b.rule.refused = {14}
        before = await parked_positions(b.side)
        with pytest.raises(StillParked) as again:
            await b.operator.retry("accounts", ann)
        assert again.value.position == last.position
        assert "secret" not in str(again.value)
        assert await parked_positions(b.side) == before == [2, 3, 4]
        (parked,) = await b.operator.parked("accounts")
        assert (parked.position, parked.first_position, parked.attempts) == (4, 2, 5)
        assert parked.tried_at > parked.parked_at
        (checkpoint,) = await checkpoints(b.side)
        assert (checkpoint.parked_keys, checkpoint.parked_events) == (1, 3)
        async with b.side._database.snapshot([b.view.wanted]) as snapshot:
            bound = b.view.bind(1, b.side._database.dialect)
            (row,) = await snapshot.load(bound.table, [bound.driver_key("", ann)])
        assert row[3] == 0


@pytest.mark.parametrize("tenant", ["", "shop"])
async def test_a_retry_of_everything_says_what_was_applied_and_what_was_not(
    store: MemoryEventStore, any_database: AnyDatabase, tenant: str
) -> None:
    accounts = [uuid4() for _ in range(4)]
    async with bench(store, any_database) as b:
        b.rule.refused = {13, 14}
        for number, each in enumerate(accounts):
            last = await append(store, Deposited(each, 13 + number % 2), tenant=tenant)
        await b.side.reached(last.position, timeout=SECONDS)
        b.rule.refused = {14}
        retried = await b.operator.retry("accounts")
        assert [each.key for each in retried.applied] == [str(accounts[0]), str(accounts[2])]
        assert [each.key for each in retried.failed] == [str(accounts[1]), str(accounts[3])]
        assert not retried.started
        assert len(await parked_keys(b.side)) == 2


@pytest.mark.parametrize("place", ["retry.before_commit", "retry.after_commit"])
async def test_a_retry_that_is_cut_off_is_done_as_a_whole_or_not_at_all(
    store: MemoryEventStore, any_database: AnyDatabase, place: str
) -> None:
    ann = uuid4()
    async with bench(store, any_database) as b:
        await append(store, Opened(ann, "Ann"), Deposited(ann, 13))
        last = await append(store, Deposited(ann, 5))
        await b.side.reached(last.position, timeout=SECONDS)
        b.rule.refused.clear()
        with armed(place, fail), pytest.raises(FailpointError):
            await b.operator.retry("accounts", ann)
        if place == "retry.before_commit":
            assert await parked_positions(b.side) == [2, 3]
            await b.operator.retry("accounts", ann)
        assert not await parked_positions(b.side)
        row = await b.row(ann)
        assert row is not None
        assert (row.balance, row.deposits) == (18, 2)


async def test_retries_beside_a_busy_projector_lose_and_repeat_nothing(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    """Events of the key arrive all the time, and its retry comes in between."""
    ann, bob = uuid4(), uuid4()
    async with bench(store, any_database, mended=Rule(set())) as b:
        await append(store, Opened(ann, "Ann"), Opened(bob, "Bob"), stream="account-x")
        total, rounds = 0, 0
        done = asyncio.Event()

        async def write() -> None:
            nonlocal total
            for number in range(150):
                amount = 13 if number % 30 == 7 else 1
                await append(store, Deposited(ann, amount), Deposited(bob, 1), stream="account-x")
                total += amount
                await asyncio.sleep(0.004)
            done.set()

        async def retry() -> None:
            nonlocal rounds
            while not done.is_set():
                await asyncio.sleep(0.02)
                rounds += len((await b.operator.retry("accounts")).applied)

        await asyncio.gather(write(), retry())
        await b.side.reached((await store.head()).position, timeout=SECONDS)
        rounds += len((await b.operator.retry("accounts")).applied)
        assert rounds > 1
        assert not await parked_keys(b.side)
        rows = [await b.row(ann), await b.row(bob)]
        assert [row and (row.balance, row.deposits) for row in rows] == [(total, 150), (150, 150)]
        (checkpoint,) = await checkpoints(b.side)
        assert (checkpoint.parked_keys, checkpoint.parked_events) == (0, 0)


async def test_a_discard_leaves_the_row_as_it_was_and_is_recorded(
    any_store: EventStore, any_database: AnyDatabase
) -> None:
    ann = uuid4()
    async with bench(any_store, any_database) as b:
        await append(any_store, Opened(ann, "Ann"), Deposited(ann, 1))
        poison = await append(any_store, Deposited(ann, 13))
        last = await append(any_store, Deposited(ann, 5))
        await b.side.reached(last.position, timeout=SECONDS)
        for reason in ("", "  "):
            with pytest.raises(InvalidInput, match="reason"):
                await b.operator.discard("accounts", ann, reason=reason)
        discarded = await b.operator.discard("accounts", str(ann), reason="a test deposit")
        assert discarded.positions == (poison.position, last.position)
        assert (discarded.key, discarded.reason) == (str(ann), "a test deposit")
        assert discarded.error.startswith("ValueError")
        assert await b.operator.discarded("accounts") == (discarded,)
        assert not await parked_keys(b.side)
        with pytest.raises(NotParked):
            await b.operator.discard("accounts", ann, reason="again")
        row = await b.versioned(ann)
        assert row is not None
        assert (row.row.balance, row.version) == (1, 4)
        more = await append(any_store, Deposited(ann, 3))
        await b.side.reached(more.position, timeout=SECONDS)
        row = await b.versioned(ann)
        assert row is not None
        assert (row.row.balance, row.version) == (4, 5)


async def test_a_key_that_was_discarded_may_be_parked_and_discarded_again(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    ann = uuid4()
    async with bench(store, any_database) as b:
        for number in (1, 2):
            last = await append(store, Deposited(ann, 13))
            await b.side.reached(last.position, timeout=SECONDS)
            await b.operator.discard("accounts", ann, reason=f"for the {number}. time")
        found = await b.operator.discarded("accounts")
        assert [each.positions for each in found] == [(1,), (2,)]


async def test_a_discard_that_is_cut_off_discards_nothing(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    ann = uuid4()
    async with bench(store, any_database) as b:
        last = await append(store, Deposited(ann, 13))
        await b.side.reached(last.position, timeout=SECONDS)
        with armed("discard.before_commit", fail), pytest.raises(FailpointError):
            await b.operator.discard("accounts", ann, reason="no")
        assert await parked_positions(b.side) == [1]
        async with b.side._database.snapshot() as snapshot:
            assert not await snapshot.execute(sa.select(DISCARDS))


async def test_a_stopped_view_is_tried_again_without_a_restart_of_its_holder(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    ann = uuid4()
    async with bench(store, any_database, on_error="stop") as b:
        await append(store, Opened(ann, "Ann"))
        last = await append(store, Deposited(ann, 13))
        with pytest.raises(ProjectionStopped):
            await b.side.reached(last.position, timeout=SECONDS)
        await wait_until(lambda: projector_of(b.side).status is Status.STOPPED)
        assert (await b.operator.retry("accounts")).started
        with pytest.raises(ProjectionStopped):  # nothing was mended
            await wait_for_stop_again(b, last.position)
        b.rule.refused.clear()
        assert (await b.operator.retry("accounts")).started
        await b.side.reached(last.position, timeout=SECONDS)
        assert not (await b.operator.retry("accounts")).started
        (checkpoint,) = await checkpoints(b.side)
        assert (checkpoint.status, checkpoint.error, checkpoint.failed_at) == (
            "running",
            None,
            None,
        )


async def wait_for_stop_again(b: Bench, position: int) -> None:
    async def has_stopped() -> bool:
        return bool((await checkpoints(b.side))[0].attempts == 4)

    await wait_until(has_stopped)
    await b.side.reached(position, timeout=SECONDS)


async def test_a_full_parking_lot_makes_room_by_a_retry_and_goes_on(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    accounts = [uuid4() for _ in range(3)]
    async with bench(store, any_database, on_error=Park(keys=2)) as b:
        for each in accounts:
            last = await append(store, Deposited(each, 13))
        with pytest.raises(ProjectionStopped):
            await b.side.reached(last.position, timeout=SECONDS)
        b.rule.refused.clear()
        retried = await b.operator.retry("accounts")
        assert (len(retried.applied), retried.started) == (2, True)
        await b.side.reached(last.position, timeout=SECONDS)
        assert not await parked_keys(b.side)


async def test_nothing_is_committed_for_a_paused_view_by_any_process(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    ann = uuid4()
    async with bench(store, any_database) as b:
        seen = await append(store, Opened(ann, "Ann"))
        await b.side.reached(seen.position, timeout=SECONDS)
        assert await b.operator.pause("accounts", reason="a migration of the disk")
        assert not await b.operator.pause("accounts", reason="another")
        last = await append(store, Deposited(ann, 1))
        await wait_until(lambda: not held_by(b.side))
        models = [b.view]
        async with reading(store, database=any_database(), models=models, queries=[]) as another:
            await asyncio.sleep(0.3)  # nothing tells that something does not happen
            (checkpoint,) = await checkpoints(another)
            assert checkpoint.position == seen.position
        row = await b.row(ann)
        assert row is not None
        assert row.balance == 0
        assert await b.operator.resume("accounts")
        assert not await b.operator.resume("accounts")
        await b.side.reached(last.position, timeout=SECONDS)
        row = await b.row(ann)
        assert row is not None
        assert row.balance == 1


async def test_a_page_that_is_under_way_when_its_view_is_paused_is_not_committed(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    """It is prepared, and its transaction comes after the pause."""
    ann = uuid4()
    async with bench(store, any_database) as b:
        seen = await append(store, Opened(ann, "Ann"))
        await b.side.reached(seen.position, timeout=SECONDS)
        prepared, go = asyncio.Event(), asyncio.Event()
        finisher = projector_of(b.side)._finisher
        prepare = finisher._prepare

        async def slowly(*args: Any) -> Any:
            found = await prepare(*args)
            prepared.set()
            await go.wait()
            return found

        finisher._prepare = slowly  # type: ignore[method-assign]
        last = await append(store, Deposited(ann, 1))
        await prepared.wait()
        await b.operator.pause("accounts")
        go.set()
        await wait_until(lambda: not held_by(b.side))
        (checkpoint,) = await checkpoints(b.side)
        assert checkpoint.position == seen.position
        finisher._prepare = prepare  # type: ignore[method-assign]
        await b.operator.resume("accounts")
        await b.side.reached(last.position, timeout=SECONDS)


@pytest.mark.parametrize("place", ["pause.before_commit", "resume.before_commit"])
async def test_a_pause_that_is_cut_off_is_as_if_it_had_not_been(
    store: MemoryEventStore, any_database: AnyDatabase, place: str
) -> None:
    async with bench(store, any_database) as b:
        if place.startswith("resume"):
            await b.operator.pause("accounts")
        act: Callable[..., Any] = (
            b.operator.pause if place.startswith("pause") else b.operator.resume
        )
        with armed(place, fail), pytest.raises(FailpointError):
            await act("accounts")
        assert await act("accounts")


async def test_a_key_whose_events_never_cease_can_be_retried(
    store: MemoryEventStore, any_database: AnyDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is always one more by the time that the others are read: it joins them at the end."""
    ann, apply = uuid4(), retrying._apply
    async with bench(store, any_database) as b:
        await append(store, Opened(ann, "Ann"))
        last = await append(store, Deposited(ann, 13))
        await b.side.reached(last.position, timeout=SECONDS)
        b.rule.refused.clear()

        async def later(*args: Any) -> bool:
            one_more = await append(store, Deposited(ann, 1))
            await b.side.reached(one_more.position, timeout=SECONDS)
            return await apply(*args)

        monkeypatch.setattr(retrying, "_apply", later)
        (applied,) = (await b.operator.retry("accounts", ann)).applied
        assert applied.key == str(ann)
        row = await b.row(ann)
        assert row is not None
        assert (row.balance, row.deposits) == (14, 2)
        assert await b.operator.parked("accounts") == ()


async def test_of_two_operators_who_retry_at_once_each_key_is_applied_by_one(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    accounts = [uuid4() for _ in range(6)]
    async with bench(store, any_database) as b:
        for each in accounts:
            await append(store, Opened(each, "Ann"), Deposited(each, 13))
            last = await append(store, Deposited(each, 1))
        await b.side.reached(last.position, timeout=SECONDS)
        b.rule.refused.clear()
        both = [Operations(b.side).retry("accounts"), b.operator.retry("accounts")]
        retried = await asyncio.gather(*both)
        assert sorted(each.key for found in retried for each in found.applied) == sorted(
            map(str, accounts)
        )
        assert not any(found.failed for found in retried)
        rows = [await b.row(each) for each in accounts]
        assert [row and (row.balance, row.deposits) for row in rows] == [(14, 2)] * 6
        (checkpoint,) = await checkpoints(b.side)
        assert (checkpoint.parked_keys, checkpoint.parked_events) == (0, 0)


@pytest.mark.parametrize("parked_anew", [False, True])
async def test_a_key_that_is_discarded_while_it_fails_again_does_not_end_the_retry(
    store: MemoryEventStore,
    any_database: AnyDatabase,
    monkeypatch: pytest.MonkeyPatch,
    parked_anew: bool,
) -> None:
    """Another operator comes between; the error that was met is none of what is parked anew."""
    ann, bob = uuid4(), uuid4()
    note = retrying._note
    async with bench(store, any_database) as b:
        b.rule.refused = {13, 14}
        await append(store, Deposited(ann, 13))
        last = await append(store, Deposited(bob, 14))
        await b.side.reached(last.position, timeout=SECONDS)
        b.rule.refused = {13}

        async def after_another(*args: Any) -> None:
            await Operations(b.side).discard("accounts", ann, reason="it was a test")
            if parked_anew:
                again = await append(store, Deposited(ann, 13))
                await b.side.reached(again.position, timeout=SECONDS)
            await note(*args)

        monkeypatch.setattr(retrying, "_note", after_another)
        retried = await b.operator.retry("accounts")
        assert [each.key for each in retried.applied] == [str(bob)]
        assert [each.first_position for each in retried.failed] == [3] * parked_anew
        attempts = [(each.position, each.attempts) for each in await b.operator.parked("accounts")]
        assert attempts == [(3, 1)] * parked_anew
