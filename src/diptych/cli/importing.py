"""`diptych import`: events from a file of JSON lines into the log."""

import asyncio
import os
import stat
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO, Final

import click

from diptych.app import Application
from diptych.cli.command import command_path
from diptych.cli.events import opened_log
from diptych.cli.exits import DONE, STOPPED
from diptych.cli.output import Output
from diptych.cli.progress import progress
from diptych.clock import SystemClock
from diptych.errors import DiptychError, InvalidInput
from diptych.importing.importer import Imported, check_lines, import_lines
from diptych.importing.lines import LONGEST
from diptych.read.progress import Meter

_STDIN: Final = Path("-")


@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--name",
    metavar="NAME",
    help="What stands for the file; under one name each line takes effect once. Without it the"
    " name of the file.",
)
@click.option("--tenant", default="", metavar="TENANT", help="Whose events they are.")
@click.option("--dry-run", is_flag=True, help="Read and check every line, and write nothing.")
async def import_events(
    app: Application, out: Output, *, file: Path, name: str | None, tenant: str, dry_run: bool
) -> int:
    """Append the events of a file of JSON lines to the log, in their order.

    FILE is - for stdin. Each line is an object with `stream`, `type` and `data`; it may have
    `version` (what the stream must come to), `occurred_at`, `event_id` and `tags`. That is what
    `diptych events tail --json --data` prints.

    It can be stopped at any time and run again: it goes on where it was, and each line takes effect
    once. Lines may be added at the end of the file later. Every line is checked with the code of
    the application; the first that is wrong ends the import, and is named.
    """
    if file == _STDIN and not name and not dry_run:
        raise InvalidInput("--name", "is needed with stdin: it stands for what was imported")
    with _opened(file) as lines, progress(out) as tell:
        async with nullcontext(app.log) if dry_run else opened_log(app) as log:
            source, clock = _lines(lines), SystemClock()
            if dry_run:
                steps = check_lines(log, source, tenant=tenant, clock=clock)
            else:
                kept = name or file.name
                steps = import_lines(log, source, name=kept, tenant=tenant, clock=clock)
            meter = Meter("checking" if dry_run else "importing", tell)
            run = _Run(out, lines, dry_run=dry_run)
            async with aclosing(steps):
                return await run.code(steps, meter)


class _Run:
    """What is told of an import while it runs, and at its end."""

    def __init__(self, out: Output, file: BinaryIO, *, dry_run: bool) -> None:
        self._out, self._file, self._dry_run = out, file, dry_run
        self._size = os.fstat(file.fileno()).st_size if file.seekable() else 0
        self._done = Imported()

    async def code(self, steps: AsyncGenerator[Imported], meter: Meter) -> int:
        try:
            async for self._done in steps:
                meter.at(self._done.events, self._total())
        except asyncio.CancelledError:
            self._out.note(f"{command_path()}: stopped{self._so_far()}")
            return STOPPED
        except DiptychError:
            self._out.note(f"{command_path()}: {self._done.events:,} events{self._so_far()}")
            raise
        meter.at(self._done.events, self._done.events)
        self._tell()
        return DONE

    def _total(self) -> int:
        """As many as the whole file has, if its lines are as long as those that were read."""
        if not self._size:
            return self._done.events
        return round(self._done.events * self._size / max(self._file.tell(), 1))

    def _so_far(self) -> str:
        if self._dry_run:
            return " are right before it"
        return f" at line {self._done.line:,}; what is before it is in the log: run it again"

    def _tell(self) -> None:
        done = self._done
        self._out.json(done)
        if self._dry_run:
            self._out.say(f"{done.events:,} events, all of them right; nothing was written")
        else:
            before = f"; {done.found:,} were there before" if done.found else ""
            self._out.say(f"{done.appended:,} events appended{before}")


async def _lines(file: BinaryIO) -> AsyncGenerator[bytes]:
    """A pipe may keep silent for long, and this must hear signals meanwhile."""
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        while line := file.readline(LONGEST + 1):
            yield line
        return
    reader = asyncio.StreamReader(limit=LONGEST + 2)
    loop = asyncio.get_running_loop()
    pipe, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file)
    try:
        while line := await reader.readline():
            yield line
    except ValueError as error:  # there is no end of the line within the limit
        raise InvalidInput("stdin", f"a line has more than {LONGEST} bytes") from error
    finally:
        pipe.close()


@contextmanager
def _opened(file: Path) -> Generator[BinaryIO]:
    if file == _STDIN:
        yield sys.stdin.buffer
        return
    try:
        lines = file.open("rb")
    except OSError as error:
        raise InvalidInput("file", f"{file} cannot be read: {error.strerror}") from error
    with lines:
        yield lines
