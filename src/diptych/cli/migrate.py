"""`diptych migrate`: the tables of an older version of Diptych become those of this one."""

from dataclasses import dataclass

import click

from diptych.app import Application
from diptych.backends import keep_schema, migrate_log
from diptych.cli.exits import DONE, FOUND
from diptych.cli.output import Output
from diptych.errors import SchemaMismatch


@dataclass(frozen=True, slots=True)
class Step:
    """A database and the versions of its tables: the one that it had and the one of this code.

    None where that is not known.
    """

    database: str
    found: int | None
    now: int | None

    @property
    def needed(self) -> bool:
        return self.found != self.now and self.found != 0


@click.option("--check", is_flag=True, help="Only say what there is to do.")
async def migrate(app: Application, out: Output, *, check: bool) -> int:
    """Bring log and read database to the tables of this version of Diptych.

    Each in one transaction: it is done, or the database is as it was. `diptych run` and the
    application itself do the same when they are started, unless they are told not to
    (Application(migrate=False)); the other commands never do. Events are not touched. Processes
    with the older version of Diptych have to end first.

    \b
    Exit codes: 0 done, or nothing to do; 3 with --check: there is something
    to do; 1, 2 as always.
    """
    steps = await (_needed(app) if check else _done(app))
    out.json({"steps": steps, "done": not check})
    for step in steps:
        out.say(_line(step, check=check))
    return FOUND if check and any(step.needed for step in steps) else DONE


async def _needed(app: Application) -> list[Step]:
    """Looks, in the order in which it would be done."""
    store = app.log.store
    keep_schema(store)
    try:
        await store.open()
    except SchemaMismatch as older:
        return [Step("log", *_versions(older))]  # the other can only be looked at behind this
    await store.close()
    return [Step("log", None, None), await _read(app)]


async def _done(app: Application) -> list[Step]:
    migrated = await migrate_log(app.log.store)
    log = Step("log", None, None) if migrated is None else Step("log", *migrated)
    read = await _read(app)
    if read.needed:
        app.migrate = True
        async with app:
            pass
    return [log, read]


async def _read(app: Application) -> Step:
    """The log is migrated already."""
    try:
        async with app:
            return Step("read database", None, None)
    except SchemaMismatch as older:
        return Step("read database", *_versions(older))


def _versions(older: SchemaMismatch) -> tuple[int, int]:
    """Raises: SchemaMismatch: it is newer than this code."""
    if older.found > older.supported:
        raise older
    return older.found, older.supported


def _line(step: Step, *, check: bool) -> str:
    if step.found == 0:
        return f"{step.database}: made anew, version {step.now}"
    if not step.needed:
        return f"{step.database}: nothing to do"
    what = "is to go" if check else "went"
    return f"{step.database}: {what} from version {step.found} to {step.now}"
