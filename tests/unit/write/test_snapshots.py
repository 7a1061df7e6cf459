"""Snapshots behind the commits: found instead of events, in nobody's way, never trusted blindly."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from diptych.clock import SystemClock
from diptych.codec import Events
from diptych.errors import ConcurrencyError, ConfigurationError, StorageFull, StoreError
from diptych.failpoints import FailpointError, armed
from diptych.messages import Envelope
from diptych.store.contract import Load, Loaded
from diptych.store.memory import MemoryEventStore
from diptych.store.snapshots import Snapshot, SnapshotKey
from diptych.testing.waiting import wait_until
from diptych.upcast import Upcast
from diptych.write.decider import Decider
from diptych.write.execute import Executor
from diptych.write.handler import Writer
from diptych.write.outcome import Outcome
from diptych.write.side import WriteSide
from diptych.write.snapshots import Keeper
from diptych.write.state import MAX_BYTES
from tests.unit.write.account import (
    Account,
    Close,
    Closed,
    Deposit,
    Deposited,
    Event,
    NotEnough,
    Withdraw,
    Withdrawn,
    account_events,
    accounts,
    decide,
    evolve,
)

clock = SystemClock()
EVERY = 10


def keeping(every: int = EVERY, **changes: Any) -> Decider[Any, Any, Any]:
    given: dict[str, Any] = {
        "key": "account", "initial": Account, "decide": decide, "evolve": evolve, **changes,
    }  # fmt: skip
    return Decider(given.pop("events", account_events), snapshot_every=every, **given)


kept = keeping()


class Watched(MemoryEventStore):
    """Counts the events that loads bring, and can fail to keep snapshots, or never end to."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded = 0
        self.refuses: Exception | None = None
        self.hangs: asyncio.Event | None = None
        self.keeps = self.looks = 0

    async def load(self, load: Load) -> Loaded:
        loaded = await super().load(load)
        self.loaded += len(loaded.events)
        return loaded

    @property
    def snapshots(self) -> Any:
        return self

    async def keep(self, snapshot: Snapshot) -> None:
        self.keeps += 1
        if self.hangs:
            await self.hangs.wait()
        if self.refuses:
            raise self.refuses
        await super().snapshots.keep(snapshot)

    async def find(self, key: Any) -> Any:
        if not isinstance(key, SnapshotKey):
            return await super().find(key)
        self.looks += 1
        if isinstance(self.refuses, StoreError):
            raise self.refuses
        return await super().snapshots.find(key)


@pytest.fixture
async def store() -> AsyncIterator[Watched]:
    async with Watched() as store:
        yield store


async def run(
    executor: Executor, *commands: object, by: Any = kept, command_id: UUID | None = None
) -> Outcome:
    for command in commands:
        own_id = command_id or clock.new_id()
        envelope = Envelope(own_id, clock.now(), clock.new_id(), supplied=command_id is not None)
        outcome = await executor.execute(by, command, envelope)
    return outcome


async def snapshot_of(store: Watched, by: Any = kept, stream: str = "account-a") -> Snapshot | None:
    found: Snapshot | None = await store.snapshots.find(by.states.key("", stream))
    return found


async def kept_at(store: Watched, version: int, by: Any = kept) -> Snapshot:
    async with asyncio.timeout(5):
        while True:
            found = await snapshot_of(store, by)
            if found is not None and found.version == version:
                return found
            await asyncio.sleep(0.001)


async def settled(executor: Executor) -> None:
    """Until nothing is done behind its commits."""
    if executor.snapshots._keeping is not None:
        await asyncio.wait([executor.snapshots._keeping])


async def filled(store: Watched, events: int = EVERY, by: Any = kept) -> Executor:
    """An account with `events` deposits of 1, by an executor that has no task left."""
    executor = Executor(store, clock)
    await run(executor, *[Deposit("a", 1)] * events, by=by)
    await settled(executor)
    store.loaded = store.keeps = store.looks = 0
    return executor


async def test_a_state_is_kept_each_time_the_stream_has_grown(store: Watched) -> None:
    executor = await filled(store, EVERY - 1)
    assert await snapshot_of(store) is None
    await run(executor, Deposit("a", 1))
    await kept_at(store, 10)
    await run(executor, *[Deposit("a", 1)] * 9)
    assert store.keeps == 1
    await run(executor, Deposit("a", 1))
    await kept_at(store, 20)


