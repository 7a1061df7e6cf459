"""`diptych parked`: events that were set aside, key by key, and what becomes of them."""

import click

from diptych.app import Application
from diptych.cli.exits import DONE, FOUND
from diptych.cli.output import Output
from diptych.cli.views import VIEW, age
from diptych.errors import InvalidInput
from diptych.read.parked import ParkedKey
from diptych.read.retrying import Retried

_HEADINGS = ("key", "tenant", ">events", ">from", "type", "class", ">tries", ">since", "error")
KEY = click.argument("key")
SOME_KEY = click.argument("key", required=False)
TENANT = click.option("--tenant", default="", metavar="TENANT", help="Whose key it is.")


@VIEW
@click.option("--discarded", is_flag=True, help="What was discarded, ever, and why.")
async def list_parked(app: Application, out: Output, *, view: str, discarded: bool) -> int:
    """List the keys of a view whose events are set aside, and why the first of them failed."""
    async with app:
        if discarded:
            await _list_discarded(app, out, view)
            return DONE
        found = await app.operations.parked(view)
    out.json({"parked": found})
    if found:
        out.table(_HEADINGS, (_row(each) for each in found))
    else:
        out.say(f"{view}: nothing is parked")
    return DONE


@VIEW
@KEY
@TENANT
async def show_parked(app: Application, out: Output, *, view: str, key: str, tenant: str) -> int:
    """Show what is parked under one key: why, and which events.

    A KEY of several fields is a JSON array of them.
    """
    async with app:
        found = await app.operations.parked_key(view, key, tenant=tenant)
    out.json(found)
    parked = found.parked
    out.facts(
        [
            ("view", parked.view),
            ("key", parked.key),
            ("tenant", parked.tenant),
            ("error", parked.error),
            ("class", parked.kind),
            ("failed at", f"{parked.position:,} ({parked.event_type})"),
            ("tries", f"{parked.attempts:,}, the last {age(parked.tried_at)} ago"),
            ("parked", f"{parked.events:,} events, for {age(parked.parked_at)}"),
        ]
    )
    out.say()
    for event in found.events:
        out.say(f"{event.position:>9,}  {event.stream} v{event.version}  {event.type}")
    return DONE


@VIEW
@SOME_KEY
@TENANT
async def retry_parked(
    app: Application, out: Output, *, view: str, key: str | None, tenant: str
) -> int:
    """Apply what is parked under a key again: in order, all of it or nothing.

    Without KEY: under every key of every tenant, and then start the view if it has stopped. Do it
    when what the error names is mended; code that was mended builds the view anew by itself.

    \b
    Exit codes: 0 all was applied; 3 keys failed again, and stay parked;
    2 the key that was named did, or is none; 1 as always.
    """
    if key is None and tenant:
        raise InvalidInput("--tenant", "belongs to a key")
    async with app:
        done = await app.operations.retry(view, key, tenant=tenant)
    out.json(done)
    for line in _lines(done):
        out.say(line)
    return FOUND if done.failed else DONE


@VIEW
@KEY
@TENANT
@click.option("--reason", required=True, help="Why they are never to be applied; it is recorded.")
async def discard_parked(
    app: Application, out: Output, *, view: str, key: str, tenant: str, reason: str
) -> int:
    """Never apply what is parked under a key.

    Its row stays as it was before the event that failed, and gets what comes from now on. That is
    recorded for ever; the events stay in the log.
    """
    async with app:
        done = await app.operations.discard(view, key, reason=reason, tenant=tenant)
    out.json(done)
    out.say(f"{done.view}: {len(done.positions):,} events of {done.key} are never applied")
    return DONE


async def _list_discarded(app: Application, out: Output, view: str) -> None:
    found = await app.operations.discarded(view)
    out.json({"discarded": found})
    for each in found:
        events = ", ".join(f"{position:,}" for position in each.positions[:10])
        more = f" and {len(each.positions) - 10:,} more" if len(each.positions) > 10 else ""
        out.say(f"{each.key}: {each.reason} ({age(each.discarded_at)} ago): {events}{more}")
    if not found:
        out.say(f"{view}: nothing was discarded")


def _lines(done: Retried) -> list[str]:
    lines = [f"{done.view}: {each.key}: applied {each.events:,} events" for each in done.applied]
    lines += [f"{done.view}: {each.key}: stays parked: {each.error}" for each in done.failed]
    if done.started:
        lines.append(f"{done.view}: started; who projects it goes on within a second")
    return lines or [f"{done.view}: there was nothing to do"]


def _row(found: ParkedKey) -> tuple[str, ...]:
    return (
        found.key,
        found.tenant,
        f"{found.events:,}",
        f"{found.first_position:,}",
        found.event_type,
        found.kind,
        f"{found.attempts:,}",
        age(found.parked_at),
        found.error,
    )
