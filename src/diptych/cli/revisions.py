"""`diptych revisions`: the tables that views have, and dropping those that nobody needs."""

import click

from diptych.app import Application
from diptych.cli.exits import DONE
from diptych.cli.output import Output
from diptych.cli.plain import plain
from diptych.cli.views import age, size
from diptych.read.revisions import RevisionStatus

_HEADINGS = (
    *(">revision", "view", "status", "this code", ">position"),
    *(">rows", ">size", ">age", "used by"),
)


async def list_revisions(app: Application, out: Output) -> int:
    """List all revisions in the read database, of this code and of any other.

    A revision is a view's tables as one version of its code built them. Rows are counted, which
    takes a while where they are many. The size leaves out indexes on SQLite.
    """
    async with app:
        found = await app.operations.revisions()
    out.json({"revisions": [_facts(each) for each in found]})
    out.table(_HEADINGS, (_row(each) for each in found))
    return DONE


@click.argument("revisions", metavar="REVISION...", type=int, nargs=-1, required=True)
async def drop_revisions(app: Application, out: Output, *, revisions: tuple[int, ...]) -> int:
    """Delete the tables of revisions that nobody needs.

    Those that serve this code, and those that a process which is alive projects, are refused: exit
    code 2. There is no way back but a rebuild.
    """
    async with app:
        for revision in dict.fromkeys(revisions):
            await app.operations.drop_revision(revision)
            out.json({"dropped": revision})
            out.say(f"revision {revision} is dropped")
    return DONE


def _row(found: RevisionStatus) -> tuple[str, ...]:
    return (
        str(found.revision),
        found.view,
        found.status,
        "reads it" if found.current else "",
        f"{found.position:,}",
        f"{found.rows:,}",
        size(found.bytes),
        age(found.created_at),
        ", ".join(found.users),
    )


def _facts(found: RevisionStatus) -> dict[str, object]:
    return {**plain(found), "rows": found.rows, "bytes": found.bytes}
