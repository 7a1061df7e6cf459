"""Parking: the events of a key that failed are set aside, in order; all other keys go on.

Theory of operation
-------------------
What is set aside is written in the transaction that moves the checkpoint past it: which key, with
the error, and the positions of its events. Their content stays in the log. From then on the key is
known before a page is folded, and every later event of it joins the others without being tried.
So the row of a parked key is as it was before the event that failed, and its events are whole.

Both the keys and the events of a view have a most. Beyond it the view stops, at the first event
for which there is no room: what is set aside must not become a second log.

Only the key's own events are set aside. Where one event concerns several keys the others get it.
"""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from diptych.errors import InvalidInput, ParkingFull
from diptych.failpoints import failpoint
from diptych.messages import RecordedEvent
from diptych.read.database import Checkpoint, Slot, Snapshot, Transaction
from diptych.read.failure import Failure
from diptych.read.model import Key, Park, ReadModel
from diptych.read.schema import CHECKPOINTS, PARKED_EVENTS, PARKED_KEYS
from diptych.read.standings import checkpoint_of

_USUAL: Final = Park()
"""Also of a view that does not park any more, and has parked keys from when it did."""


_JOIN: Final = (
    sa.update(PARKED_KEYS)
    .where(
        PARKED_KEYS.c.revision == sa.bindparam("of_revision"),
        PARKED_KEYS.c.key_id == sa.bindparam("of_key"),
    )
    .values(
        events=PARKED_KEYS.c.events + sa.bindparam("more"),
        last_position=sa.bindparam("last"),
    )
)


def key_id(tenant: str, text: str) -> str:
    """A digest of a key: the key itself may be longer than an index can hold."""
    return blake2b(msgspec.json.encode([tenant, text]), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Attempted:
    """A failure that was met so often that its key is parked."""

    failure: Failure
    attempts: int


@dataclass(slots=True)
class _Apart:
    """A key with its events of one page. `why` is None if it had been parked before."""

    tenant: str
    text: str
    why: Attempted | None
    positions: list[int] = field(default_factory=list)

    @property
    def key_id(self) -> str:
        return key_id(self.tenant, self.text)


class SetAside:
    """What is set aside of one page; an `Aside` for `Bound.prepare`.

    `known` are the ids of the keys that are parked in this revision, `events` how many events are.
    """

    given: Key | None = None

    def __init__(
        self,
        model: ReadModel,
        *,
        known: AbstractSet[str],
        events: int,
        failing: Mapping[Key, Attempted],
    ) -> None:
        self._view, self._most = model.name, model.parks or _USUAL
        self._known, self._failing = known, failing
        self._room = self._most.events - events
        self._apart: dict[int, _Apart] = {}

    def which(self, keys: Sequence[Key], text_of: Callable[[Key], str]) -> AbstractSet[int]:
        for number, key in enumerate(keys):
            why = self._failing.get(key)
            try:
                text = text_of(key)
            except InvalidInput:
                continue  # nothing can be stored under it: that is for others to find out
            if why is not None or key_id(key[0], text) in self._known:
                self._apart[number] = _Apart(key[0], text, why)
        self._require_room_for_keys()
        return self._apart.keys()

    def take(self, number: int, recorded: RecordedEvent) -> None:
        positions = self._apart[number].positions
        if positions[-1:] == [recorded.position]:
            return  # it is read as several, and stored once
        if self._room <= 0:
            raise ParkingFull(
                self._view, position=recorded.position, limit=self._most.events, unit="events"
            )
        self._room -= 1
        positions.append(recorded.position)

    def _require_room_for_keys(self) -> None:
        new = [each.why.failure for each in self._apart.values() if each.why is not None]
        if new and len(self._known) + len(new) > self._most.keys:
            raise ParkingFull(
                self._view,
                position=new[-1].position or 0,
                limit=self._most.keys,
                unit="keys",
                error=new[-1].error,
            )

    async def write(self, tx: Transaction, checkpoint: Checkpoint, *, at: datetime) -> int:
        """Record it, under a checkpoint that was just moved; how many keys are new."""
        slot = checkpoint.slot
        apart = [each for each in self._apart.values() if each.positions]
        if not apart:
            return 0
        new = [_parked(slot, each, each.why, at) for each in apart if each.why is not None]
        if new:
            await tx.execute(sa.insert(PARKED_KEYS), new)
        joined = [_joined(slot, each) for each in apart if each.why is None]
        if joined:
            await tx.execute(_JOIN, joined)
        events = [_event(slot, each, position) for each in apart for position in each.positions]
        await tx.execute(sa.insert(PARKED_EVENTS), events)
        await count(tx, slot, keys=len(new), events=len(events))
        failpoint("parking.before_commit")
        return len(new)


async def set_aside(
    snapshot: Snapshot, model: ReadModel, revision: int, failing: Mapping[Key, Attempted]
) -> SetAside:
    """For the next page of a slot of this revision."""
    columns = PARKED_KEYS.c
    statement = sa.select(columns.key_id, columns.events).where(columns.revision == revision)
    rows = await snapshot.execute(statement)
    events = sum(row.events for row in rows)
    known = {row.key_id for row in rows}
    return SetAside(model, known=known, events=events, failing=failing)


async def count(tx: Transaction, slot: Slot, *, keys: int, events: int) -> None:
    """Add to what the checkpoint says about how much is parked."""
    columns = CHECKPOINTS.c
    await tx.execute(
        sa.update(CHECKPOINTS)
        .where(checkpoint_of(slot))
        .values(
            parked_keys=columns.parked_keys + keys, parked_events=columns.parked_events + events
        )
    )


def _parked(slot: Slot, apart: _Apart, why: Attempted, at: datetime) -> dict[str, Any]:
    failure = why.failure
    return {
        "revision": slot.revision,
        "key_id": apart.key_id,
        "partition": slot.partition,
        "tenant": apart.tenant,
        "key": apart.text,
        "first_position": apart.positions[0],
        "last_position": apart.positions[-1],
        "events": len(apart.positions),
        "error_class": failure.kind.value,
        "error_type": failure.event_type,
        "error_position": failure.position,
        "error": failure.error,
        "attempts": why.attempts,
        "parked_at": at.isoformat(),
        "tried_at": at.isoformat(),
    }


def _joined(slot: Slot, apart: _Apart) -> dict[str, Any]:
    more, last = len(apart.positions), apart.positions[-1]
    return {"of_revision": slot.revision, "of_key": apart.key_id, "more": more, "last": last}


def _event(slot: Slot, apart: _Apart, position: int) -> dict[str, Any]:
    return {"revision": slot.revision, "key_id": apart.key_id, "position": position}
