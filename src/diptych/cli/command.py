"""What all commands share: `--app`, `--json`, exit codes, and errors that are told in one line."""

import asyncio
import inspect
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.logging import RichHandler

from diptych.app import Application
from diptych.cli.exits import FAILED, STOPPED, code_of
from diptych.cli.output import Output
from diptych.cli.plain import as_line, printable
from diptych.cli.signals import until_stopped
from diptych.cli.target import declared, load
from diptych.errors import DiptychError

Body = Callable[..., Coroutine[Any, Any, int]]
"""It is given the application, not yet opened, the output, and its own words; it returns an exit
code."""

TRACEBACK: Final = "DIPTYCH_TRACEBACK"
TARGET: Final = click.argument("target", metavar="[MODULE:FACTORY]", required=False)
"""Of the commands that are also told the application by an argument."""

_AUTHORITY: Final = re.compile(r"//\S*@")
"""User and password of a URL; what a factory says when it fails may show one."""

_APP: Final = click.Option(
    ["--app"],
    metavar="MODULE:FACTORY",
    help="The application; without it what DIPTYCH_APP says, or app in [tool.diptych] of the"
    " nearest pyproject.toml.",
)
_JSON: Final = click.Option(["--json", "as_json"], is_flag=True, help="Print JSON, for programs.")


def add(group: click.Group, name: str, body: Body) -> None:
    """Make a command of a coroutine function with options: its docstring is the help."""

    def start(*, app: str | None, as_json: bool, **words: Any) -> None:
        out, target = Output(as_json=as_json), words.pop("target", None)
        log_to(out.notes, logging.ERROR)
        sys.exit(_code(lambda: body(_operated(app, target), out, **words), out))

    own: Sequence[click.Parameter] = getattr(body, "__click_params__", ())
    params: list[click.Parameter] = [*reversed(own), _APP, _JSON]
    group.add_command(click.Command(name, callback=start, params=params, help=inspect.getdoc(body)))


def _operated(option: str | None, argument: str | None) -> Application:
    """An operator's process projects nothing and migrates nothing, unless the command is to."""
    app = load(*declared(option, argument))
    app.project, app.operating, app.migrate = False, True, False
    return app


def log_to(console: Console, level: int) -> None:
    """Log lines on a console, with time and process where nobody looks; with tracebacks if
    everything is logged, or `DIPTYCH_TRACEBACK` is set.
    """
    if console.is_terminal:
        handler: logging.Handler = RichHandler(console=console)
        form = "%(message)s"
    else:
        handler = logging.StreamHandler(console.file)
        form = "%(asctime)s %(process)d %(levelname)s %(name)s %(message)s"
    if level > logging.INFO and not os.environ.get(TRACEBACK):
        handler.addFilter(_without_traceback)
    logging.basicConfig(level=level, format=form, handlers=[handler], force=True)


def _without_traceback(record: logging.LogRecord) -> bool:
    """The line says what failed and where; what an error says may be a secret."""
    record.exc_info = record.exc_text = None
    return True


def _code(work: Callable[[], Coroutine[Any, Any, int]], out: Output) -> int:
    """What the work comes to. Whatever goes wrong is told in one line."""
    try:
        code = asyncio.run(until_stopped(work()))
    except BrokenPipeError:  # `… | head`: nobody reads on, and that is in order
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except click.ClickException:
        raise
    except (DiptychError, OSError) as error:
        _tell(out, error, str(error))
        return code_of(error)
    except Exception as error:
        if os.environ.get(TRACEBACK):
            raise
        _tell(out, error, f"{_where(error)}; {TRACEBACK}=1 shows all of it")
        return FAILED
    if code is None:
        out.note(f"{command_path()}: stopped")
    return STOPPED if code is None else code


def command_path() -> str:
    """As it was typed: `diptych events tail`."""
    return click.get_current_context().command_path


def _tell(out: Output, error: Exception, message: str) -> None:
    name, line = type(error).__name__, printable(_AUTHORITY.sub("//…@", " ".join(message.split())))
    if out.as_json:
        click.echo(as_line({"error": name, "message": line}), err=True)
    else:
        click.echo(f"{command_path()}: {line}", err=True)


def _where(error: Exception) -> str:
    """Not its words: what nobody foresaw may have a password in it."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"unexpected {type(error).__name__} at {Path(last.filename).name}:{last.lineno}"
