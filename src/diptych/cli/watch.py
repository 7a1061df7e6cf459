"""`watch`: tells what becomes of views and reactions, with a bar for each view on a terminal."""

import asyncio
from collections.abc import Sequence
from typing import Final, NoReturn

from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from diptych.app import Application
from diptych.cli.described import facts_of, holders_of, left, line_of, line_of_reaction
from diptych.cli.output import Output
from diptych.errors import StoreError
from diptych.flow.status import ReactionState, ReactionStatus
from diptych.read.readiness import Readiness, State, ViewStatus

_LOOK_EVERY: Final = 0.5
_TELL_EVERY: Final = 20
"""Looks between two lines about a view that is being built, where there is no terminal."""


async def watch(app: Application, out: Output) -> NoReturn:
    """Look again and again, and tell what has changed."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    left_ = TextColumn("{task.fields[left]}")
    bars_ = out.console.is_terminal and not out.as_json
    with Progress(*columns, left_, console=out.console, transient=True, disable=not bars_) as bars:
        teller = _Teller(bars, out)
        while True:
            try:
                found, reactions = await app.ready(), await app.operations.reactions()
            except StoreError as error:
                teller.trouble(str(error))
            else:
                if teller.tell(found, reactions):
                    out.json(facts_of(found, reactions, log_id=str(app.log.id)))
            await asyncio.sleep(_LOOK_EVERY)


class _Teller:
    """Remembers what it told, so that it tells each thing once."""

    def __init__(self, bars: Progress, out: Output) -> None:
        self._bars, self._out, self._shown = bars, out, dict[str, TaskID]()
        self._states: dict[str, tuple[State, str]] = {}
        self._holders: dict[str, str] = {}
        self._reactions: dict[str, tuple[ReactionState, str, str]] = {}
        self._trouble, self._looks = "", 0
        self._terminal = not bars.disable

    def trouble(self, what: str) -> None:
        if what != self._trouble:
            self._out.note(f"the databases cannot be asked, trying again: {what}")
        self._trouble = what

    def tell(self, found: Readiness, reactions: Sequence[ReactionStatus]) -> bool:
        """Whether there was anything new."""
        if self._trouble:
            self._out.note("the databases answer again")
        self._trouble = ""
        self._looks += 1
        new = False
        for view in found.views:
            new |= self._tell_holders(view)
            new |= self._tell_state(view)
            if self._terminal:
                self._move_bar(view)
        for reaction in reactions:
            new |= self._tell_reaction(reaction)
        return new

    def _tell_reaction(self, found: ReactionStatus) -> bool:
        now = (found.state, found.holder, found.error)
        new = self._reactions.get(found.name) != now
        if new:
            self._out.say(line_of_reaction(found))
        self._reactions[found.name] = now
        return new

    def _tell_state(self, view: ViewStatus) -> bool:
        building = view.state is State.BUILDING and self._looks % _TELL_EVERY == 0
        now = (view.state, view.error)
        new = self._states.get(view.name) != now or (building and not self._terminal)
        if new:
            self._out.say(line_of(view))
        self._states[view.name] = now
        return new

    def _tell_holders(self, view: ViewStatus) -> bool:
        holders = holders_of(view)
        new = self._holders.get(view.name) != holders
        if new:
            self._out.say(f"{view.name}: projected by {holders}")
        self._holders[view.name] = holders
        return new

    def _move_bar(self, view: ViewStatus) -> None:
        task = self._shown.get(view.name)
        if view.state is not State.BUILDING:
            if task is not None:
                self._bars.remove_task(self._shown.pop(view.name))
            return
        if task is None:
            task = self._shown[view.name] = self._bars.add_task(view.name, left="")
        self._bars.update(task, completed=view.position, total=view.head, left=left(view)[2:])
