"""`diptych doctor`: whether everything that an application needs is there and fits together."""

import logging
import platform
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from importlib import metadata
from typing import Final

from rich.text import Text

from diptych.app import Application
from diptych.cli.events import opened_log
from diptych.cli.exits import DONE, FOUND
from diptych.cli.machine import troubles_with
from diptych.cli.output import Output
from diptych.errors import DiptychError, UndecodableEvent, UnknownEventType
from diptych.flow.status import ReactionState, ReactionStatus
from diptych.log import Log
from diptych.read.readiness import State
from diptych.store.contract import Point

_PACKAGES: Final = (
    "sqlalchemy",
    "msgspec",
    "pysqlite3",
    "asyncpg",
    "fastapi",
    "uvicorn",
    "pydantic",
)
_EVENTS: Final = 1_000
_SKEW: Final = timedelta(seconds=5)


class Level(Enum):
    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is, and what to do about it."""

    level: Level
    about: str
    says: str
    do: str = ""


_COLOURS: Final = {Level.OK: "green", Level.WARNING: "yellow", Level.PROBLEM: "red"}


async def doctor(app: Application, out: Output) -> int:
    """Look at everything that the application needs, and say what does not fit.

    It looks at the packages, the log, the read database, the views, the reactions, the files and
    the clock, and whether this code can read the last events. It projects and migrates nothing;
    views of code that has not run yet are registered, as by `diptych status`.

    \b
    Exit codes: 0 all is well, or there are warnings only; 3 there is a
    problem; 1, 2 as always.
    """
    noticed = _Noticed()
    logging.getLogger("diptych").addHandler(noticed)
    found = [Finding(Level.OK, "packages", _packages())]
    found.extend([each async for each in _of_databases(app)])
    found += [Finding(Level.WARNING, "log line", line) for line in noticed.lines]
    found += list(_of_files(app))
    out.json({"findings": found})
    for finding in found:
        for line in _lines(finding):
            out.say(line)
    return FOUND if any(each.level is Level.PROBLEM for each in found) else DONE


async def _of_databases(app: Application) -> AsyncGenerator[Finding]:
    try:
        async with opened_log(app) as log:
            async for each in _of_log(log):
                yield each
    except (DiptychError, OSError) as error:
        yield Finding(Level.PROBLEM, "log", str(error))
        yield Finding(Level.WARNING, "read database", "cannot be looked at without the log")
        return
    try:
        async with app:
            for fact in app.report():
                about, _, says = fact.partition(": ")
                yield Finding(Level.OK, about, says)
            async for each in _of_views(app):
                yield each
            for reaction in await app.operations.reactions():
                yield _of_reaction(reaction)
    except (DiptychError, OSError) as error:
        yield Finding(Level.PROBLEM, "read database", str(error))


async def _of_log(log: Log) -> AsyncGenerator[Finding]:
    head = (await log.head()).position
    page = await log.read(after=Point(max(head - _EVENTS, 0)), limit=_EVENTS)
    for event in page.events:
        try:
            await log.decode(event)
        except (UnknownEventType, UndecodableEvent) as error:
            do = f"diptych events show {event.position}"
            yield Finding(Level.PROBLEM, "events", str(error), do)
            break
    else:
        yield Finding(
            Level.OK, "events", f"this code reads the last {len(page.events):,} of {head:,}"
        )
    ahead = page.events[-1].recorded_at - datetime.now(UTC) if page.events else timedelta(0)
    if ahead > _SKEW:
        says = f"the last event was recorded {ahead.total_seconds():,.0f} s in the future"
        yield Finding(Level.WARNING, "clock", says, "set the clocks of the machines (NTP)")


async def _of_views(app: Application) -> AsyncGenerator[Finding]:
    bad = {State.STUCK, State.STOPPED}
    for view in (await app.ready()).views:
        level = Level.OK if view.state is State.LIVE else Level.WARNING
        level = Level.PROBLEM if view.state in bad else level
        says = f"{view.state.value} at {view.position:,} of {view.head:,}"
        do = "" if level is Level.OK else f"diptych why {view.name}"
        yield Finding(level, f"view {view.name}", says, do)


def _of_reaction(found: ReactionStatus) -> Finding:
    well = found.state in {ReactionState.REACTING, ReactionState.RETRYING}
    level = Level.OK if well and not found.parked_streams else Level.WARNING
    level = Level.PROBLEM if found.state is ReactionState.STOPPED else level
    says = f"{found.state.value} at {found.position:,} of {found.head:,}"
    if found.parked_streams:
        says = f"{says}, parked streams: {found.parked_streams:,}"
    do = "" if level is Level.OK else f"diptych why {found.name}"
    return Finding(level, f"reaction {found.name}", says, do)


def _of_files(app: Application) -> Iterator[Finding]:
    for file in app.files:
        if not file.exists():
            continue
        try:
            troubles = list(troubles_with(file))
        except OSError as error:
            yield Finding(Level.WARNING, "file", f"{file} cannot be looked at: {error.strerror}")
            continue
        for says, do in troubles:
            yield Finding(Level.WARNING, "file", says, do)
        if not troubles:
            yield Finding(Level.OK, "file", str(file))


def _packages() -> str:
    found = [f"Python {platform.python_version()}"]
    for name in _PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            found.append(f"no {name}")
    return ", ".join(found)


def _lines(finding: Finding) -> Iterator[Text]:
    level = (f"{finding.level.value:<8}", _COLOURS[finding.level])
    yield Text.assemble(level, f" {finding.about}: {finding.says}")
    if finding.do:
        yield Text(f"         do: {finding.do}")


class _Noticed(logging.Handler):
    """Warnings that are logged meanwhile: they are findings too."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
