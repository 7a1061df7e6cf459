"""Handlers: they gather facts, write once, and never hide a twin's success behind a refusal."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from uuid import UUID, uuid4

import msgspec
import pytest

from diptych.clock import SystemClock
from diptych.errors import (
    ConcurrencyError,
    ConditionFailed,
    ConfigurationError,
    InvalidInput,
    Rejected,
)
from diptych.messages import Envelope
from diptych.store.contract import ANY_VERSION, START, Condition, Criterion, ExpectedVersion
from diptych.store.memory import MemoryEventStore
from diptych.write.execute import Executor
from diptych.write.handler import Change, CommandHandler, Writer, handler, run_handler
from diptych.write.outcome import Outcome
from tests.unit.write.account import (
    Account,
    Deposit,
    Deposited,
    Withdrawn,
    account_events,
    accounts,
)

clock = SystemClock()


def envelope(command_id: UUID | None = None) -> Envelope:
    made = Envelope(command_id or clock.new_id(), clock.now(), clock.new_id(), actor="ann")
    return made._replace(supplied=command_id is not None)


@pytest.fixture
async def executor() -> AsyncIterator[Executor]:
    async with MemoryEventStore() as store:
        yield Executor(store, clock)


def of(function: Callable[..., Awaitable[Outcome | None]]) -> CommandHandler:
    return handler(Deposit, function)


async def test_a_handler_gathers_facts_and_hands_on_to_the_decider(executor: Executor) -> None:
    async def generous(command: Deposit, write: Writer) -> Outcome:
        return await write(accounts, replace(command, amount=command.amount + 1))

    outcome = await run_handler(executor, of(generous), Deposit("a", 5), envelope())
    assert outcome.version == 1
    kept = executor.recall((accounts, "", "account-a"))
    assert kept is not None
    assert kept.state == Account(6)


async def test_an_object_with_handle_is_a_handler_too(executor: Executor) -> None:
    class Teller:
        async def handle(self, command: Deposit, write: Writer, envelope: Envelope) -> Outcome:
            assert envelope.actor == "ann"
            return await write(accounts, command)

    outcome = await run_handler(executor, handler(Deposit, Teller()), Deposit("a", 5), envelope())
    assert outcome.version == 1


async def test_a_repeat_does_not_run_the_handler_again(executor: Executor) -> None:
    runs = 0

    async def count(command: Deposit, write: Writer) -> Outcome:
        nonlocal runs
        runs += 1
        return await write(accounts, command)

    asked = envelope(uuid4())
    first = await run_handler(executor, of(count), Deposit("a", 5), asked)
    again = await run_handler(executor, of(count), Deposit("a", 5), asked)
    assert (runs, again) == (1, msgspec.structs.replace(first, repeated=True))


async def test_a_refusal_gives_way_to_a_twin_that_succeeded_meanwhile(executor: Executor) -> None:
    asked = envelope(uuid4())

    async def slow(command: Deposit, write: Writer) -> Outcome:
        await executor.execute(accounts, command, asked)  # the twin, through another server
        raise Rejected("out of stock by now")

    outcome = await run_handler(executor, of(slow), Deposit("a", 5), asked)
    assert outcome.repeated


async def test_a_handler_that_writes_twice_is_named(executor: Executor) -> None:
    async def greedy(command: Deposit, write: Writer) -> Outcome:
        await write(accounts, command)
        return await write(accounts, command)

    with pytest.raises(ConfigurationError, match="handler of Deposit writes twice"):
        await run_handler(executor, of(greedy), Deposit("a", 5), envelope())


async def test_several_streams_change_together_or_not_at_all(executor: Executor) -> None:
    async def transfer(command: Deposit, write: Writer) -> Outcome:
        source = await write.load(accounts, "source")
        return await write.append(
            Change(account_events, "source", [Withdrawn("source", 5)], source.version),
            Change(account_events, "target", [Deposited("target", 5)], 0),
        )

    outcome = await run_handler(executor, of(transfer), Deposit("x", 5), envelope())
    assert outcome.streams == (("account-source", 1), ("account-target", 1))


async def test_an_append_under_a_condition_is_refused_when_somebody_was_faster(
    executor: Executor,
) -> None:
    async def only_first(command: Deposit, write: Writer) -> Outcome:
        condition = Condition((Criterion(types=frozenset({"Deposited"})),), after=START)
        change = Change(account_events, command.account, [Deposited(command.account, 1)], 0)
        return await write.append(change, condition=condition)

    await run_handler(executor, of(only_first), Deposit("a", 1), envelope())
    with pytest.raises(ConditionFailed):
        await run_handler(executor, of(only_first), Deposit("b", 1), envelope())


async def test_a_handler_without_a_write_has_nothing_as_its_outcome(executor: Executor) -> None:
    async def idle(command: Deposit) -> None:
        return None

    asked = envelope(uuid4())
    first = await run_handler(executor, of(idle), Deposit("a", 1), asked)
    assert (first.streams, first.repeated) == ((), False)
    assert (await run_handler(executor, of(idle), Deposit("a", 1), asked)).repeated


def test_a_handler_with_too_many_parameters_is_refused() -> None:
    async def wrong(a: object, b: object, c: object, d: object) -> None:
        return None

    with pytest.raises(ConfigurationError, match="takes 4 parameters"):
        handler(Deposit, wrong)


@pytest.mark.parametrize("supplied", [None, uuid4()])
async def test_a_handler_that_returns_nothing_has_the_outcome_of_its_write(
    executor: Executor, supplied: UUID | None
) -> None:
    async def forgetful(command: Deposit, write: Writer) -> None:
        await write(accounts, command)

    outcome = await run_handler(executor, of(forgetful), Deposit("a", 5), envelope(supplied))
    assert (outcome.stream, outcome.position, outcome.repeated) == ("account-a", 1, False)


async def test_a_handler_that_loaded_and_wrote_nothing_tells_what_it_saw(
    executor: Executor,
) -> None:
    await executor.execute(accounts, Deposit("a", 5), envelope())

    async def content(command: Deposit, write: Writer) -> Outcome:
        await write.load(accounts, "a")
        await write.load(accounts, "b")
        return await write.nothing()

    outcome = await run_handler(executor, of(content), Deposit("a", 5), envelope())
    assert outcome.position == 1


@pytest.mark.parametrize("seen", [ANY_VERSION, 2])
@pytest.mark.parametrize(("expected", "accepted"), [(1, False), (2, True), (3, False)])
async def test_the_expected_version_of_a_command_is_that_of_the_first_stream(
    executor: Executor, seen: ExpectedVersion, expected: int, *, accepted: bool
) -> None:
    async def append(command: Deposit, write: Writer) -> Outcome:
        new = [Deposited(command.account, command.amount)]
        return await write.append(Change(account_events, command.account, new, seen))

    for _ in range(2):
        await executor.execute(accounts, Deposit("a", 5), envelope())
    asked = envelope()._replace(expected_version=expected)
    if accepted:
        assert (await run_handler(executor, of(append), Deposit("a", 5), asked)).version == 3
        return
    with pytest.raises(ConcurrencyError):
        await run_handler(executor, of(append), Deposit("a", 5), asked)
    assert (await executor.store.head()).position == 2


@pytest.mark.parametrize("key", ["", " a"])
async def test_a_change_under_a_key_that_no_command_can_have_is_refused(
    executor: Executor, key: str
) -> None:
    async def append(command: Deposit, write: Writer) -> Outcome:
        return await write.append(Change(account_events, key, [Deposited("a", 1)], 0))

    with pytest.raises(InvalidInput, match="key: must"):
        await run_handler(executor, of(append), Deposit("a", 5), envelope())