async def test_a_stream_is_loaded_from_its_snapshot(store: Watched) -> None:
    await filled(store, 25)
    with pytest.raises(NotEnough):
        await run(Executor(store, clock), Withdraw("a", 26))
    assert store.loaded == 1 + 5
    outcome = await run(Executor(store, clock), Withdraw("a", 25))
    assert outcome.version == 26


async def test_a_snapshot_of_the_last_event_is_a_state_too(store: Watched) -> None:
    await filled(store, 10)
    elsewhere = Executor(store, clock)
    with pytest.raises(NotEnough):
        await run(elsewhere, Withdraw("a", 11))
    assert store.loaded == 1
    assert (await run(elsewhere, Withdraw("a", 10), Close("a"), Close("a"))).version == 12


async def test_a_long_stream_without_a_snapshot_gets_one_when_it_is_read(store: Watched) -> None:
    await filled(store, 25, by=accounts)
    with pytest.raises(NotEnough):
        await run(Executor(store, clock), Withdraw("a", 26))
    await kept_at(store, 25)


async def test_a_reader_of_a_snapshot_keeps_the_next_one_in_time(store: Watched) -> None:
    await filled(store, 10)
    elsewhere = Executor(store, clock)
    await run(elsewhere, *[Deposit("a", 1)] * 9)
    assert store.keeps == 0
    await run(elsewhere, Deposit("a", 1))
    await kept_at(store, 20)


async def test_handlers_load_from_a_snapshot_too(store: Watched) -> None:
    await filled(store, 25)
    envelope = Envelope(clock.new_id(), clock.now(), clock.new_id())
    known = await Writer(Executor(store, clock), object(), envelope).load(kept, "a")
    assert (known.state, known.version) == (Account(25), 25)
    assert known.point == await store.head()
    assert store.loaded == 1 + 5


async def test_what_a_handler_reads_in_full_is_kept(store: Watched) -> None:
    await filled(store, 25, by=accounts)
    envelope = Envelope(clock.new_id(), clock.now(), clock.new_id())
    await Writer(Executor(store, clock), object(), envelope).load(kept, "a")
    await kept_at(store, 25)


async def test_a_repeated_command_gets_its_first_outcome_from_before_the_snapshot(
    store: Watched,
) -> None:
    command_id = clock.new_id()
    first = await run(Executor(store, clock), Deposit("a", 7), command_id=command_id)
    await filled(store, 25)
    again = await run(Executor(store, clock), Deposit("a", 7), command_id=command_id)
    assert again == replace(first, repeated=True)


async def test_tenants_have_snapshots_of_their_own(store: Watched) -> None:
    await filled(store, 10)
    envelope = Envelope(clock.new_id(), clock.now(), clock.new_id(), tenant="north")
    with pytest.raises(NotEnough):
        await Executor(store, clock).execute(kept, Withdraw("a", 1), envelope)


async def test_without_snapshot_every_nothing_is_looked_for_or_kept(store: Watched) -> None:
    await filled(store, 25, by=accounts)
    with pytest.raises(NotEnough):
        await run(Executor(store, clock), Withdraw("a", 26), by=accounts)
    assert (store.keeps, store.looks, store.loaded) == (0, 0, 25)


# In nobody's way


async def test_no_command_waits_for_a_snapshot(store: Watched) -> None:
    store.hangs = asyncio.Event()
    executor = Executor(store, clock)
    async with asyncio.timeout(5):
        await run(executor, *[Deposit("a", 1)] * 40)
        for stream in range(200):
            await run(executor, *[Deposit(str(stream), 1)] * EVERY)
    assert store.keeps == 1
    assert len(executor.snapshots._waiting) <= 100
    await executor.snapshots.close()


