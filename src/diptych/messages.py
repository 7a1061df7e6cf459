"""What is written to the log, what is read back from it, and who asked for it.

`EventData` and `RecordedEvent` are named tuples, not dataclasses: a projection makes hundreds of
thousands of them a second, and a tuple is filled in a third of the time of a frozen dataclass.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID


class EventData(NamedTuple):
    """An encoded event that is about to be appended.

    `type` is its stored name, `data` strict JSON in UTF-8 (an object), `tags` what append
    conditions can ask for. `occurred_at` (aware) is set by imports; otherwise an event occurred
    when it was recorded.
    """

    type: str
    data: bytes
    event_id: UUID
    tags: tuple[str, ...] = ()
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Metadata:
    """Who and what led to an event: one for all events of an append, stored with each as JSON.

    `command_id` is None for events that no command made (an import). `trace` is the W3C
    `traceparent` of the command where it was traced, else empty: who projects the event links its
    own trace to that one.
    """

    command_id: UUID | None = None
    correlation_id: UUID | None = None
    causation_id: UUID | None = None
    actor: str = ""
    trace: str = ""

    def to_json(self) -> bytes:
        """As it is stored with an event."""
        ids = (self.command_id, self.correlation_id, self.causation_id)
        return metadata_json(*ids, self.actor, trace=self.trace)

    @classmethod
    def from_json(cls, data: bytes) -> "Metadata":
        """Unknown keys are passed over: a newer version may have recorded more.

        A correlation that is not recorded is the command itself: it began its own.
        """
        found: dict[str, str] = json.loads(data)
        ids = (found.get(name) for name in ("command_id", "correlation_id", "causation_id"))
        command, correlation, causation = (UUID(value) if value else None for value in ids)
        actor, trace = found.get("actor", ""), found.get("trace", "")
        return cls(command, correlation or command, causation, actor, trace)


def metadata_json(
    command_id: UUID | None,
    correlation_id: UUID | None,
    causation_id: UUID | None,
    actor: str,
    *,
    trace: str = "",
) -> bytes:
    """Written by hand: it is made for each command, and `json.dumps` takes twice the time."""
    plain = not (actor or trace) and causation_id is None and correlation_id is command_id
    if plain and command_id is not None:
        return f'{{"command_id":"{command_id}"}}'.encode()
    fields: list[str] = []
    if command_id is not None:
        fields.append(f'"command_id":"{command_id}"')
    if correlation_id is not None and correlation_id is not command_id:
        fields.append(f'"correlation_id":"{correlation_id}"')
    if causation_id is not None:
        fields.append(f'"causation_id":"{causation_id}"')
    if actor:
        fields.append(f'"actor":{json.dumps(actor, ensure_ascii=False)}')
    if trace:
        fields.append(f'"trace":{json.dumps(trace)}')
    return f"{{{','.join(fields)}}}".encode()


class RecordedEvent(NamedTuple):
    """An event as the log holds it. Nothing in it ever changes.

    `position` is its place in the whole log, `version` its place in its stream (the first event
    has 1), `recorded_at` the time of the store's clock in UTC. `metadata_json` is decoded when
    `metadata` is read.
    """

    position: int
    tenant: str
    stream: str
    version: int
    event_id: UUID
    type: str
    data: bytes
    metadata_json: bytes
    recorded_at: datetime
    occurred_at: datetime | None
    tags: tuple[str, ...]

    @property
    def at(self) -> datetime:
        """When it happened: `occurred_at` of an imported event, else `recorded_at`."""
        return self.occurred_at or self.recorded_at

    @property
    def metadata(self) -> Metadata:
        """Which command it came of, who gave it, and in which trace."""
        return Metadata.from_json(self.metadata_json)


class Envelope(NamedTuple):
    """What the server adds to a command: who asked, when, and as part of what.

    Made by `Application.dispatch`, never decoded from a request body. `supplied` tells that the
    caller chose `command_id` and may send the command again: then it takes effect at most once,
    and a repeat gets the first outcome. `expected_version` is what the caller saw (`If-Match`).
    `trace` is recorded with the events; middleware may set it (`envelope._replace(trace=…)`).
    """

    command_id: UUID
    at: datetime
    correlation_id: UUID
    causation_id: UUID | None = None
    actor: str = ""
    tenant: str = ""
    supplied: bool = False
    expected_version: int | None = None
    trace: str = ""

    def metadata(self) -> Metadata:
        """What is recorded of it with each event."""
        ids = (self.command_id, self.correlation_id, self.causation_id)
        return Metadata(*ids, self.actor, self.trace)
