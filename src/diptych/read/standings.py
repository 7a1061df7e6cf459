"""The statements about checkpoints that every backend runs, and what their rows say."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from diptych.read.database import Slot, Standing, Stop, Wanted
from diptych.read.schema import (
    BUILDING,
    CHECKPOINTS,
    DIVERGED,
    REVISIONS,
    SERVING,
    STOPPED,
    VIEWS,
)
from diptych.store.contract import Point

MINE: Final = ("of_view", "of_revision", "of_partition", "of_epoch", "of_position", "of_acts")
"""The parameters of `ADVANCE` that name the checkpoint as it must be; before them come the
position, the event id and the time."""

ADVANCE: Final = (
    sa.update(CHECKPOINTS)
    .values(
        position=sa.bindparam("to"),
        event_id=sa.bindparam("id"),
        moved_at=sa.bindparam("at"),
    )
    .where(
        CHECKPOINTS.c.view == sa.bindparam("of_view"),
        CHECKPOINTS.c.revision == sa.bindparam("of_revision"),
        CHECKPOINTS.c.partition == sa.bindparam("of_partition"),
        CHECKPOINTS.c.epoch == sa.bindparam("of_epoch"),
        CHECKPOINTS.c.position == sa.bindparam("of_position"),
        CHECKPOINTS.c.acts == sa.bindparam("of_acts"),
    )
)

_OF_USE: Final = REVISIONS.c.status.in_(
    [sa.literal_column(f"'{status}'") for status in (BUILDING, SERVING)]
)

POSITIONS: Final = (
    sa.select(CHECKPOINTS.c.revision, sa.func.min(CHECKPOINTS.c.position))
    .join(REVISIONS, REVISIONS.c.id == CHECKPOINTS.c.revision)
    .where(_OF_USE)
    .group_by(CHECKPOINTS.c.revision)
)


def checkpoint_of(slot: Slot) -> sa.ColumnElement[bool]:
    """The condition for one row."""
    columns: Any = CHECKPOINTS.c
    return sa.and_(
        columns.view == slot.view,
        columns.revision == slot.revision,
        columns.partition == slot.partition,
    )


def select_standings(wanted: Sequence[Wanted]) -> sa.Select[Any]:
    ours = sa.or_(
        *(
            sa.and_(REVISIONS.c.view == view, REVISIONS.c.fingerprint == fingerprint)
            for view, fingerprint in wanted
        )
    )
    columns: list[sa.ColumnElement[Any]] = [
        REVISIONS.c.view,
        REVISIONS.c.fingerprint,
        REVISIONS.c.id,
        REVISIONS.c.status,
        CHECKPOINTS.c.position,
        CHECKPOINTS.c.event_id,
        CHECKPOINTS.c.status,
        CHECKPOINTS.c.error_position,
        CHECKPOINTS.c.error,
        VIEWS.c.paused_at,
        CHECKPOINTS.c.parked_keys,
    ]
    same_view = CHECKPOINTS.c.view == REVISIONS.c.view
    same_revision = CHECKPOINTS.c.revision == REVISIONS.c.id
    found: sa.Select[Any] = sa.select(*columns)
    found = found.join(CHECKPOINTS, sa.and_(same_view, same_revision))
    found = found.outerjoin(VIEWS, VIEWS.c.view == REVISIONS.c.view)
    return found.where(ours, _OF_USE).order_by(CHECKPOINTS.c.position)


def standings_of(rows: Iterable[Sequence[Any]]) -> Mapping[Wanted, Standing]:
    """Rows come in order of position, so the first of a revision is its last partition.

    While a revision is built anew beside the one that serves, the serving one counts.
    """
    return _standings_of(tuple(map(tuple, rows)))


@lru_cache(maxsize=64)
def _standings_of(rows: tuple[tuple[Any, ...], ...]) -> Mapping[Wanted, Standing]:
    """Between two commits every query finds the same."""
    found: dict[Wanted, Standing] = {}
    for view, fingerprint, revision, status, position, event_id, *state, parked in rows:
        wanted, serving = Wanted(view, fingerprint), status == SERVING
        known, stop = found.get(wanted), _stop(*state, reached=position)
        if known is None or (serving and not known.serving):
            point = Point(position, _uuid(event_id))
            found[wanted] = Standing(revision, serving, point, stop, parked)
        elif revision == known.revision and (stop or parked):
            known = replace(known, parked=known.parked + parked)
            worse = stop is not None and (known.stop is None or stop.diverged)
            found[wanted] = replace(known, stop=stop) if worse else known
    return MappingProxyType(found)


def _stop(
    status: str,
    position: int | None,
    error: str | None,
    paused_at: str | None,
    *,
    reached: int,
) -> Stop | None:
    if status in {STOPPED, DIVERGED}:
        return Stop(position or 0, error or "", status == DIVERGED, reached)
    return None if paused_at is None else Stop(0, "", False, reached, paused_at)


def _uuid(value: Any) -> UUID | None:
    """SQLite's driver gives text, PostgreSQL's an id."""
    return UUID(value) if isinstance(value, str) else value
