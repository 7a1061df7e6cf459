"""Deciders: what is read from the hints, and what is refused at start-up."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from diptych.errors import ConfigurationError
from diptych.messages import Envelope
from diptych.write.decider import Decider
from tests.unit.write.account import (
    Account,
    Close,
    Deposit,
    Deposited,
    Withdraw,
    account_events,
    accounts,
    evolve,
)

ENVELOPE = Envelope(uuid4(), datetime.now(UTC), uuid4(), actor="ann")


@dataclass(frozen=True)
class Audit:
    reason: str


def with_envelope(command: Deposit, account: Account, envelope: Envelope) -> Sequence[Deposited]:
    return [Deposited(envelope.actor, command.amount)]


def without_hint(command, account):  # type: ignore[no-untyped-def]
    return []


def of_anything(command: Any, account: Account) -> Sequence[Deposited]:
    return []


def of_audits(command: Deposit | Audit, account: Account) -> Sequence[Deposited]:
    return []


def of_one(command: Deposit) -> Sequence[Deposited]:
    return []


def build(decide: Any, **more: Any) -> Decider[Any, Account, Any]:
    return Decider(
        account_events, key="account", initial=Account, decide=decide, evolve=evolve, **more
    )


def test_the_command_types_are_read_from_the_hint_of_decide() -> None:
    assert accounts.commands == (Deposit, Withdraw, Close)


def test_a_decide_with_a_third_parameter_gets_the_envelope() -> None:
    assert build(with_envelope).decide(Deposit("a", 1), Account(), ENVELOPE) == [
        Deposited("ann", 1)
    ]


@pytest.mark.parametrize("decide", [without_hint, of_anything, lambda command, account: []])
def test_a_hint_that_is_missing_or_says_nothing_is_refused(decide: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"Decider\(commands="):
        build(decide)


def test_commands_can_be_listed_where_the_hint_says_nothing() -> None:
    assert build(without_hint, commands=[Deposit]).commands == (Deposit,)


def test_a_command_without_the_key_field_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="Audit has no field 'account'"):
        build(of_audits)


def test_a_decide_with_another_number_of_parameters_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="takes 1 parameters"):
        build(of_one)


def test_a_stream_is_named_by_category_and_key() -> None:
    assert accounts.stream_of(Deposit("a-b", 1)) == "account-a-b"
    by_function = Decider(
        account_events,
        key=lambda command: command.account.upper(),
        initial=Account,
        decide=accounts.decide,
        evolve=evolve,
        commands=[Deposit],
    )
    assert by_function.stream_of(Deposit("x", 1)) == "account-X"


def test_a_fold_goes_over_many_events() -> None:
    assert accounts.fold([Deposited("a", 2), Deposited("a", 3)]) == Account(5)
    assert accounts.fold([Deposited("a", 2)], Account(10)) == Account(12)
