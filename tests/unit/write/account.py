"""A small write model for the tests of the write side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from diptych.codec import Events
from diptych.errors import Rejected
from diptych.write.decider import Decider


@dataclass(frozen=True, slots=True)
class Deposit:
    account: str
    amount: int


@dataclass(frozen=True, slots=True)
class Withdraw:
    account: str
    amount: int


@dataclass(frozen=True, slots=True)
class Close:
    account: str


@dataclass(frozen=True, slots=True)
class Deposited:
    account: str
    amount: int


@dataclass(frozen=True, slots=True)
class Withdrawn:
    account: str
    amount: int


@dataclass(frozen=True, slots=True)
class Closed:
    account: str


class NotEnough(Rejected):
    pass


@dataclass(frozen=True, slots=True)
class Account:
    balance: int = 0
    closed: bool = False


Command = Deposit | Withdraw | Close
Event = Deposited | Withdrawn | Closed


def decide(command: Command, account: Account) -> Sequence[Event]:
    match command:
        case Deposit():
            return [Deposited(command.account, command.amount)]
        case Withdraw():
            if account.balance < command.amount:
                raise NotEnough(f"{command.account} has not enough")
            return [Withdrawn(command.account, command.amount)]
        case Close():
            return [] if account.closed else [Closed(command.account)]
        case _:
            assert_never(command)


def evolve(account: Account, event: Event) -> Account:
    match event:
        case Deposited():
            return Account(account.balance + event.amount, account.closed)
        case Withdrawn():
            return Account(account.balance - event.amount, account.closed)
        case Closed():
            return Account(account.balance, closed=True)
        case _:
            assert_never(event)


account_events = Events("account", Deposited, Withdrawn, Closed)
accounts = Decider(account_events, key="account", initial=Account, decide=decide, evolve=evolve)
