"""`Output`: results on stdout, as text or as JSON; everything else on stderr."""

from collections.abc import Iterable, Sequence
from typing import Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from diptych.cli.plain import as_line, printable

_NO_TERMINAL: Final = 10_000
"""Columns where nobody looks: nothing is folded or cut, so that it can be searched."""

Cell = str | Text


class Output:
    """Where a command prints. With `as_json` there is nothing on stdout but JSON."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.console = _console(stderr=False)
        self.notes = _console(stderr=True)

    def say(self, line: Cell = "") -> None:
        """A line for people."""
        if not self.as_json:
            _print(self.console, line)

    def note(self, line: str) -> None:
        """A line that is no result: how far it is, what to do next."""
        _print(self.notes, line)

    def json(self, value: object) -> None:
        """A line for programs."""
        if self.as_json:
            click.echo(as_line(value))

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
        """A table for people; see `table_of`."""
        if not self.as_json:
            self.console.print(table_of(headings, rows))

    def facts(self, facts: Iterable[tuple[str, Cell]]) -> None:
        """Names and values, one a line; those without a value are left out."""
        there = [(name, value) for name, value in facts if str(value)]
        width = max((len(name) for name, _ in there), default=0)
        for name, value in there:
            self.say(Text.assemble((f"{name:<{width}}  ", "bold"), _text(value)))


def table_of(headings: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Table:
    """A heading that begins with `>` is of numbers, which stand at the right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        number = heading.startswith(">")
        table.add_column(
            heading.removeprefix(">"),
            justify="right" if number else "left",
            no_wrap=number,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*map(_text, row))
    return table


def _text(cell: Cell) -> Text:
    return cell if isinstance(cell, Text) else Text(printable(cell))


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Left to `command`: that nobody reads on is no failure."""
        raise  # noqa: PLE0704 - it is called while the error is handled


def _console(*, stderr: bool) -> Console:
    console = _Console(stderr=stderr)
    return console if console.is_terminal else _Console(stderr=stderr, width=_NO_TERMINAL)


def _print(console: Console, line: Cell) -> None:
    console.print(_text(line), highlight=False, soft_wrap=True)
