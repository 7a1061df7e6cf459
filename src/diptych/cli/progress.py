"""`progress`: how far something long is, as a bar on a terminal and as lines elsewhere."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bars

from diptych.cli.described import duration
from diptych.cli.output import Output
from diptych.read.progress import OnProgress, Progress

_LINE_EVERY: Final = 5.0
"""Seconds between two lines, where there is no terminal."""


@contextmanager
def progress(out: Output) -> Generator[OnProgress]:
    """What it yields is told how far the work is. All of it goes to stderr."""
    if out.notes.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
        rest = TextColumn("{task.fields[rest]}")
        with Bars(*columns, rest, console=out.notes, transient=True) as bars:
            yield _Bar(bars).tell
    else:
        yield _Lines(out).tell


class _Bar:
    """One bar, which begins anew with each step."""

    def __init__(self, bars: Bars) -> None:
        self._bars, self._tasks = bars, dict[str, TaskID]()

    def tell(self, found: Progress) -> None:
        task = self._tasks.get(found.what)
        if task is None:
            task = self._tasks[found.what] = self._bars.add_task(found.what, rest="")
        done, total = found.done, found.total or None
        self._bars.update(task, completed=done, total=total, rest=_rest(found))


class _Lines:
    """A line now and then, and one at the end of each step that had a line."""

    def __init__(self, out: Output) -> None:
        self._out, self._next = out, time.monotonic() + _LINE_EVERY
        self._told = ("", 0)

    def tell(self, found: Progress) -> None:
        now, (what, done) = time.monotonic(), self._told
        ended = found.done >= found.total and found.what == what and found.done != done
        if now >= self._next or ended:
            self._out.note(f"{found.what}: {found.done:,}{_of(found)}, {_rest(found)}")
            self._next, self._told = now + _LINE_EVERY, (found.what, found.done)


def _of(found: Progress) -> str:
    return f" of {found.total:,} ({found.share:.0%})" if found.total else ""


def _rest(found: Progress) -> str:
    pace = f"{found.per_second:,.0f}/s"
    if found.time_left is None or found.done >= found.total:
        return pace
    return f"{pace}, {duration(found.time_left)} left"
