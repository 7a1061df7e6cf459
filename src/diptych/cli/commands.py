"""The `diptych` command: its help, and the commands that it has."""

from importlib import metadata

import click

from diptych.cli.audit import audit
from diptych.cli.check import check
from diptych.cli.command import add
from diptych.cli.completion import completion
from diptych.cli.doctor import doctor
from diptych.cli.events import show, stream, tail
from diptych.cli.importing import import_events
from diptych.cli.migrate import migrate
from diptych.cli.parked import discard_parked, list_parked, retry_parked, show_parked
from diptych.cli.pausing import pause, resume
from diptych.cli.reactions import (
    discard_reaction,
    list_parked_streams,
    list_reactions,
    pause_reaction,
    resume_reaction,
    retry_reaction,
)
from diptych.cli.rebuild import rebuild
from diptych.cli.revisions import drop_revisions, list_revisions
from diptych.cli.run import run
from diptych.cli.status import status
from diptych.cli.why import why


def version() -> str:
    """Of the installed package; a working copy that is only on the path has none."""
    try:
        return metadata.version("diptych")
    except metadata.PackageNotFoundError:
        return "(not installed)"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version())
def diptych() -> None:
    """Run, watch and repair applications made with Diptych.

    MODULE:FACTORY is a Python module and, in it, a function without required arguments that returns
    an Application (or the Application itself), as in examples.orders.app:application. Say it once,
    in pyproject.toml:

    \b
        [tool.diptych]
        app = "examples.orders.app:application"

    or with --app, or in the variable DIPTYCH_APP. Modules are looked for in the folder of that
    pyproject.toml, or in the working directory, first.

    \b
    Exit codes of all commands:
      0    done, or all is well
      1    it cannot be done now, or views are not well; trying again may help
      2    the command line or the application has to change first
      3    found what has to be dealt with: differences, a breaking change
      130  stopped by a signal
    """


@diptych.group()
def events() -> None:
    """Read the log: its last events, one stream, or one event."""


@diptych.group()
def revisions() -> None:
    """List and drop what was built for views, by this code and by others."""


@diptych.group()
def parked() -> None:
    """List, retry and discard events that views have set aside."""


@diptych.group()
def reactions() -> None:
    """List reactions; retry and discard what they could not handle; pause and resume them."""


add(diptych, "run", run)
add(diptych, "status", status)
add(diptych, "import", import_events)
add(diptych, "check", check)
add(diptych, "migrate", migrate)
add(diptych, "doctor", doctor)
diptych.add_command(events)
diptych.add_command(completion)

add(events, "tail", tail)
add(events, "stream", stream)
add(events, "show", show)

add(diptych, "rebuild", rebuild)
add(diptych, "why", why)
add(revisions, "list", list_revisions)
add(revisions, "drop", drop_revisions)

add(diptych, "audit", audit)
add(diptych, "pause", pause)
add(diptych, "resume", resume)
add(parked, "list", list_parked)
add(parked, "show", show_parked)
add(parked, "retry", retry_parked)
add(parked, "discard", discard_parked)

add(reactions, "list", list_reactions)
add(reactions, "parked", list_parked_streams)
add(reactions, "retry", retry_reaction)
add(reactions, "discard", discard_reaction)
add(reactions, "pause", pause_reaction)
add(reactions, "resume", resume_reaction)
