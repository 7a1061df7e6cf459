"""`diptych events`: the log as it is, event by event."""

from collections import deque
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final

import click
from msgspec import Raw, json

from diptych.app import Application
from diptych.backends import keep_schema
from diptych.cli.exits import DONE
from diptych.cli.output import Output
from diptych.cli.plain import printable
from diptych.errors import InvalidInput, UndecodableEvent, UnknownEventType
from diptych.log import Log
from diptych.messages import RecordedEvent
from diptych.store.contract import Criterion, Load, Point

_PAGE: Final = 1000
_DATA: Final = click.option("--data", is_flag=True, help="With what they hold; it may be secret.")
_TENANT: Final = click.option("--tenant", metavar="TENANT", help="Of this tenant only.")


@asynccontextmanager
async def opened_log(app: Application) -> AsyncGenerator[Log]:
    """The log alone: the read database may be away. It is not migrated."""
    keep_schema(app.log.store)
    await app.log.store.open()
    try:
        yield app.log
    finally:
        await app.log.store.close()


@click.option(
    "-n", "count", type=click.IntRange(min=0), default=10, show_default=True, help="How many."
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is appended, until Ctrl-C.")
@click.option(
    "--after", type=click.IntRange(min=0), metavar="POSITION", help="All after it, instead of -n."
)
@click.option("--category", "categories", multiple=True, help="Of this category only; repeatable.")
@click.option("--type", "types", multiple=True, help="Of this type only; repeatable.")
@click.option("--tag", "tags", multiple=True, help="With this tag; repeatable: with all of them.")
@_TENANT
@_DATA
async def tail(
    app: Application,
    out: Output,
    *,
    count: int,
    follow: bool,
    after: int | None,
    data: bool,
    tenant: str | None,
    categories: tuple[str, ...],
    types: tuple[str, ...],
    tags: tuple[str, ...],
) -> int:
    """Show the last events of the log.

    What `--json --data` prints can be read by `diptych import`.
    """
    wanted: dict[str, Any] = {
        "tenant": tenant,
        "categories": frozenset(categories) if categories else None,
        "criteria": (Criterion(frozenset(types), frozenset(tags)),) if types or tags else None,
    }
    async with opened_log(app) as log:
        if after is None:
            last, reached = await _last(log, count, wanted)
            _print(last, out, data=data)
        else:
            reached = await _all_after(log, after, wanted, out=out, data=data)
        if follow:
            async for page in log.follow(after=reached, **wanted):
                _print(page.events, out, data=data)
    return DONE


@click.argument("name", metavar="STREAM")
@click.option("--after", type=click.IntRange(min=0), default=0, help="Only after this version.")
@click.option("--tenant", default="", metavar="TENANT", help="The stream of this tenant.")
@_DATA
async def stream(
    app: Application, out: Output, *, name: str, after: int, tenant: str, data: bool
) -> int:
    """Show the events of one stream, as in order-0196f2c1-…"""
    async with opened_log(app) as log:
        found = await log.store.load(Load(name, tenant=tenant, after=after))
    if not found.version:
        raise InvalidInput("stream", f"there is none named {name!r}")
    _print(found.events, out, data=data)
    return DONE


@click.argument("position", type=click.IntRange(min=1))
async def show(app: Application, out: Output, *, position: int) -> int:
    """Show all that is recorded of the event at a position, with what it holds."""
    async with opened_log(app) as log:
        page = await log.store.read(after=Point(position - 1), limit=1)
        if not page.events or page.events[0].position != position:
            raise InvalidInput("position", f"no event is there; the log ends at {page.head:,}")
        event = page.events[0]
        decodes = await _decodes(log, event)
    out.json({**facts(event, data=True), "decodes": decodes})
    out.facts(_all_of(event, decodes))
    out.say()
    out.say(printable(json.format(event.data, indent=2).decode()))
    return DONE


async def _last(log: Log, count: int, wanted: dict[str, Any]) -> tuple[list[RecordedEvent], Point]:
    """The last events that are wanted: further and further back, until there are enough."""
    head = await log.head()
    width = max(count, 1)
    while True:
        start = max(head.position - width, 0)
        found, reached = deque[RecordedEvent](maxlen=count), Point(start)
        while reached.position < head.position:
            page = await log.read(after=reached, limit=_PAGE, **wanted)
            found.extend(event for event in page.events if event.position <= head.position)
            reached = page.scanned
        if len(found) >= count or start == 0:
            return list(found), head
        width *= 8


async def _all_after(
    log: Log, position: int, wanted: dict[str, Any], *, out: Output, data: bool
) -> Point:
    head, reached = (await log.head()).position, Point(position)
    while reached.position < head:
        page = await log.read(after=reached, limit=_PAGE, **wanted)
        _print(page.events, out, data=data)
        reached = page.scanned
    return reached


async def _decodes(log: Log, event: RecordedEvent) -> str:
    """What this code makes of it."""
    try:
        found = await log.decode(event)
    except (UnknownEventType, UndecodableEvent) as error:
        return f"no: {error}"
    return f"as {', '.join(type(each).__qualname__ for each in found)}" if found else "as nothing"


def _print(events: Iterable[RecordedEvent], out: Output, *, data: bool) -> None:
    for event in events:
        if out.as_json:
            out.json(facts(event, data=data))
        else:
            out.say(_line(event, data=data))


def _line(event: RecordedEvent, *, data: bool) -> str:
    tenant = f"{event.tenant}:" if event.tenant else ""
    line = (
        f"{event.position:>9,}  {_time(event.recorded_at)}  {tenant}{event.stream} v{event.version}"
        f"  {event.type}"
    )
    return f"{line}  {event.data.decode()}" if data else line


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03}Z"


def facts(event: RecordedEvent, *, data: bool) -> dict[str, Any]:
    """An event as JSON; `data` adds what it holds."""
    found: dict[str, Any] = {
        "position": event.position,
        "tenant": event.tenant,
        "stream": event.stream,
        "version": event.version,
        "type": event.type,
        "event_id": event.event_id,
        "recorded_at": event.recorded_at,
        "occurred_at": event.occurred_at,
        "tags": event.tags,
        "metadata": Raw(event.metadata_json),
    }
    return {**found, "data": Raw(event.data)} if data else found


def _all_of(event: RecordedEvent, decodes: str) -> list[tuple[str, str]]:
    cause = event.metadata
    return [
        ("position", f"{event.position:,}"),
        ("tenant", event.tenant),
        ("stream", event.stream),
        ("version", f"{event.version:,}"),
        ("type", event.type),
        ("decodes", decodes),
        ("event id", str(event.event_id)),
        ("recorded at", _time(event.recorded_at)),
        ("occurred at", _time(event.occurred_at) if event.occurred_at else ""),
        ("tags", ", ".join(event.tags)),
        ("command", str(cause.command_id or "")),
        ("correlation", str(cause.correlation_id or "")),
        ("causation", str(cause.causation_id or "")),
        ("actor", cause.actor),
    ]