async def test_a_store_that_cannot_keep_is_left_alone_for_a_while(
    store: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    store.refuses = StorageFull("no room")
    executor = await filled(store, 10)
    await run(executor, *[Deposit("a", 1)] * 40)
    assert store.keeps == 0
    assert [record.message for record in caplog.records] == [
        "no snapshots are kept for 60 s: no room"
    ]


async def test_a_store_in_which_none_can_be_looked_for_is_read_in_full(store: Watched) -> None:
    await filled(store, 10)
    store.refuses = StorageFull("no room")
    with pytest.raises(NotEnough):
        await run(Executor(store, clock), Withdraw("a", 11))
    assert store.loaded == 10


@pytest.mark.parametrize("step", ["before_encode", "before_keep", "after_keep"])
async def test_an_error_behind_a_commit_changes_nothing(
    store: Watched, caplog: pytest.LogCaptureFixture, step: str
) -> None:
    def fail() -> None:
        raise FailpointError

    with armed(f"snapshot.{step}", fail):
        executor = await filled(store, 10)
    await run(executor, *[Deposit("a", 1)] * 10)
    await kept_at(store, 20)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


async def test_closing_ends_what_is_behind_the_commits(store: Watched) -> None:
    store.hangs = asyncio.Event()
    executor = Executor(store, clock)
    await run(executor, *[Deposit("a", 1)] * 10)
    await wait_until(lambda: store.keeps == 1)
    await executor.snapshots.close()
    assert {task.get_name() for task in asyncio.all_tasks()} & {"diptych-snapshots"} == set()
    await Executor(store, clock).snapshots.close()


async def test_what_is_not_committed_yet_is_not_kept(store: Watched) -> None:
    executor = Executor(store, clock, uncommitted=True)
    await run(executor, *[Deposit("a", 1)] * 30)
    assert store.keeps == 0
    assert executor.snapshots._keeping is None


# Never trusted blindly


async def spoil(store: Watched, snapshot: Snapshot) -> None:
    await store.snapshots.keep(snapshot)


def resealed(snapshot: Snapshot, by: Any = kept, **changes: Any) -> Snapshot:
    """Changed by somebody who knows how the digest is made."""
    from diptych.write import state

    changed = replace(snapshot, **changes)
    place = changed.version, changed.position, changed.event_id
    return replace(changed, digest=state._digest(changed.key, place, changed.state))


SPOILT = {
    "another event": lambda s: resealed(s, event_id=uuid4()),
    "another position": lambda s: resealed(s, position=s.position + 1),
    "an earlier version": lambda s: resealed(s, version=s.version - 1),
    "a version that is not there": lambda s: resealed(s, version=99),
    "a huge version": lambda s: resealed(s, version=2**60),
    "version nought": lambda s: resealed(s, version=0),
    "another state": lambda s: replace(s, state=b'{"balance":1000,"closed":false}'),
    "half a state": lambda s: resealed(s, state=s.state[:7]),
    "no state": lambda s: resealed(s, state=b""),
    "a state of another type": lambda s: resealed(s, state=b'{"balance":"much"}'),
    "no digest": lambda s: replace(s, digest=b""),
}


@pytest.mark.parametrize("how", SPOILT)
async def test_a_snapshot_in_doubt_is_not_used_and_is_replaced(store: Watched, how: str) -> None:
    await filled(store, 25)
    good = await kept_at(store, 20)
    await store.snapshots.keep(SPOILT[how](good))
    store.loaded = 0
    elsewhere = Executor(store, clock)
    with pytest.raises(NotEnough):
        await run(elsewhere, Withdraw("a", 26))
    assert store.loaded >= 25
    await kept_at(store, 25)
    assert (await run(Executor(store, clock), Withdraw("a", 25))).version == 26


async def test_a_snapshot_of_another_stream_is_not_used(store: Watched) -> None:
    executor = await filled(store, 10)
    await run(executor, *[Deposit("b", 100)] * 10)
    await settled(executor)
    other = await snapshot_of(store, stream="account-b")
    assert other
    await store.snapshots.keep(replace(other, key=kept.states.key("", "account-a")))
    with pytest.raises(NotEnough):
        await run(Executor(store, clock), Withdraw("a", 11))


async def test_a_stale_snapshot_does_not_hide_a_conflict(store: Watched) -> None:
    await filled(store, 25)
    here, elsewhere = Executor(store, clock), Executor(store, clock)
    await run(here, Deposit("a", 1))
    await run(elsewhere, Withdraw("a", 26))
    envelope = Envelope(clock.new_id(), clock.now(), clock.new_id(), expected_version=26)
    with pytest.raises(ConcurrencyError):
        await here.execute(kept, Deposit("a", 1), envelope)


# Fingerprints


def evolve_doubled(account: Account, event: Event) -> Account:
    match event:
        case Deposited():
            return Account(account.balance + 2 * event.amount, account.closed)
        case _:
            return evolve(account, event)


@dataclass(frozen=True, slots=True)
class OldDeposit:
    account: str


def same(data: dict[str, Any]) -> dict[str, Any]:
    return data


def other_events() -> list[Events[Any]]:
    types = (Deposited, Withdrawn, Closed)
    return [
        Events("account", *types, names={Closed: "Ended"}),
        Events("account", *types, upcasters=[Upcast("Old", "Deposited", change=same)]),
        Events("account", *types, OldDeposit),
        Events("account", *types, ignore=["Old"]),
    ]


def test_the_same_rule_has_the_same_fingerprint() -> None:
    assert keeping(3).states.fingerprint == kept.states.fingerprint


@pytest.mark.parametrize(
    "changed",
    [
        keeping(evolve=evolve_doubled),
        keeping(initial=lambda: Account(1)),
        *(keeping(events=events) for events in other_events()),
    ],
)
def test_a_changed_rule_has_another_fingerprint(changed: Decider[Any, Any, Any]) -> None:
    assert changed.states.fingerprint != kept.states.fingerprint


async def test_a_snapshot_of_another_rule_is_not_used(store: Watched) -> None:
    await filled(store, 20)
    doubled = keeping(evolve=evolve_doubled)
    assert (await run(Executor(store, clock), Withdraw("a", 40), by=doubled)).version == 21
    await kept_at(store, 21, by=doubled)
    assert await snapshot_of(store) is not None


# What cannot be kept


def unhinted(account, event):  # type: ignore[no-untyped-def]
    return account


def vague(account: Account, event: Event) -> Any:
    return account


def unstorable(account: Account, event: Event) -> asyncio.Event:
    return asyncio.Event()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"evolve": unhinted}, "annotate what it returns"),
        ({"evolve": vague}, "annotate what it returns"),
        ({"evolve": unstorable}, "Event"),
        ({"evolve": lambda account, event: account}, "annotate what it returns"),
        ({"initial": threading.Lock}, "cannot be followed"),
    ],
)
async def test_a_state_that_cannot_be_kept_is_refused_when_it_is_put_together(
    store: Watched, wrong: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigurationError, match=rf"Decider\('account'\).*snapshot_every.*{says}"):
        WriteSide([keeping(**wrong)], store=store, clock=clock)


