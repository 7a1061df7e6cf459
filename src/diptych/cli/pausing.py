"""`diptych pause` and `diptych resume`: who projects leaves a view alone, and takes it up again."""

import click

from diptych.app import Application
from diptych.cli.exits import DONE
from diptych.cli.output import Output
from diptych.cli.views import ALL, SOME_VIEWS, chosen


@SOME_VIEWS
@ALL
@click.option("--reason", default="", help="What others are told who ask why it stands still.")
async def pause(
    app: Application, out: Output, *, views: tuple[str, ...], all_of_them: bool, reason: str
) -> int:
    """Let nobody project views, in any process, until they are resumed; restarts included.

    When this returns nothing is written to them any more. Queries are answered from what is there.
    A view is paused with all views over it, or under it.
    """
    chosen(app, views, all_of_them=all_of_them)
    async with app:
        names = views or await _roots(app)
        done = {name: await app.operations.pause(name, reason=reason) for name in names}
    out.json({"paused": done})
    for name, changed in done.items():
        out.say(f"{name}: {'paused' if changed else 'was paused already, the first reason stands'}")
    return DONE


@SOME_VIEWS
@ALL
async def resume(
    app: Application, out: Output, *, views: tuple[str, ...], all_of_them: bool
) -> int:
    """Let views be projected again; they go on where they were."""
    chosen(app, views, all_of_them=all_of_them)
    async with app:
        names = views or await _roots(app)
        done = {name: await app.operations.resume(name) for name in names}
    out.json({"resumed": done})
    for name, changed in done.items():
        out.say(f"{name}: {'resumed' if changed else 'was not paused'}")
    return DONE


async def _roots(app: Application) -> tuple[str, ...]:
    """Without the views over others, which are paused and resumed with them."""
    return tuple(view.name for view in (await app.ready()).views)
