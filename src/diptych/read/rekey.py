"""`rebuild_key`: one row made anew from the log, while the view goes on.

The row is folded apart from the read database (`diptych.read.refold`) until it is nearly where the
view is. The rest is done in one transaction that has the checkpoint locked: the last events, and
the row in the place of the one that is there. Queries see the one or the other.

Views over the view are not touched: their rows came from what events made of its rows, and not
from what somebody else did to them. They are audited, and rebuilt, by their own keys.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec
import sqlalchemy as sa

from diptych.errors import InvalidInput, ViewChanging
from diptych.failpoints import failpoint
from diptych.read.acting import act
from diptych.read.bound_view import BoundView
from diptych.read.column_kinds import unwrap
from diptych.read.comparing import difference
from diptych.read.database import Transaction
from diptych.read.keyed_rows import KeyedRows, Values, full_key
from diptych.read.means import Means
from diptych.read.model import Key, ReadModel
from diptych.read.place import Place, place_in
from diptych.read.progress import Meter, OnProgress
from diptych.read.refold import OpenScratch, Refold, Skips, id_of, refolding, skips_of
from diptych.read.schema import REVISIONS, SERVING
from diptych.read.view import View

_ATTEMPTS: Final = 20
_INSIDE: Final = 1_000
"""Positions that may be left for when the checkpoint is locked: some milliseconds."""


@dataclass(frozen=True, slots=True)
class RebuiltKey:
    """What became of one row: at `position` of the log it is what its events say.

    `problem` is what had been wrong with it: nothing, or it was `missing`, `surplus`, or
    `different` in `fields`.
    """

    view: str
    revision: int
    tenant: str
    key: tuple[str, ...]
    position: int
    problem: Literal["", "missing", "surplus", "different"]
    fields: tuple[str, ...]


async def rebuild_key(
    view: View[Any],
    key: Key,
    *,
    model: ReadModel,
    means: Means,
    scratch: OpenScratch,
    on_progress: OnProgress | None = None,
) -> RebuiltKey:
    """`model` is what `view` is projected as.

    Raises:
        ViewNotReady: it was never complete. CheckpointDiverged: its rows are of another log.
        ProjectionStopped: an event cannot be applied that could be once.
        ViewChanging: operators change its rows all the time.
        StoreError: a database cannot do it; nothing was changed.
    """
    partition = _partition(view, key, means)
    only = {key} if view.source is None else None
    meter = Meter("folding", on_progress)
    for _ in range(_ATTEMPTS):
        async with refolding(
            view, store=means.store, scratch=scratch, only=only, partition=partition
        ) as refold:
            rebuilding = _Rebuilding(view, key, model, means, refold)
            place = await rebuilding.come_near(partition or 0, meter)
            if place is None:
                continue
            try:
                rebuilt = await rebuilding.finish(place)
            except _Moved:
                continue
        failpoint("rebuild_key.after_commit")
        return rebuilt
    raise ViewChanging(view.name)


def key_of(view: View[Any], value: object, *, tenant: str = "") -> Key:
    """A key from its value, or from text for each of its fields.

    Raises: InvalidInput: it cannot be a key of this view.
    """
    fields = view.shape.key
    parts = value if isinstance(value, tuple | list) else (value,)
    if len(parts) != len(fields):
        raise InvalidInput("key", f"must be a tuple of {', '.join(fields)}")
    found = [_part(view, field, part) for field, part in zip(fields, parts, strict=True)]
    return (tenant, tuple(found) if len(found) > 1 else found[0])


def _part(view: View[Any], field: str, value: object) -> object:
    python = unwrap(view.layout.field_type(field)).bare
    if not isinstance(value, str) or python is str:
        return value
    try:
        return msgspec.convert(value, python, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidInput(field, f"must be a {python.__name__}") from error


def _partition(view: View[Any], key: Key, means: Means) -> int | None:
    """The partition of a key; None if there is but one. Raises InvalidInput: it does not fit."""
    view.bind(0, means.database.dialect).driver_key(*key)
    for number in range(view.partitions if view.partitions > 1 else 0):
        if view.bind(0, means.database.dialect, partition=number).is_ours(key):
            return number
    return None


class _Moved(Exception):
    """The rows were changed by an operator meanwhile, or are those of another revision."""


@dataclass(frozen=True, slots=True)
class _Rebuilding:
    """One attempt."""

    view: View[Any]
    key: Key
    model: ReadModel
    means: Means
    refold: Refold

    async def come_near(self, partition: int, meter: Meter) -> Place | None:
        """Fold until little is left; None if what was folded is not what it must be any more."""
        first: Place | None = None
        place: Place | None = None
        over = self.view.source is not None
        while True:
            wanted = [self.model.wanted]
            async with self.means.database.snapshot(wanted, projecting=True) as snapshot:
                place = await place_in(
                    snapshot, self.model, partition=partition, over=over, known=place
                )
            first = first or place
            if not first.comparable(place):
                return None
            if place.position - self.refold.position <= _INSIDE:
                return place
            await self.refold.to(place.position, place.skips, meter=meter)

    async def finish(self, place: Place) -> RebuiltKey:
        """Raises: _Moved: then nothing was changed."""
        async with self.means.database.transaction() as tx:
            position = await self._lock(tx, place)
            over = self.view.source is not None
            skips = await skips_of(tx, place.slot.revision, over=over)
            await self.refold.to(position, skips)
            rebuilt = await self._replace(tx, place.slot.revision, position, skips)
            failpoint("rebuild_key.before_commit")
        return rebuilt

    async def _lock(self, tx: Transaction, place: Place) -> int:
        """The position of the checkpoint, which stays as it is."""
        checkpoint = await act(tx, place.slot)
        serving = await tx.execute(
            sa.select(REVISIONS.c.status).where(REVISIONS.c.id == place.slot.revision)
        )
        if checkpoint is None or checkpoint.acts != place.acts + 1:
            raise _Moved
        if [row.status for row in serving] != [SERVING]:
            raise _Moved
        if checkpoint.point.position - self.refold.position > 2 * _INSIDE:
            raise _Moved
        return checkpoint.point.position

    async def _replace(
        self, tx: Transaction, revision: int, position: int, skips: Skips
    ) -> RebuiltKey:
        bound, key = self.view.bind(revision, self.means.database.dialect), full_key(self.key)
        rows = KeyedRows(bound)
        found = rows.of(await tx.execute(rows.under([key]))).rows.get(key)
        expected = (await self.refold.under([key])).get(key)
        decreed = bool(skips.discarded) and id_of(bound, self.key) in skips.discarded
        if decreed and expected is not None and found is not None:
            expected = (*expected[:-1], found[-1])  # it has seen versions without effect
        finding = difference(key, names=rows.names, expected=expected, found=found)
        if expected is None and found is not None:
            await tx.remove(bound.table, [bound.driver_key(*self.key)])
        elif expected is not None and expected != found:
            write = tx.insert if found is None else tx.update
            await write(bound.table, [_stored(bound, self.key[0], expected)])
        return RebuiltKey(
            view=self.view.name,
            revision=revision,
            tenant=key[0],
            key=tuple(map(str, key[1:])),
            position=position,
            problem=finding.problem if finding else "",
            fields=finding.fields if finding else (),
        )


def _stored(bound: BoundView[Any], tenant: str, values: Values) -> tuple[object, ...]:
    *fields, position, version = values
    row = bound.layout.built(fields)
    return bound.stored(tenant, row, position=position, version=version)
