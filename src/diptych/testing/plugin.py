"""The pytest plugin: fixtures for tests of applications.

pytest imports this module in every run of everybody who has Diptych installed. So nothing is
imported here that costs anything: `diptych` itself imports its parts when they are used.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import diptych
from diptych.testing.clock import FixedClock

pytest.register_assert_rewrite("diptych.testing.conformance")


@pytest.fixture
def fixed_clock() -> FixedClock:
    """Time that stands still at `diptych.testing.START` until `advance`; ids that count."""
    return FixedClock()


@pytest.fixture
def diptych_memory_log(fixed_clock: FixedClock) -> "diptych.MemoryEventStore":
    """An event log in memory, not open yet, for `Application(log=...)`."""
    return diptych.MemoryEventStore(clock=fixed_clock)


@pytest.fixture
def diptych_app(tmp_path: Path, fixed_clock: FixedClock) -> "Callable[..., diptych.Application]":
    """Makes applications on files of this test, with the fixed clock:

        async with diptych_app(write=[orders], views=[summaries]) as app:
            await app.dispatch(ShipOrder(order_id))

    It takes what `Application` takes; whatever is given replaces log, read database or clock. A
    second application finds what the first one left, as after a restart.
    """

    def make(**parts: Any) -> diptych.Application:
        files: dict[str, Any] = {
            "log": f"sqlite:///{tmp_path / 'log.db'}",
            "read": f"sqlite:///{tmp_path / 'read.db'}",
            "clock": fixed_clock,
        }
        return diptych.Application(**files | parts)

    return make
