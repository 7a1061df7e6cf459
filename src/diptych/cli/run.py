"""`project`: what `diptych run` does."""

import asyncio
from datetime import timedelta
from typing import Final

from rich.console import Console

from diptych.app import Application
from diptych.cli.watch import refuse_without_views, watch
from diptych.errors import ProjectionStopped

_AS_LONG_AS_IT_TAKES: Final = timedelta(days=365)


async def project(app: Application, console: Console, *, until_caught_up: bool) -> int:
    """Open the application and build its views until this is cancelled, or they have caught up.

    Returns the exit code: 1 if views were to catch up and one has stopped.

    Raises: DiptychError: it cannot be opened, or has nothing to project.
    """
    app.project = True
    async with app:
        for fact in app.report():
            _say(console, fact)
        refuse_without_views(await app.ready())
        watching = asyncio.create_task(watch(app, console), name="diptych-watch")
        try:
            return await (_catch_up(app, console) if until_caught_up else _for_ever(watching))
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


async def _for_ever(watching: "asyncio.Task[None]") -> int:
    await watching
    return 0


async def _catch_up(app: Application, console: Console) -> int:
    try:
        await app.caught_up(timeout=_AS_LONG_AS_IT_TAKES)
    except ProjectionStopped as stopped:
        _say(console, str(stopped))
        return 1
    _say(console, "all views have caught up")
    return 0


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
