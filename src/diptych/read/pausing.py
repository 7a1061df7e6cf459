"""Pausing a view: recorded in the read database, obeyed by every process, until it is resumed.

Whoever projects begins by asking (`take_over`), and looks again whenever it looks at its leases.
What is under way is not waited for: a pause raises the epoch of the view's checkpoints, so that
nothing is committed after it. All revisions of the view are meant, those that are being built and
those that will be.
"""

from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from diptych.failpoints import failpoint
from diptych.read.database import ReadDatabase, Snapshot, Transaction
from diptych.read.schema import CHECKPOINTS, VIEWS

_PAUSED: Final = sa.select(VIEWS.c.view, VIEWS.c.paused_at).where(VIEWS.c.paused_at.is_not(None))


async def paused_views(reading: Snapshot | Transaction) -> AbstractSet[str]:
    return {row.view for row in await reading.execute(_PAUSED)}


async def paused_since(reading: Snapshot | Transaction, view: str) -> str | None:
    rows = await reading.execute(_PAUSED.where(VIEWS.c.view == view))
    return str(rows[0].paused_at) if rows else None


async def pause(database: ReadDatabase, view: str, *, reason: str, at: datetime) -> bool:
    """Whether it was not paused before; if it was, the first reason stands.

    When this returns, no projector commits anything for the view any more.
    """
    async with database.transaction(exclusive=True) as tx:
        if await paused_since(tx, view) is not None:
            return False
        await tx.execute(sa.delete(VIEWS).where(VIEWS.c.view == view))
        await tx.execute(
            sa.insert(VIEWS).values(view=view, paused_at=at.isoformat(), paused_reason=reason)
        )
        await tx.execute(
            sa.update(CHECKPOINTS)
            .where(CHECKPOINTS.c.view == view)
            .values(epoch=CHECKPOINTS.c.epoch + 1)
        )
        failpoint("pause.before_commit")
    return True


async def resume(database: ReadDatabase, view: str) -> bool:
    """Whether it was paused."""
    async with database.transaction(exclusive=True) as tx:
        found = await tx.execute(
            sa.update(VIEWS)
            .where(VIEWS.c.view == view, VIEWS.c.paused_at.is_not(None))
            .values(paused_at=None, paused_reason=None)
            .returning(VIEWS.c.view)
        )
        failpoint("resume.before_commit")
    return bool(found)