@pytest.mark.parametrize("every", [0, -1])
def test_snapshot_every_is_a_number_of_events(every: int) -> None:
    with pytest.raises(ConfigurationError, match="1 or more"):
        keeping(every)


@dataclass(frozen=True)
class Book:
    """Whatever it holds, it is not equal to what is stored of it."""

    text: str = ""

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__


def unequal(book: Book, event: Event) -> Book:
    return Book(book.text + "x")


@dataclass(frozen=True, slots=True)
class Pile:
    text: str = ""


def piled(pile: Pile, event: Event) -> Pile:
    return Pile(pile.text + "x" * (MAX_BYTES // 10))


def deposits(command: Deposit, state: object) -> list[Deposited]:
    return [Deposited(command.account, command.amount)]


@pytest.mark.parametrize(
    ("state", "rule", "says"), [(Book, unequal, "come back equal"), (Pile, piled, "4000000 bytes")]
)
async def test_a_state_that_does_not_come_back_is_not_kept(
    store: Watched, caplog: pytest.LogCaptureFixture, state: type, rule: Any, says: str
) -> None:
    by = keeping(initial=state, evolve=rule, decide=deposits)
    executor = await filled(store, 10, by=by)
    await run(executor, *[Deposit("a", 1)] * 10, by=by)
    await settled(executor)
    assert store.keeps == 0
    assert await snapshot_of(store, by) is None
    warnings = [each.message for each in caplog.records if each.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert says in warnings[0]


async def test_keepers_of_a_closed_store_only_read(store: Watched) -> None:
    await filled(store, 10)
    keeper = Keeper(store, keeps=False)
    known, loaded = await keeper.load((kept, "", "account-a"), Load("account-a"))
    assert (known.state, loaded.version) == (Account(10), 10)
    assert keeper.offer((kept, "", "account-a"), replace(known, version=99)).kept == 10
