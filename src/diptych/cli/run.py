"""`diptych run`: builds the views of an application, for ever or until they are there."""

import asyncio
import logging
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from importlib import import_module
from typing import Final

import click

from diptych.app import Application
from diptych.cli.command import TARGET, command_path, log_to
from diptych.cli.described import facts_of, refuse_without_any
from diptych.cli.exits import DONE, FAILED
from diptych.cli.output import Output
from diptych.cli.watch import watch
from diptych.errors import ConfigurationError, ProjectionStopped

_AS_LONG_AS_IT_TAKES: Final = timedelta(days=365)


@TARGET
@click.option(
    "--until-caught-up",
    is_flag=True,
    help="End when every view has reached the head of the log as it was at the start: in a"
    " deployment, before the processes with the new code.",
)
@click.option(
    "--metrics",
    metavar="[HOST:]PORT",
    help="Answer Prometheus there, at /metrics. Without a host, only on this machine.",
)
@click.option(
    "-v", "--verbose", is_flag=True, help="Log what is not a warning as well, and tracebacks."
)
async def run(
    app: Application, out: Output, *, until_caught_up: bool, metrics: str | None, verbose: bool
) -> int:
    """Build the views of an application and run its reactions, without answering anybody.

    With --until-caught-up it only builds views: no reaction runs. Start as many of these as you
    like, on any machine that reaches both databases: they share the views among them, and when one
    ends the others take over what it held. SIGTERM and Ctrl-C stop it cleanly.

    \b
    Exit codes: 0 stopped, or with --until-caught-up caught up; 1 it cannot
    run now (a database is away), or the views have not caught up: one has
    stopped, or a signal came first; 2 the command line or the wiring of the
    application is wrong, and trying again will not help.
    """
    told = out.notes if out.as_json else out.console
    log_to(told, logging.INFO if verbose else logging.WARNING)
    try:
        with _metrics(app, out, metrics):
            return await project(app, out, until_caught_up=until_caught_up)
    except asyncio.CancelledError:
        if until_caught_up:
            out.note(f"{command_path()}: stopped before the views had caught up")
            return FAILED
        out.say("stopped")
        return DONE


@contextmanager
def _metrics(app: Application, out: Output, where: str | None) -> Generator[None]:
    """Raises: ConfigurationError: the package for it is not installed."""
    if where is None:
        yield
        return
    try:
        serving = import_module("diptych.cli.metrics").serving
    except ImportError as error:
        raise ConfigurationError(
            "--metrics needs prometheus-client: pip install 'diptych[metrics]'"
        ) from error
    with serving(app, where) as url:
        out.say(f"metrics: {url}")
        yield


async def project(app: Application, out: Output, *, until_caught_up: bool) -> int:
    """Open the application and build its views until this is cancelled, or they have caught up.

    Returns the exit code: 1 if views were to catch up and one has stopped.

    Raises: DiptychError: it cannot be opened, or has nothing to project.
    """
    refuse_without_any(app)
    app.project, app.operating, app.migrate = True, False, True
    app.react = not until_caught_up  # or new code would act on the world before it is deployed
    async with app:
        for fact in app.report():
            out.say(fact)
        watching = asyncio.create_task(watch(app, out), name="diptych-watch")
        try:
            return await (_catch_up(app, out) if until_caught_up else _for_ever(watching))
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


async def _for_ever(watching: "asyncio.Task[None]") -> int:
    await watching
    return DONE


async def _catch_up(app: Application, out: Output) -> int:
    code = DONE
    try:
        await app.caught_up(timeout=_AS_LONG_AS_IT_TAKES)
        out.say("all views have caught up")
    except ProjectionStopped as stopped:
        out.say(str(stopped))
        code = FAILED
    reactions = await app.operations.reactions()
    out.json(facts_of(await app.ready(), reactions, log_id=str(app.log.id)))
    return code
