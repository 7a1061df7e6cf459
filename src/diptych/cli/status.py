"""`status`: how the views of an application are, as a table or as JSON."""

import json
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from diptych.app import Application
from diptych.cli.watch import holders_of, refuse_without_views
from diptych.read.readiness import Readiness, State, ViewStatus

_COLOURS = {
    State.LIVE: "green",
    State.BUILDING: "yellow",
    State.BEHIND: "yellow",
    State.STUCK: "red",
    State.STOPPED: "red",
}


async def status(app: Application, console: Console, *, as_json: bool) -> int:
    """Show how the views are, without projecting; 0 if all are well, else 1.

    Raises: DiptychError: a database cannot be asked.
    """
    app.project = False
    async with app:
        found = await app.ready()
        log_id = str(app.log.id)
    refuse_without_views(found)
    if as_json:
        console.print(json.dumps(_facts(found, log_id)), markup=False, soft_wrap=True)
    else:
        _print(found, log_id, console)
    return 0 if found.ready else 1


def _print(found: Readiness, log_id: str, console: Console) -> None:
    console.print(f"log {log_id}, head {found.head:,}", highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("view", "state"):
        table.add_column(heading, overflow="fold")
    for heading in ("position", "behind", "lag"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("projected by", overflow="fold")
    for view in found.views:
        for row in _rows(view):
            table.add_row(*row)
    console.print(table)
    for view in found.views:
        if view.error:
            console.print(f"{view.name}: {view.error}", markup=False, soft_wrap=True)


def _rows(view: ViewStatus) -> Iterator[tuple[Text, ...]]:
    """One for the view; if it is split, one more for each partition."""
    state = Text(view.state.value, style=_COLOURS[view.state])
    lag = f"{view.lag.total_seconds():,.1f} s"
    numbers = (f"{view.position:,}", f"{view.behind:,}", lag)
    yield Text(view.name), state, *map(Text, numbers), Text(holders_of(view))
    if len(view.slots) > 1:
        for slot in view.slots:
            cells = (f"  part {slot.partition}", "", f"{slot.position:,}", "", "", slot.holder)
            yield tuple(map(Text, cells))


def _facts(found: Readiness, log_id: str) -> dict[str, object]:
    return {
        "ready": found.ready,
        "log_id": log_id,
        "head": found.head,
        "views": [_view_facts(view) for view in found.views],
    }


def _view_facts(view: ViewStatus) -> dict[str, object]:
    return {
        "name": view.name,
        "fingerprint": view.fingerprint,
        "revision": view.revision,
        "state": view.state.value,
        "position": view.position,
        "behind": view.behind,
        "lag_seconds": round(view.lag.total_seconds(), 3),
        "error": view.error,
        "slots": [
            {"partition": each.partition, "position": each.position, "holder": each.holder}
            for each in view.slots
        ],
    }
