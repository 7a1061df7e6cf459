"""`diptych check`: whether the event types of the code still read what was stored."""

from collections.abc import Sequence
from pathlib import Path

import click

from diptych.app import Application
from diptych.cli.command import command_path
from diptych.cli.events import opened_log
from diptych.cli.exits import DONE, FOUND
from diptych.cli.output import Output
from diptych.cli.progress import progress
from diptych.evolution.compare import Finding, compare, merged
from diptych.evolution.logged import Logged
from diptych.evolution.schema import read, write


@click.option(
    "--file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("events.json"),
    show_default=True,
    help="The schema file, which belongs into the repository.",
)
@click.option("--write", "writes", is_flag=True, help="Write what is new into the schema file.")
@click.option("--log", "reads_log", is_flag=True, help="Look at every event of the log as well.")
async def check(app: Application, out: Output, *, file: Path, writes: bool, reads_log: bool) -> int:
    """Compare the event types of the code with the schema file, and with the log.

    The schema file has the shape of every event type that was ever stored. A field that was
    removed, renamed, given another type or is newly required breaks what was stored: it needs a new
    stored name and an upcaster, and the line to write is shown. What only is new has to be written
    into the file, with --write, and committed. Neither is done: exit code 3. Run it in CI.
    """
    families = list(dict.fromkeys(app.log.families))
    schema = read(file)
    findings = compare(schema, families)
    if writes:
        write(file, merged(schema, families, findings))
        findings = compare(read(file), families)
    logged = Logged(families)
    if reads_log:
        with progress(out) as tell:
            async with opened_log(app) as log:
                await logged.read(log.store, tell)
        findings += logged.findings()
        for category in logged.strangers():
            out.note(f"{command_path()}: nothing here reads category {category}")
    _tell(out, findings, file=file)
    return FOUND if findings else DONE


def _tell(out: Output, findings: Sequence[Finding], *, file: Path) -> None:
    out.json({"file": str(file), "findings": findings})
    for each in findings:
        out.say(f"{each.category}: {each.type} {'breaks' if each.breaks else 'is not in the file'}")
        for problem in each.problems:
            out.say(f"  {problem}")
        out.say(f"  write: {each.write}")
    if not findings:
        out.say(f"{file}: the code reads all that was stored")
