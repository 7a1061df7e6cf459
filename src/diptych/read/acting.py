"""What operators do to the rows of a view beside the projector that runs it.

Whoever changes rows begins its transaction with `act`. That locks the checkpoint, so that nothing
is projected meanwhile, and counts: a projector moves its checkpoint only if the count is what it
was when it read the rows. A page that it has prepared from the rows before is prepared anew.

Everybody locks in this order: checkpoints, then the revision, then the rows of a table.
"""

import sqlalchemy as sa

from diptych.read.database import Checkpoint, Slot, Transaction
from diptych.read.schema import CHECKPOINTS
from diptych.read.standings import checkpoint_of
from diptych.store.contract import Point


async def act(tx: Transaction, slot: Slot) -> Checkpoint | None:
    """The checkpoint, which nobody moves until the transaction ends; None if there is none."""
    columns = CHECKPOINTS.c
    rows = await tx.execute(
        sa.update(CHECKPOINTS)
        .where(checkpoint_of(slot))
        .values(acts=columns.acts + 1)
        .returning(
            *(columns.epoch, columns.position, columns.event_id),
            *(columns.acts, columns.parked_keys),
        )
    )
    if not rows:
        return None
    row = rows[0]
    point = Point(row.position, row.event_id)
    return Checkpoint(slot, row.epoch, point, row.acts, row.parked_keys)
