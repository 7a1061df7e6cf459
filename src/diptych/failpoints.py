"""Named places in the hard parts of the code where tests provoke a crash, an error or a wait.

A failpoint that is not armed costs one look at an empty dict. They are armed by a test
(`with armed("append.before_commit", fail)`) or, for processes that are to be killed, by the
environment: `DIPTYCH_FAILPOINTS="append.before_commit=kill@3,projector.after_commit=raise"`, where
`@3` means the third time.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial

Action = Callable[[], None]


class FailpointError(Exception):
    """What an armed `raise` failpoint raises; nothing in Diptych catches it by name."""


_armed: dict[str, Action] = {}


def failpoint(name: str) -> None:
    """Do what is armed under this name; nothing otherwise."""
    if _armed and (action := _armed.get(name)):
        action()


@contextmanager
def armed(name: str, action: Action, *, on: int = 1, times: int = 1) -> Generator[None, None, None]:
    """Arm `name`: its `on`-th hit and the `times - 1` hits after it run `action`."""
    _armed[name] = _counted(action, on, times)
    try:
        yield
    finally:
        _armed.pop(name, None)


def kill() -> None:
    """End this process as `kill -9` does: no handler, no flush, no goodbye."""
    os.kill(os.getpid(), signal.SIGKILL)


def fail() -> None:
    raise FailpointError("an armed failpoint raised")


def cancel() -> None:
    raise asyncio.CancelledError


def arm_from_environment(setting: str) -> None:
    """Arm what `setting` lists as `name=action` or `name=action@hit`, separated by commas."""
    actions: dict[str, Action] = {
        "kill": kill,
        "raise": fail,
        "cancel": cancel,
        "sleep": partial(time.sleep, 0.2),
    }
    for entry in filter(None, setting.split(",")):
        name, _, action = entry.partition("=")
        kind, _, hit = action.partition("@")
        _armed[name.strip()] = _counted(actions[kind.strip()], int(hit or 1), 1)


def _counted(action: Action, on: int, times: int) -> Action:
    hits = 0

    def hit() -> None:
        nonlocal hits
        hits += 1
        if on <= hits < on + times:
            action()

    return hit


arm_from_environment(os.environ.get("DIPTYCH_FAILPOINTS", ""))
