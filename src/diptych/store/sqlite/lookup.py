"""What both the appending and the reading connection look up: the head, commands, criteria."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import msgspec

from diptych.errors import HistoryDiverged
from diptych.sqlite_library import Connection
from diptych.store.contract import (
    START,
    Appended,
    CommandKey,
    Criterion,
    Point,
    RecordedCommand,
    StreamVersion,
)
from diptych.store.limits import MAX_VERSION
from diptych.store.sqlite.rows import json_text, uuid_of
from diptych.store.sqlite.statements import SQL

_stream_versions: Final = msgspec.json.Decoder(tuple[StreamVersion, ...]).decode

FEW: Final = 4
"""Questions that are asked one by one; more go into one statement, which costs 10 µs to begin."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The part of the log that a search looks at. None: all of them."""

    after: int
    through: int = MAX_VERSION
    tenant: str | None = None
    categories: frozenset[str] | None = None


def end_of(db: Connection) -> tuple[Point, int]:
    """The last event, and when it was recorded."""
    row = db.execute(SQL["head"]).fetchone()
    return (Point(row[0], uuid_of(row[1])), row[2]) if row else (START, 0)


def head_of(db: Connection) -> Point:
    return end_of(db)[0]


def verify(db: Connection, seen: Point) -> None:
    """Raises: HistoryDiverged: the log does not have the event that was seen there."""
    if seen.event_id is not None and event_id_at(db, seen.position) != seen.event_id:
        raise HistoryDiverged("what was read before", position=seen.position)


def event_id_at(db: Connection, position: int) -> UUID | None:
    row = db.execute(SQL["event_at"], (position,)).fetchone()
    return uuid_of(row[0]) if row else None


def find_command(db: Connection, key: CommandKey) -> RecordedCommand | None:
    wanted = (key.tenant, key.principal, bytearray(key.command_id.bytes))
    row = db.execute(SQL["find_command"], wanted).fetchone()
    if row is None:
        return None
    digest, position, events, streams = row
    point = Point(position, event_id_at(db, position))
    if events:
        between = {"after": position - events, "through": position}
        written = tuple(
            StreamVersion(*found) for found in db.execute(SQL["streams_between"], between)
        )
    else:
        written = _stream_versions(streams)
    return RecordedCommand(digest, Appended(point, written))


def find_commands(db: Connection, keys: Sequence[CommandKey]) -> dict[CommandKey, RecordedCommand]:
    """Those that took effect: hardly any of many, so they are picked out before they are read."""
    if len(keys) > FEW:
        scopes = json_text([key[:2] for key in keys])
        ids = b"".join([key.command_id.bytes for key in keys])
        known = db.execute(SQL["known_commands"], {"scopes": scopes, "ids": ids})
        keys = [keys[place] for (place,) in known]
    return {key: found for key in keys if (found := find_command(db, key)) is not None}


def positions_matching(
    db: Connection, criterion: Criterion, scope: Scope, *, limit: int
) -> list[int]:
    """The first `limit` positions in `scope` whose events meet `criterion`, in order."""
    first, *others = sorted(criterion.tags) or (None,)
    wanted = {
        "tag": first,
        "others": json_text(others),
        "types": json_text(sorted(criterion.types)) if criterion.types else None,
        "after": scope.after,
        "through": scope.through,
        "tenant": scope.tenant,
        "categories": as_json(scope.categories),
        "limit": limit,
    }
    name = "positions_tagged" if criterion.tags else "positions_typed"
    return [position for (position,) in db.execute(SQL[name], wanted)]


def as_json(names: frozenset[str] | None) -> str | None:
    return None if names is None else json_text(sorted(names))
