"""`diptych reactions`: how reactions are, and what is done with what they cannot handle."""

import click

from diptych.app import Application
from diptych.cli.exits import DONE, FOUND
from diptych.cli.output import Output

_HEADINGS = ("reaction", "state", ">position", ">behind", ">parked", "run by", "error")
NAME = click.argument("name", metavar="REACTION")
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


@NAME
@STREAM
@TENANT
async def retry_reaction(
    app: Application, out: Output, *, name: str, stream: str | None, tenant: str
) -> int:
    """Handle what is parked of a stream, in order; without STREAM, start what has stopped."""
    async with app:
        count = await app.operations.reaction(name).retry(stream, tenant=tenant)
    out.json({"reaction": name, "stream": stream, "handled": count})
    out.say(f"{name}: handled {count:,} events of {stream}" if stream else f"{name}: goes on")
    return DONE


@NAME
@STREAM
@TENANT
@click.option("--reason", required=True, help="Why they are never to be handled; it is recorded.")
async def discard_reaction(
    app: Application, out: Output, *, name: str, stream: str | None, tenant: str, reason: str
) -> int:
    """Never handle what is parked of a stream; without STREAM, the event that stopped it."""
    async with app:
        done = await app.operations.reaction(name).discard(stream, tenant=tenant, reason=reason)
    out.json(done)
    what = f"what was parked of {stream} is never handled" if stream else "goes on behind the event"
    out.say(f"{name}: {what}")
    return DONE


@NAME
@click.option("--reason", default="", help="What others are told who ask.")
async def pause_reaction(app: Application, out: Output, *, name: str, reason: str) -> int:
    """Let nobody run a reaction until it is resumed, restarts included."""
    async with app:
        await app.operations.reaction(name).pause(reason=reason)
    out.json({"paused": name})
    out.say(f"{name}: paused")
    return DONE


@NAME
async def resume_reaction(app: Application, out: Output, *, name: str) -> int:
    """Let a reaction run again; it goes on where it was."""
    async with app:
        changed = await app.operations.reaction(name).resume()
    out.json({"resumed": name, "was_paused": changed})
    out.say(f"{name}: {'resumed' if changed else 'was not paused'}")
    return DONE
