"""What commands about views share: their names on the command line, and how amounts are told."""

from datetime import UTC, datetime

import click
from click.shell_completion import CompletionItem

from diptych.app import Application
from diptych.cli.described import duration
from diptych.cli.target import declared, load
from diptych.errors import DiptychError


def complete(context: click.Context, _: click.Parameter, typed: str) -> list[CompletionItem]:
    """The views of the application that is meant; nothing if it cannot be loaded."""
    try:
        app = load(*declared(context.params.get("app")))
    except (DiptychError, OSError):
        return []
    given = context.params.get("views") or ()
    return [
        CompletionItem(name) for name in app.names if name.startswith(typed) and name not in given
    ]


VIEW = click.argument("view", shell_complete=complete)
SOME_VIEWS = click.argument("views", metavar="VIEW...", nargs=-1, shell_complete=complete)
ALL = click.option("--all", "all_of_them", is_flag=True, help="All views and projections.")


def chosen(app: Application, views: tuple[str, ...], *, all_of_them: bool) -> tuple[str, ...]:
    """Raises: click.UsageError: neither views nor all are named, or both."""
    if all_of_them == bool(views):
        raise click.UsageError("name views, or say --all")
    return app.names if all_of_them else views


def size(count: int) -> str:
    """Bytes as people read them: `312 kB`."""
    if count < 1000:
        return f"{count} B"
    amount, unit = count / 1000, "kB"
    for larger in ("MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:,.0f} {unit}" if amount >= 10 else f"{amount:.1f} {unit}"


def age(since: datetime) -> str:
    return duration(datetime.now(UTC) - since)
