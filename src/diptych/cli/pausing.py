"""`diptych pause` and `resume`: views and reactions are left alone, and taken up again."""

import click

from diptych.app import Application
from diptych.cli.exits import DONE
from diptych.cli.output import Output
from diptych.cli.views import SOME, refuse_unknown

_ALL = click.option("--all", "all_of_them", is_flag=True, help="All views and reactions.")


@SOME
@_ALL
@click.option("--reason", default="", help="What others are told who ask why it stands still.")
async def pause(
    app: Application, out: Output, *, names: tuple[str, ...], all_of_them: bool, reason: str
) -> int:
    """Let nobody project views, or run reactions, in any process, until they are resumed; restarts
    included.

    When this returns nothing is written to a view any more, and nothing is under way in a reaction.
    Queries are answered from what is there. A view is paused with all views over it, or under it.
    """
    _named_or_all(app, names, all_of_them=all_of_them)
    async with app:
        done = {name: await _pause(app, name, reason=reason) for name in names or await _every(app)}
    out.json({"paused": done})
    for name, changed in done.items():
        out.say(f"{name}: {'paused' if changed else 'was paused already, the first reason stands'}")
    return DONE


@SOME
@_ALL
async def resume(
    app: Application, out: Output, *, names: tuple[str, ...], all_of_them: bool
) -> int:
    """Let views be projected, and reactions run, again; they go on where they were."""
    _named_or_all(app, names, all_of_them=all_of_them)
    async with app:
        done = {name: await _resume(app, name) for name in names or await _every(app)}
    out.json({"resumed": done})
    for name, changed in done.items():
        out.say(f"{name}: {'resumed' if changed else 'was not paused'}")
    return DONE


def _named_or_all(app: Application, names: tuple[str, ...], *, all_of_them: bool) -> None:
    if all_of_them == bool(names):
        raise click.UsageError("name views and reactions, or say --all")
    refuse_unknown(app, names)


async def _pause(app: Application, name: str, *, reason: str) -> bool:
    acts = app.operations
    if name in acts.reaction_names:
        return await acts.reaction(name).pause(reason=reason)
    return await acts.pause(name, reason=reason)


async def _resume(app: Application, name: str) -> bool:
    acts = app.operations
    if name in acts.reaction_names:
        return await acts.reaction(name).resume()
    return await acts.resume(name)


async def _every(app: Application) -> tuple[str, ...]:
    """Without the views over others, which are paused and resumed with them."""
    views = (view.name for view in (await app.ready()).views)
    return (*views, *app.operations.reaction_names)
