"""`diptych status`: how the views of an application are, once or again and again."""

import asyncio
from collections.abc import Iterator
from typing import Final

import click
from rich.console import Group
from rich.live import Live
from rich.text import Text

from diptych.app import Application
from diptych.cli.command import TARGET
from diptych.cli.described import facts_of, holders_of, refuse_without_views
from diptych.cli.exits import DONE, FAILED
from diptych.cli.output import Output, table_of
from diptych.errors import StoreError
from diptych.read.readiness import Readiness, State, ViewStatus

_COLOURS: Final = {
    State.LIVE: "green",
    State.BUILDING: "yellow",
    State.UNBUILT: "yellow",
    State.PAUSED: "yellow",
    State.BEHIND: "yellow",
    State.STUCK: "red",
    State.STOPPED: "red",
}
_HEADINGS: Final = ("view", "state", ">position", ">behind", ">lag", "projected by")


@TARGET
@click.option("-w", "--watch", is_flag=True, help="Again and again, until Ctrl-C.")
@click.option(
    "--every",
    type=click.FloatRange(min=0.1),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="With --watch: the time between two looks.",
)
async def status(app: Application, out: Output, *, watch: bool, every: float) -> int:
    """Show how the views of an application are, and who projects them.

    It projects nothing itself. Views of code that has not run yet are registered, and shown as
    being built.

    \b
    Exit codes: 0 all views can be read; 1 one is being built or waits
    for it, is stuck or stopped, or a database is away; 2 as for `run`.
    """
    async with app:
        found = await app.ready()
        refuse_without_views(found)
        if not watch:
            _show(found, app, out)
            return DONE if found.ready else FAILED
        try:
            await (_watch(app, out, every) if _is_live(out) else _repeat(app, out, every))
        except asyncio.CancelledError:
            return DONE
    return DONE


def _is_live(out: Output) -> bool:
    return out.console.is_terminal and not out.as_json


async def _watch(app: Application, out: Output, every: float) -> None:
    """One table that changes in its place."""
    with Live(console=out.console, auto_refresh=False, screen=False) as live:
        while True:
            try:
                shown = _table(await app.ready(), app)
            except StoreError as error:
                shown = Group(Text(f"the databases cannot be asked: {error}", style="red"))
            live.update(shown, refresh=True)
            await asyncio.sleep(every)


async def _repeat(app: Application, out: Output, every: float) -> None:
    """One table, or one line of JSON, after the other."""
    while True:
        try:
            _show(await app.ready(), app, out)
        except StoreError as error:
            out.note(f"the databases cannot be asked: {error}")
        await asyncio.sleep(every)


def _show(found: Readiness, app: Application, out: Output) -> None:
    if out.as_json:
        out.json(facts_of(found, log_id=str(app.log.id)))
    else:
        out.console.print(_table(found, app), soft_wrap=True)


def _table(found: Readiness, app: Application) -> Group:
    errors = [Text(f"{view.name}: {view.error}") for view in found.views if view.error]
    errors += [
        Text(f"{view.name}: keys that are parked: {view.parked_keys:,}")
        for view in found.views
        if view.parked_keys
    ]
    rows = (row for view in found.views for row in _rows(view))
    heading = Text(f"log {app.log.id}, head {found.head:,}")
    return Group(heading, table_of(_HEADINGS, rows), *errors)


def _rows(view: ViewStatus) -> Iterator[tuple[Text | str, ...]]:
    """One for the view; one more for each view over it, and for each partition if it is split."""
    state = Text(view.state.value, style=_COLOURS[view.state])
    lag = f"{view.lag.total_seconds():,.1f} s"
    yield view.name, state, f"{view.position:,}", f"{view.behind:,}", lag, holders_of(view)
    for name in view.over:
        yield f"  over it: {name}", "", "", "", "", ""
    if len(view.slots) > 1:
        for slot in view.slots:
            yield f"  part {slot.partition}", "", f"{slot.position:,}", "", "", slot.holder
