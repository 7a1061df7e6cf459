"""`diptych reactions`: how reactions are, and what is done with what they cannot handle."""

from collections.abc import Sequence

import click
from msgspec import to_builtins

from diptych.app import Application
from diptych.cli.exits import DONE, FOUND
from diptych.cli.output import Output
from diptych.cli.views import REACTION, age
from diptych.errors import InvalidInput
from diptych.flow.status import ParkedStream
from diptych.store.cursors import Discard

_HEADINGS = ("reaction", "state", ">position", ">behind", ">parked", "run by", "error")
_PARKED_HEADINGS = (
    "stream",
    "tenant",
    ">events",
    ">from",
    "type",
    "class",
    ">tries",
    ">since",
    "error",
)
STREAM = click.argument("stream", required=False)
TENANT = click.option("--tenant", default="", metavar="TENANT", help="Whose stream it is.")


async def list_reactions(app: Application, out: Output) -> int:
    """List the reactions: how far they are, who runs them, and what stops them.

    Exit code 3 if one has an error, or has parked streams.
    """
    async with app:
        found = await app.operations.reactions()
    out.json({"reactions": found})
    rows = (
        (
            *(each.name, each.state.value, f"{each.position:,}"),
            *(f"{max(each.head - each.position, 0):,}", f"{each.parked_streams:,}"),
            *(each.holder or "nobody", each.error),
        )
        for each in found
    )
    if found:
        out.table(_HEADINGS, rows)
    else:
        out.say("there are no reactions")
    return FOUND if any(each.error or each.parked_streams for each in found) else DONE


@REACTION
@click.option("--discarded", is_flag=True, help="What was discarded, ever, and why.")
async def list_parked_streams(app: Application, out: Output, *, name: str, discarded: bool) -> int:
    """List the streams that a reaction has set aside, and why the first event of each failed."""
    async with app:
        acts = app.operations.reaction(name)
        if discarded:
            _show_discarded(await acts.discarded(), out, name)
            return DONE
        found = await acts.parked()
    out.json({"parked": found})
    if found:
        out.table(_PARKED_HEADINGS, map(_row, found))
    else:
        out.say(f"{name}: nothing is parked")
    return DONE


def _show_discarded(found: Sequence[Discard], out: Output, name: str) -> None:
    out.json({"discarded": [to_builtins(each) for each in found]})
    for each in found:
        events = f"v{each.first}" if each.first == each.through else f"v{each.first}-{each.through}"
        out.say(f"{each.stream} {events}: {each.reason} ({age(each.at)} ago): {each.error}")
    if not found:
        out.say(f"{name}: nothing was discarded")


def _row(found: ParkedStream) -> tuple[str, ...]:
    return (
        found.stream,
        found.tenant,
        f"{found.events:,}",
        f"{found.position:,}",
        found.event_type,
        found.kind,
        f"{found.attempts:,}",
        age(found.failed_at),
        found.error,
    )


@REACTION
@STREAM
@TENANT
async def retry_reaction(
    app: Application, out: Output, *, name: str, stream: str | None, tenant: str
) -> int:
    """Handle what is parked of a stream, in order; without STREAM, start what has stopped.

    It is handled here, in this process, event by event: what was handled is parked no more, also
    if a later event fails again.
    """
    _refuse_tenant_alone(stream, tenant)
    async with app:
        count = await app.operations.reaction(name).retry(stream, tenant=tenant)
    out.json({"reaction": name, "stream": stream, "handled": count})
    out.say(f"{name}: handled {count:,} events of {stream}" if stream else f"{name}: goes on")
    return DONE


@REACTION
@STREAM
@TENANT
@click.option("--reason", required=True, help="Why they are never to be handled; it is recorded.")
async def discard_reaction(
    app: Application, out: Output, *, name: str, stream: str | None, tenant: str, reason: str
) -> int:
    """Never handle what is parked of a stream; without STREAM, the event that stopped it."""
    if not reason.strip():
        raise InvalidInput("reason", "must say why")
    _refuse_tenant_alone(stream, tenant)
    async with app:
        done = await app.operations.reaction(name).discard(stream, tenant=tenant, reason=reason)
    out.json(to_builtins(done))
    what = f"what was parked of {stream} is never handled" if stream else "goes on behind the event"
    out.say(f"{name}: {what}")
    return DONE


@REACTION
@click.option("--reason", default="", help="What others are told who ask.")
async def pause_reaction(app: Application, out: Output, *, name: str, reason: str) -> int:
    """Let nobody run a reaction until it is resumed, restarts included."""
    async with app:
        changed = await app.operations.reaction(name).pause(reason=reason)
    out.json({"paused": {name: changed}})
    out.say(f"{name}: {'paused' if changed else 'was paused already, the first reason stands'}")
    return DONE


@REACTION
async def resume_reaction(app: Application, out: Output, *, name: str) -> int:
    """Let a reaction run again; it goes on where it was."""
    async with app:
        changed = await app.operations.reaction(name).resume()
    out.json({"resumed": {name: changed}})
    out.say(f"{name}: {'resumed' if changed else 'was not paused'}")
    return DONE


def _refuse_tenant_alone(stream: str | None, tenant: str) -> None:
    """Raises: InvalidInput."""
    if stream is None and tenant:
        raise InvalidInput("--tenant", "belongs to a stream")
