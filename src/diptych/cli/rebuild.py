"""`diptych rebuild`: views again from the log, beside those that serve."""

import json
from collections.abc import Iterator
from datetime import timedelta

import click

from diptych.app import Application
from diptych.cli.described import duration
from diptych.cli.exits import DONE, FOUND
from diptych.cli.output import Output
from diptych.cli.plain import plain
from diptych.cli.progress import progress
from diptych.cli.views import ALL, SOME_VIEWS, chosen
from diptych.errors import InvalidInput
from diptych.read.rebuild import Rebuilt
from diptych.read.verify import Difference, Verification


@SOME_VIEWS
@ALL
@click.option("--full-speed", is_flag=True, help="Leave no time to live commands and queries.")
@click.option(
    "--only-if-equal",
    is_flag=True,
    help="Do not let a view serve that differs from the one before, though its rule is the same.",
)
@click.option("--key", help="Only the row under this key, in its place, from the whole log.")
@click.option("--tenant", default="", metavar="TENANT", help="With --key: whose row it is.")
async def rebuild(
    app: Application,
    out: Output,
    *,
    views: tuple[str, ...],
    all_of_them: bool,
    full_speed: bool,
    only_if_equal: bool,
    key: str | None,
    tenant: str,
) -> int:
    """Build views again from the beginning of the log, all of them by one reading.

    They are built beside those that serve, compared with them, and then serve in their place, in
    one step: no query notices. It can be stopped at any time and run again: it goes on where it
    was. What was replaced is kept until `diptych revisions drop`.

    \b
    Exit codes: 0 done; 3 done, and a view differed from the one before
    though its rule is the same; 1, 2 as always.
    """
    names = chosen(app, views, all_of_them=all_of_them)
    if key is not None:
        return await _row(app, out, names, key=key, tenant=tenant)
    async with app:
        with progress(out) as tell:
            done = await app.operations.rebuild(
                names, full_speed=full_speed, only_if_equal=only_if_equal, on_progress=tell
            )
    out.json({"rebuilt": [_facts(each) for each in done]})
    for each in done:
        for line in _lines(each):
            out.say(line)
    found = any(each.verification is not None and each.verification.finding for each in done)
    return FOUND if found else DONE


async def _row(
    app: Application, out: Output, names: tuple[str, ...], *, key: str, tenant: str
) -> int:
    if len(names) != 1:
        raise click.UsageError("--key belongs to one view")
    async with app:
        with progress(out) as tell:
            given = parsed(key)
            done = await app.operations.rebuild_key(
                names[0], given, tenant=tenant, on_progress=tell
            )
    out.json(done)
    fields = f" in {', '.join(done.fields)}" if done.fields else ""
    was = f"had been {done.problem}{fields}" if done.problem else "was right"
    out.say(f"{done.view}: the row {'/'.join(done.key)} {was}; it is what the log says")
    return DONE


def parsed(key: str) -> object:
    """A key of several fields is given as a JSON array.

    Raises: InvalidInput: it begins as one, and is none.
    """
    if not key.startswith("["):
        return key
    try:
        return tuple(json.loads(key))
    except ValueError as error:
        raise InvalidInput("key", "begins as a JSON array, and is none") from error


def _facts(done: Rebuilt) -> dict[str, object]:
    found = done.verification
    verified = None if found is None else {**plain(found), "finding": found.finding}
    return {**plain(done), "verification": verified}


def _lines(done: Rebuilt) -> Iterator[str]:
    name = f"{done.view}: revision {done.revision}"
    instead = "" if done.replaced is None else f" instead of {done.replaced}"
    what = f"serves{instead}" if done.serving else "is complete, and does not serve: it differs"
    took = f"in {done.seconds:,.1f} s" if done.seconds < 100 else f"in {_long(done.seconds)}"
    yield f"{name} {what}, at {done.position:,}, {took}"
    if done.verification is not None:
        yield from (f"  {line}" for line in _compared(done.verification))
    if done.parked:
        yield f"  keys that are parked: {done.parked:,} (diptych parked list {done.view})"


def _long(seconds: float) -> str:
    return duration(timedelta(seconds=seconds))


def _compared(found: Verification) -> Iterator[str]:
    rule = ", which has another rule" if found.expected else ""
    equal = found.compared - found.different
    against = f"compared with revision {found.against}{rule}"
    yield f"{against}: {equal:,} of {found.compared:,} rows are equal"
    for each in found.counted:
        if each.rows != each.before:
            yield f"{each.table}: {each.rows:,} rows, {each.before:,} before"
    for difference in found.differences:
        yield told(difference)
    unlisted = found.different - len(found.differences)
    if unlisted > 0:
        yield f"and {unlisted:,} more"


def told(difference: Difference) -> str:
    """A row that differs: where, and in which fields; never their values."""
    tenant, *key = difference.key
    whose = f" of tenant {tenant}" if tenant else ""
    fields = f" in {', '.join(difference.fields)}" if difference.fields else ""
    return f"{difference.table} {'/'.join(key)}{whose}: {difference.problem}{fields}"
