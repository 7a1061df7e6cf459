"""Failpoints do nothing until they are armed, and then exactly what was asked for."""

import asyncio
import os
import subprocess
import sys

import pytest

from diptych.failpoints import FailpointError, armed, cancel, fail, failpoint


def test_a_failpoint_that_is_not_armed_does_nothing() -> None:
    failpoint("somewhere")


def test_an_armed_failpoint_acts_on_the_chosen_hits_only() -> None:
    turns: list[int] = []
    hits: list[int] = []
    with armed("here", lambda: hits.append(len(turns)), on=2, times=2):
        for turn in range(1, 6):
            turns.append(turn)
            failpoint("here")
            failpoint("elsewhere")
    failpoint("here")
    assert hits == [2, 3]


def test_a_failpoint_is_disarmed_even_after_it_raised() -> None:
    with pytest.raises(FailpointError), armed("here", fail):
        failpoint("here")
    failpoint("here")
    with pytest.raises(asyncio.CancelledError), armed("here", cancel):
        failpoint("here")


@pytest.mark.parametrize(("action", "code"), [("kill", -9), ("raise", 1)])
def test_the_environment_arms_a_process_that_is_to_die(action: str, code: int) -> None:
    program = (
        "from diptych.failpoints import failpoint\nfailpoint('x'); print('once'); failpoint('x')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"DIPTYCH_FAILPOINTS": f"y=raise, x={action}@2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == code
    assert action == "kill" or ended.stdout == "once\n"
