"""The commands: their arguments, their help, and how errors are told."""

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final, NoReturn

import click
from rich.console import Console
from rich.logging import RichHandler

from diptych.app import Application
from diptych.cli.run import project
from diptych.cli.signals import until_stopped
from diptych.cli.status import status as show_status
from diptych.cli.target import load
from diptych.errors import ConfigurationError, DiptychError

_FAILED: Final = 1
_WRONG: Final = 2

TARGET: Final = click.argument("target", metavar="MODULE:FACTORY")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="diptych")
def diptych() -> None:
    """Run and watch applications made with Diptych.

    MODULE:FACTORY is a Python module and, in it, a function without required arguments that returns
    an Application (or the Application itself), as in examples.orders.app:application. The working
    directory is looked in first.
    """


@diptych.command()
@TARGET
@click.option(
    "--until-caught-up",
    is_flag=True,
    help="End when every view has reached the head of the log as it was at the start: in a"
    " deployment, before the processes with the new code.",
)
@click.option("-v", "--verbose", is_flag=True, help="Log what is not a warning as well.")
def run(target: str, *, until_caught_up: bool, verbose: bool) -> None:
    """Build the views of an application, without answering anybody.

    Start as many of these as you like, on any machine that reaches both databases: they share the
    views among them, and when one ends the others take over what it held. SIGTERM and Ctrl-C stop
    it cleanly.

    \b
    Exit codes: 0 stopped, or with --until-caught-up caught up; 1 it cannot
    run now (a database is away), or the views have not caught up: one has
    stopped, or a signal came first; 2 the command line or the wiring of the
    application is wrong, and trying again will not help.
    """
    console = Console()
    _log_to(console, logging.INFO if verbose else logging.WARNING)
    code = _do("run", target, lambda app: project(app, console, until_caught_up=until_caught_up))
    if code is None and until_caught_up:
        _fail("run", "stopped before the views had caught up", code=_FAILED)
    if code is None:
        click.echo("stopped")
    sys.exit(code or 0)


@diptych.command()
@TARGET
@click.option("--json", "as_json", is_flag=True, help="One line of JSON, for programs.")
def status(target: str, *, as_json: bool) -> None:
    """Show how the views of an application are, and who projects them.

    It projects nothing itself. Views of code that has not run yet are registered, and shown as
    being built.

    \b
    Exit codes: 0 all views can be read; 1 one is being built, stuck or
    stopped, or a database is away; 2 as for `run`.
    """
    _log_to(Console(stderr=True), logging.ERROR)
    code = _do("status", target, lambda app: show_status(app, Console(), as_json=as_json))
    sys.exit(_FAILED if code is None else code)


def _do(
    command: str, target: str, work: Callable[[Application], Coroutine[Any, Any, int]]
) -> int | None:
    """The exit code; None if a signal came first."""
    try:
        app = load(target)
        return asyncio.run(until_stopped(work(app)))
    except ConfigurationError as error:
        _fail(command, str(error), code=_WRONG)
    except (DiptychError, OSError) as error:
        _fail(command, str(error), code=_FAILED)


def _fail(command: str, reason: str, *, code: int) -> NoReturn:
    click.echo(f"diptych {command}: {reason}", err=True)
    sys.exit(code)


def _log_to(console: Console, level: int) -> None:
    if console.is_terminal:
        logging.basicConfig(
            level=level, format="%(message)s", handlers=[RichHandler(console=console)]
        )
    else:
        logging.basicConfig(
            level=level, format="%(asctime)s %(process)d %(levelname)s %(name)s %(message)s"
        )
