"""How often something is tried again, and what is not waited for any more."""

import asyncio
from typing import Any

import pytest

from diptych.read.failure import Failure, FailureKind
from diptych.read.trying import MOST, Tries


class Clock:
    """The time of the loop, as a test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        loop: Any = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "time", lambda: self.now)


def failure(key: str, *, error: str = "ValueError in project") -> Failure:
    return Failure(FailureKind.APPLY, error, len(key), "Deposited", ("", key))


def attempts(tries: Tries, what: Failure) -> int:
    """How often an event is tried that fails each time."""
    while tries.again(what):
        tries.count(what)
    return tries.of(what)


async def test_an_error_in_vain_is_waited_for_again_when_it_is_a_while_ago(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        clock, tries = Clock(patch), Tries(lambda: 0.5)
        assert attempts(tries, failure("ann")) == MOST
        assert attempts(tries, failure("bob")) == 1
        assert attempts(tries, failure("cleo", error="another")) == MOST
        clock.now += 1.5
        assert attempts(tries, failure("dora")) == 1
        clock.now += 1.5
        assert attempts(tries, failure("emma")) == 1, "a rule with a bug goes on to fail"
        clock.now += 2.5
        assert attempts(tries, failure("finn")) == MOST


async def test_a_full_parking_lot_and_a_lost_history_are_not_tried_again() -> None:
    tries = Tries(lambda: 0.5)
    for kind in (FailureKind.FULL, FailureKind.DIVERGED):
        assert not tries.again(Failure(kind, "it is full", 7))
