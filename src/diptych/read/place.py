"""`Place`: where the rows of one slot of a view are, read together with the rows."""

from dataclasses import dataclass, replace

import sqlalchemy as sa

from diptych.errors import CheckpointDiverged, ViewNotReady
from diptych.read.database import Slot, Snapshot
from diptych.read.model import ReadModel
from diptych.read.refold import Skips, skips_of
from diptych.read.schema import CHECKPOINTS
from diptych.read.standings import checkpoint_of


@dataclass(frozen=True, slots=True)
class Place:
    """The checkpoint, and which events its rows do not have.

    `acts` counts what operators did to the rows: two places of one slot can be compared only if
    that is equal. `parked` counts events; while both stay the same, so do the `skips`.
    """

    slot: Slot
    position: int
    acts: int
    parked: int
    skips: Skips

    def comparable(self, other: "Place") -> bool:
        return (self.slot, self.acts) == (other.slot, other.acts)


async def place_in(
    snapshot: Snapshot, model: ReadModel, *, partition: int, over: bool, known: Place | None = None
) -> Place:
    """In a snapshot that began with how `model` stands; `known` is the one before of the same slot.
    `over`: for a view over the one that it is projected with.

    Raises: ViewNotReady: it was never complete. CheckpointDiverged: its rows are of another log.
    """
    standing = snapshot.standings.get(model.wanted)
    if standing is None or not standing.serving:
        raise ViewNotReady(model.name, position=standing.point.position if standing else 0, head=0)
    if standing.stop is not None and standing.stop.diverged:
        raise CheckpointDiverged(model.name, position=standing.stop.position)
    slot = Slot(model.name, standing.revision, partition)
    columns = CHECKPOINTS.c
    rows = await snapshot.execute(
        sa.select(columns.position, columns.acts, columns.parked_events).where(checkpoint_of(slot))
    )
    row = rows[0]
    counts = (row.acts, row.parked_events)
    if known is not None and (known.slot, known.acts, known.parked) == (slot, *counts):
        return replace(known, position=row.position)
    return Place(slot, row.position, *counts, await skips_of(snapshot, slot.revision, over=over))
