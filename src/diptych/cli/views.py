"""What commands about views and reactions share: their names, and how amounts are told."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import click
from click.shell_completion import CompletionItem

from diptych.app import Application
from diptych.cli.described import duration
from diptych.cli.target import declared, load
from diptych.errors import DiptychError, InvalidInput

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def completes(names_of: Callable[[Application], tuple[str, ...]]) -> Complete:
    """Names in the application that is meant; nothing if it cannot be loaded."""

    def complete(
        context: click.Context, parameter: click.Parameter, typed: str
    ) -> list[CompletionItem]:
        try:
            names = names_of(load(*declared(context.params.get("app"))))
        except (DiptychError, OSError):
            return []
        given = context.params.get(parameter.name or "") or ()
        return [
            CompletionItem(each) for each in names if each.startswith(typed) and each not in given
        ]

    return complete


def both(app: Application) -> tuple[str, ...]:
    """Views, projections and reactions: no two of them have one name."""
    return (*app.names, *app.operations.reaction_names)


def refuse_unknown(app: Application, names: Iterable[str]) -> None:
    """Raises: InvalidInput: one of them is neither a view nor a reaction."""
    known = both(app)
    for name in names:
        if name not in known:
            there = ", ".join(known) or "nothing"
            raise InvalidInput("name", f"there is no view or reaction {name!r}; there is {there}")


_views = completes(lambda app: app.names)
VIEW = click.argument("view", shell_complete=_views)
SOME_VIEWS = click.argument("views", metavar="VIEW...", nargs=-1, shell_complete=_views)
ALL = click.option("--all", "all_of_them", is_flag=True, help="All views and projections.")
SOME = click.argument("names", metavar="NAME...", nargs=-1, shell_complete=completes(both))
REACTION = click.argument(
    "name", metavar="REACTION", shell_complete=completes(lambda app: app.operations.reaction_names)
)


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
