"""Execution: what kept state may decide, what a repeated command gets, what a conflict leads to."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from diptych.clock import SystemClock
from diptych.errors import (
    CommandIdReused,
    ConcurrencyError,
    ConfigurationError,
    InvalidInput,
    OutcomeUnknown,
    Overloaded,
    StorageBusy,
)
from diptych.messages import Envelope
from diptych.store.contract import START, Append, Appended, CommandKey, Load
from diptych.store.memory import MemoryEventStore
from diptych.write.decider import Decider
from diptych.write.execute import Executor
from tests.unit.write.account import (
    Account,
    Close,
    Deposit,
    Deposited,
    NotEnough,
    Withdraw,
    Withdrawn,
    account_events,
    accounts,
    decide,
    evolve,
)

clock = SystemClock()


def envelope(command_id: UUID | None = None, **fields: object) -> Envelope:
    made = Envelope(
        command_id or clock.new_id(),
        clock.now(),
        clock.new_id(),
        actor="ann",
        supplied=command_id is not None,
    )
    return made._replace(**fields)


@pytest.fixture
async def store() -> AsyncIterator[MemoryEventStore]:
    async with MemoryEventStore() as store:
        yield store


@pytest.fixture
def here(store: MemoryEventStore) -> Executor:
    return Executor(store, clock)


@pytest.fixture
def elsewhere(store: MemoryEventStore) -> Executor:
    """Another process on the same log: it shares nothing but the store."""
    return Executor(store, clock)


async def events_in(store: MemoryEventStore) -> list[object]:
    page = await store.read(after=START)
    return [event for _, event in await account_events.decode(page.events)]


async def test_an_accepted_command_appends_what_was_decided(
    here: Executor, store: MemoryEventStore
) -> None:
    outcome = await here.execute(accounts, Deposit("a", 5), envelope())
    assert (outcome.stream, outcome.version, outcome.repeated) == ("account-a", 1, False)
    head = await store.head()
    assert (outcome.token.position, outcome.token.event_id) == head
    assert await events_in(store) == [Deposited("a", 5)]


async def test_the_envelope_is_recorded_with_each_event(
    here: Executor, store: MemoryEventStore
) -> None:
    asked = envelope(causation_id=uuid4())
    await here.execute(accounts, Deposit("a", 5), asked)
    (event,) = (await store.read(after=START)).events
    assert event.metadata == asked.metadata()


async def test_an_acceptance_from_stale_state_is_decided_again(
    here: Executor, elsewhere: Executor
) -> None:
    await here.execute(accounts, Deposit("a", 10), envelope())
    await elsewhere.execute(accounts, Withdraw("a", 9), envelope())
    with pytest.raises(NotEnough):
        await here.execute(accounts, Withdraw("a", 5), envelope())
    assert (await here.execute(accounts, Withdraw("a", 1), envelope())).version == 3


async def test_a_refusal_from_stale_state_is_not_an_answer(
    here: Executor, elsewhere: Executor
) -> None:
    await here.execute(accounts, Deposit("a", 1), envelope())
    await elsewhere.execute(accounts, Deposit("a", 9), envelope())
    assert (await here.execute(accounts, Withdraw("a", 10), envelope())).version == 3


async def test_nothing_to_do_from_stale_state_is_not_an_answer(
    here: Executor, elsewhere: Executor, store: MemoryEventStore
) -> None:
    def decide(command: Close, balance: int) -> list[Deposited]:
        return [Deposited("a", -balance)] if balance else []

    def evolve(balance: int, event: object) -> int:
        return balance + event.amount if isinstance(event, Deposited) else balance

    emptied = Decider(
        account_events, key="account", initial=int, decide=decide, evolve=evolve, commands=[Close]
    )
    assert (await here.execute(emptied, Close("a"), envelope())).version == 0
    await here.execute(emptied, Close("a"), envelope())
    await elsewhere.execute(accounts, Deposit("a", 7), envelope())
    assert (await here.execute(emptied, Close("a"), envelope())).version == 2


async def test_a_version_mismatch_from_stale_state_is_not_an_answer(
    here: Executor, elsewhere: Executor
) -> None:
    await here.execute(accounts, Deposit("a", 1), envelope())
    await elsewhere.execute(accounts, Deposit("a", 1), envelope())
    expecting = envelope(expected_version=2)
    assert (await here.execute(accounts, Deposit("a", 1), expecting)).version == 3


async def test_an_expected_version_that_is_past_is_refused_and_writes_nothing(
    here: Executor, elsewhere: Executor, store: MemoryEventStore
) -> None:
    await here.execute(accounts, Deposit("a", 1), envelope())
    await elsewhere.execute(accounts, Deposit("a", 1), envelope())
    with pytest.raises(ConcurrencyError) as refused:
        await here.execute(accounts, Deposit("a", 1), envelope(expected_version=1))
    assert (refused.value.expected, refused.value.actual) == (1, 2)
    assert (await store.head()).position == 2


async def test_a_repeated_command_gets_the_first_outcome_and_takes_no_effect(
    here: Executor, elsewhere: Executor, store: MemoryEventStore
) -> None:
    asked = envelope(uuid4())
    first = await here.execute(accounts, Deposit("a", 5), asked)
    await here.execute(accounts, Deposit("a", 1), envelope())
    for executor in (here, elsewhere):
        again = await executor.execute(accounts, Deposit("a", 5), asked)
        assert again == replace(first, repeated=True)
    assert (await store.head()).position == 2


async def test_a_repeat_comes_before_the_expected_version(here: Executor) -> None:
    asked = envelope(uuid4(), expected_version=0)
    first = await here.execute(accounts, Deposit("a", 5), asked)
    assert (await here.execute(accounts, Deposit("a", 5), asked)).version == first.version


async def test_a_command_id_with_other_content_is_refused(
    here: Executor, store: MemoryEventStore
) -> None:
    asked = envelope(uuid4())
    await here.execute(accounts, Deposit("a", 5), asked)
    for other in (Deposit("a", 6), Deposit("b", 5), Withdraw("a", 5)):
        with pytest.raises(CommandIdReused):
            await here.execute(accounts, other, asked)
    assert (await store.head()).position == 1


async def test_the_same_command_id_of_another_principal_is_another_command(here: Executor) -> None:
    command_id = uuid4()
    await here.execute(accounts, Deposit("a", 5), envelope(command_id))
    other = envelope(command_id, actor="bob")
    assert (await here.execute(accounts, Deposit("a", 5), other)).version == 2


async def test_a_rejection_is_not_remembered_a_repeat_is_decided_anew(here: Executor) -> None:
    asked = envelope(uuid4())
    with pytest.raises(NotEnough):
        await here.execute(accounts, Withdraw("a", 5), asked)
    await here.execute(accounts, Deposit("a", 5), envelope())
    assert (await here.execute(accounts, Withdraw("a", 5), asked)).version == 2


async def test_nothing_to_do_is_remembered_under_a_supplied_id(
    here: Executor, store: MemoryEventStore
) -> None:
    await here.execute(accounts, Close("a"), envelope())
    asked = envelope(uuid4())
    first = await here.execute(accounts, Close("a"), asked)
    assert (first.version, first.repeated) == (1, False)
    assert await store.find(CommandKey("", "ann", asked.command_id)) is not None
    again = await here.execute(accounts, Close("a"), asked)
    assert again == replace(first, repeated=True)


async def test_nothing_to_do_under_our_own_id_leaves_no_trace(
    here: Executor, store: MemoryEventStore
) -> None:
    await here.execute(accounts, Close("a"), envelope())
    asked = envelope()
    assert (await here.execute(accounts, Close("a"), asked)).token.position == 1
    assert await store.find(CommandKey("", "ann", asked.command_id)) is None


async def test_twins_take_effect_once(
    here: Executor, elsewhere: Executor, store: MemoryEventStore
) -> None:
    asked = envelope(uuid4())
    outcomes = await asyncio.gather(
        *(executor.execute(accounts, Deposit("a", 5), asked) for executor in (here, elsewhere) * 10)
    )
    assert {outcome.position for outcome in outcomes} == {1}
    assert sorted(outcome.repeated for outcome in outcomes) == [False] + [True] * 19
    assert (await store.head()).position == 1


async def test_commands_on_one_stream_take_turns(here: Executor, store: MemoryEventStore) -> None:
    outcomes = await asyncio.gather(
        *(here.execute(accounts, Deposit("a", 1), envelope()) for _ in range(100))
    )
    assert [outcome.version for outcome in outcomes] == list(range(1, 101))
    assert not here.turns.busy


async def test_processes_that_race_on_one_stream_all_get_through(
    store: MemoryEventStore,
) -> None:
    processes = [Executor(store, clock) for _ in range(4)]
    await asyncio.gather(
        *(
            process.execute(accounts, Deposit("a", 1), envelope())
            for process in processes
            for _ in range(25)
        )
    )
    loaded = await store.load(Load("account-a"))
    assert loaded.version == 100


async def test_a_cancelled_caller_leaves_the_stream_usable_and_the_state_right(
    here: Executor, store: MemoryEventStore
) -> None:
    for _ in range(20):
        task = asyncio.create_task(here.execute(accounts, Deposit("a", 1), envelope()))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert not here.turns.busy
    await here.execute(accounts, Deposit("a", 0), envelope())
    loaded = await store.load(Load("account-a"))
    balance = accounts.fold([event for _, event in await account_events.decode(loaded.events)])
    await here.execute(accounts, Withdraw("a", balance.balance), envelope())
    with pytest.raises(NotEnough):
        await here.execute(accounts, Withdraw("a", 1), envelope())


async def test_a_stream_that_is_wrongly_taken_for_new_is_loaded_and_decided_again(
    here: Executor, elsewhere: Executor
) -> None:
    await elsewhere.execute(accounts, Deposit("b", 10), envelope())
    await here.execute(accounts, Deposit("a", 1), envelope())
    assert Deposit in here.begins_streams
    assert (await here.execute(accounts, Deposit("b", 1), envelope())).version == 2
    assert Deposit not in here.begins_streams


async def test_a_refusal_on_a_stream_that_was_taken_for_new_is_not_an_answer(
    here: Executor, elsewhere: Executor
) -> None:
    with pytest.raises(NotEnough):
        await here.execute(accounts, Withdraw("a", 1), envelope())
    assert Withdraw in here.begins_streams
    await elsewhere.execute(accounts, Deposit("b", 10), envelope())
    assert (await here.execute(accounts, Withdraw("b", 1), envelope())).version == 2


async def test_the_kept_states_are_bounded(store: MemoryEventStore) -> None:
    executor = Executor(store, clock, cached_streams=2)
    for name in "abc":
        await executor.execute(accounts, Deposit(name, 1), envelope())
    assert executor.recall((accounts, "", "account-a")) is None
    kept = executor.recall((accounts, "", "account-c"))
    assert kept is not None
    assert kept.state == Account(1)


@pytest.mark.parametrize("key", ["", " a", "a\x00b", "x" * 600])
async def test_a_key_that_cannot_be_a_stream_name_is_refused(here: Executor, key: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await here.execute(accounts, Deposit(key, 1), envelope())
    assert refused.value.field in ("account", "stream")


async def test_a_decide_that_returns_a_bare_event_is_named(here: Executor) -> None:
    def decide(command: Deposit, account: Account) -> Deposited:
        return Deposited("a", 1)

    wrong = Decider(  # type: ignore[call-overload]
        account_events,
        key="account",
        initial=Account,
        decide=decide,
        evolve=accounts.evolve,
        commands=[Deposit],
    )
    with pytest.raises(ConfigurationError, match="return a sequence of events"):
        await here.execute(wrong, Deposit("a", 1), envelope())


class LosesAnAnswer(MemoryEventStore):
    """The first append is committed and its answer lost; the second cannot be made."""

    def __init__(self, then: Exception) -> None:
        super().__init__()
        self._answers = iter((OutcomeUnknown(), then))

    async def append(self, append: Append) -> Appended:
        answer = next(self._answers)
        if isinstance(answer, OutcomeUnknown):
            await super().append(append)
        raise answer


@pytest.mark.parametrize("then", [StorageBusy("locked"), Overloaded(waiting=1, limit=1)])
async def test_a_lost_answer_stays_unknown_when_the_second_attempt_cannot_be_made(
    then: Exception,
) -> None:
    async with LosesAnAnswer(then) as store:
        with pytest.raises(OutcomeUnknown):
            await Executor(store, clock).execute(accounts, Deposit("a", 5), envelope())
        assert await events_in(store) == [Deposited("a", 5)]


async def test_an_event_that_cannot_be_folded_is_not_appended(store: MemoryEventStore) -> None:
    def broken(account: Account, event: object) -> Account:
        raise ZeroDivisionError

    fragile = Decider(account_events, key="account", initial=Account, decide=decide, evolve=broken)
    with pytest.raises(ZeroDivisionError):
        await Executor(store, clock).execute(fragile, Deposit("a", 5), envelope())
    assert await events_in(store) == []


def withdraw_per_unit(command: Deposit | Withdraw, account: Account) -> list[Deposited | Withdrawn]:
    """Fails on an empty account, and decides what cannot be stored on a small one."""
    if isinstance(command, Deposit):
        return [Deposited(command.account, command.amount)]
    return [Withdrawn(command.account, 2**64 // account.balance**2)]


per_unit = Decider(
    account_events, key="account", initial=Account, decide=withdraw_per_unit, evolve=evolve
)


async def test_an_error_on_a_stream_that_was_taken_for_new_is_not_an_answer(
    here: Executor, elsewhere: Executor
) -> None:
    with pytest.raises(ZeroDivisionError):
        await here.execute(per_unit, Withdraw("empty", 1), envelope())
    await elsewhere.execute(per_unit, Deposit("a", 1000), envelope())
    assert (await here.execute(per_unit, Withdraw("a", 1), envelope())).version == 2


async def test_a_decision_from_stale_state_that_cannot_be_stored_is_not_an_answer(
    here: Executor, elsewhere: Executor
) -> None:
    await here.execute(per_unit, Deposit("a", 1), envelope())
    with pytest.raises(InvalidInput):
        await here.execute(per_unit, Withdraw("a", 1), envelope())
    await elsewhere.execute(per_unit, Deposit("a", 1000), envelope())
    assert (await here.execute(per_unit, Withdraw("a", 1), envelope())).version == 3


async def test_who_loses_every_race_is_told_both_versions(
    store: MemoryEventStore, elsewhere: Executor
) -> None:
    here = Executor(store, clock, attempts=1)
    await here.execute(accounts, Deposit("a", 1), envelope())
    await elsewhere.execute(accounts, Deposit("a", 1), envelope())
    with pytest.raises(ConcurrencyError) as refused:
        await here.execute(accounts, Deposit("a", 1), envelope())
    assert (refused.value.expected, refused.value.actual) == (1, 2)


async def test_a_state_is_kept_for_the_decider_that_made_it(here: Executor) -> None:
    def count(command: Deposit, deposits: int) -> list[Deposited]:
        return [Deposited(command.account, deposits + 1)]

    counts = Decider(
        account_events,
        key="account",
        initial=int,
        decide=count,
        evolve=lambda deposits, _: deposits + 1,
    )
    await here.execute(accounts, Deposit("a", 5), envelope())
    assert (await here.execute(counts, Deposit("a", 5), envelope())).version == 2
    kept = here.recall((counts, "", "account-a"))
    assert kept is not None
    assert kept.state == 2
