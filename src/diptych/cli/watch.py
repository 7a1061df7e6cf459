"""`watch`: tells what becomes of the views, line by line, with a bar for each on a terminal."""

import asyncio
from datetime import timedelta
from typing import Final, NoReturn

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from diptych.app import Application
from diptych.errors import ConfigurationError, StoreError
from diptych.read.readiness import Readiness, State, ViewStatus

_LOOK_EVERY: Final = 0.5
_TELL_EVERY: Final = 20
"""Looks between two lines about a view that is being built, where there is no terminal."""


async def watch(app: Application, console: Console) -> NoReturn:
    """Look at the views again and again, and tell what has changed."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    left_ = TextColumn("{task.fields[left]}")
    terminal = console.is_terminal
    with Progress(*columns, left_, console=console, transient=True, disable=not terminal) as bars:
        teller = _Teller(bars)
        while True:
            try:
                teller.tell(await app.ready())
            except StoreError as error:
                teller.trouble(str(error))
            await asyncio.sleep(_LOOK_EVERY)


def refuse_without_views(found: Readiness) -> None:
    """Raises: ConfigurationError: there is nothing to project or to show."""
    if not found.views:
        raise ConfigurationError("the application has no views or projections")


def line_of(view: ViewStatus) -> str:
    """How a view is, in one line."""
    text = f"{view.name}: {view.state.value} at {view.position:,}"
    if view.behind:
        text += f" of {view.head:,} ({view.progress:.0%}){left(view)}"
    return f"{text}: {view.error}" if view.error else text


def left(view: ViewStatus) -> str:
    if view.time_left is None:
        return ""
    return f", {_duration(view.time_left)} left"


def holders_of(view: ViewStatus) -> str:
    """Who projects it: the processes that hold its partitions."""
    holders = {slot.holder: slot.mine for slot in view.slots}
    named = [
        f"{holder or 'nobody'}{' (this process)' if mine else ''}"
        for holder, mine in sorted(holders.items())
    ]
    return ", ".join(named)


def _duration(time: timedelta) -> str:
    seconds = max(round(time.total_seconds()), 1)
    if seconds < 100:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 6_000 else f"{seconds / 3_600:.1f} h"


class _Teller:
    """Remembers what it told, so that it tells each thing once."""

    def __init__(self, bars: Progress) -> None:
        self._bars, self._shown = bars, dict[str, TaskID]()
        self._states: dict[str, tuple[State, str]] = {}
        self._holders: dict[str, str] = {}
        self._trouble, self._looks = "", 0
        self._terminal = bars.console.is_terminal

    def trouble(self, what: str) -> None:
        if what != self._trouble:
            self._say(f"the databases cannot be asked, trying again: {what}")
        self._trouble = what

    def tell(self, found: Readiness) -> None:
        if self._trouble:
            self._say("the databases answer again")
        self._trouble = ""
        self._looks += 1
        for view in found.views:
            self._tell_holders(view)
            self._tell_state(view)
            if self._terminal:
                self._move_bar(view)

    def _tell_state(self, view: ViewStatus) -> None:
        building = view.state is State.BUILDING and self._looks % _TELL_EVERY == 0
        now = (view.state, view.error)
        if self._states.get(view.name) != now or (building and not self._terminal):
            self._say(line_of(view))
        self._states[view.name] = now

    def _tell_holders(self, view: ViewStatus) -> None:
        holders = holders_of(view)
        if self._holders.get(view.name) != holders:
            self._say(f"{view.name}: projected by {holders}")
        self._holders[view.name] = holders

    def _move_bar(self, view: ViewStatus) -> None:
        task = self._shown.get(view.name)
        if view.state is not State.BUILDING:
            if task is not None:
                self._bars.remove_task(self._shown.pop(view.name))
            return
        if task is None:
            task = self._shown[view.name] = self._bars.add_task(view.name, left="")
        self._bars.update(task, completed=view.position, total=view.head, left=left(view)[2:])

    def _say(self, line: str) -> None:
        self._bars.console.print(line, markup=False, highlight=False, soft_wrap=True)
