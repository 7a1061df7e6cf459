"""`diptych status`: how views and reactions are, once or again and again."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

import click
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from diptych.app import Application
from diptych.cli.command import TARGET
from diptych.cli.described import facts_of, holders_of, refuse_without_any
from diptych.cli.exits import DONE, FAILED
from diptych.cli.output import Output, table_of
from diptych.errors import StoreError
from diptych.flow.status import ReactionState, ReactionStatus
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
_REACTION_COLOURS: Final = {
    ReactionState.REACTING: "green",
    ReactionState.RETRYING: "yellow",
    ReactionState.PAUSED: "yellow",
    ReactionState.WAITING: "yellow",
    ReactionState.STOPPED: "red",
}
_HEADINGS: Final = ("view", "state", ">position", ">behind", ">lag", "projected by")
_REACTION_HEADINGS: Final = ("reaction", "state", ">position", ">behind", ">lag", "run by")

_Found = tuple[Readiness, Sequence[ReactionStatus]]


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
    """Show how the views and reactions of an application are, and who projects and runs them.

    It projects nothing itself. Views of code that has not run yet are registered, and shown as
    being built.

    \b
    Exit codes: 0 all views can be read, and no reaction has stopped; 1 a
    view is being built or waits for it, is stuck or stopped, or a reaction
    is, or a database is away; 2 as for `run`.
    """
    refuse_without_any(app)
    async with app:
        if not watch:
            found, reactions = await _look(app)
            _show((found, reactions), app, out)
            stopped = any(each.state is ReactionState.STOPPED for each in reactions)
            return DONE if found.ready and not stopped else FAILED
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
                shown = _tables(await _look(app), app)
            except StoreError as error:
                shown = Group(Text(f"the databases cannot be asked: {error}", style="red"))
            live.update(shown, refresh=True)
            await asyncio.sleep(every)


async def _repeat(app: Application, out: Output, every: float) -> None:
    """One table, or one line of JSON, after the other."""
    while True:
        try:
            _show(await _look(app), app, out)
        except StoreError as error:
            out.note(f"the databases cannot be asked: {error}")
        await asyncio.sleep(every)


async def _look(app: Application) -> _Found:
    return await app.ready(), await app.operations.reactions()


def _show(found: _Found, app: Application, out: Output) -> None:
    if out.as_json:
        out.json(facts_of(*found, log_id=str(app.log.id)))
    else:
        out.console.print(_tables(found, app), soft_wrap=True)


def _tables(found: _Found, app: Application) -> Group:
    views, reactions = found[0].views, found[1]
    shown: list[RenderableType] = [Text(f"log {app.log.id}, head {found[0].head:,}")]
    if views:
        shown.append(table_of(_HEADINGS, (row for view in views for row in _rows(view))))
    if reactions:
        shown.append(table_of(_REACTION_HEADINGS, map(_row, reactions)))
    every: list[ViewStatus | ReactionStatus] = [*views, *reactions]
    shown += [Text(f"{each.name}: {each.error}") for each in every if each.error]
    shown += [
        Text(f"{view.name}: keys that are parked: {view.parked_keys:,}")
        for view in views
        if view.parked_keys
    ]
    shown += [
        Text(f"{each.name}: streams that are parked: {each.parked_streams:,}")
        for each in reactions
        if each.parked_streams
    ]
    return Group(*shown)


def _row(found: ReactionStatus) -> tuple[Text | str, ...]:
    state = Text(found.state.value, style=_REACTION_COLOURS[found.state])
    behind, lag = max(found.head - found.position, 0), f"{found.lag.total_seconds():,.1f} s"
    return found.name, state, f"{found.position:,}", f"{behind:,}", lag, found.holder or "nobody"


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
