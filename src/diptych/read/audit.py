"""`audit`: the rows of a view compared with what the log says they must be.

Theory of operation
-------------------
The log is folded once more, apart from the read database (`diptych.read.refold`). Then rows are
read in small snapshots, each with its checkpoint; the refold goes on to exactly that place; only
then are they compared. So what is found is a difference and not a delay, however fast the view
moves, and nobody waits: a snapshot is as short as that of a page of a query.

Rows that are there are compared with what is expected, and what is expected with the rows: so a row
that was added by hand is found as well as one that was changed or deleted. What operators did to
rows meanwhile (a retry, a rebuild that was flipped) makes it begin anew.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from diptych.errors import ViewChanging
from diptych.read.comparing import Changed, Comparing, Finding, Live, Tally
from diptych.read.database import Slot
from diptych.read.keyed_rows import FullKey, KeyedRows, Values, full_key, is_readable, plain_key
from diptych.read.means import Means
from diptych.read.model import Key, ReadModel
from diptych.read.progress import OnProgress
from diptych.read.refold import OpenScratch, refolding
from diptych.read.sampling import logged_keys
from diptych.read.view import View

__all__ = ["Audited", "Finding", "HowToAudit", "audit"]

_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class Audited:
    """What an audit found. `rows` were compared, at places of the log up to `position`; a `sample`
    of about so many, if it was not all of them. `findings` are the first of those that are
    `missing`, `surplus` or `different`."""

    view: str
    revision: int
    position: int
    sample: int | None
    rows: int
    missing: int
    surplus: int
    different: int
    findings: tuple[Finding, ...]

    @property
    def equal(self) -> bool:
        return not (self.missing or self.surplus or self.different)


@dataclass(frozen=True, slots=True)
class HowToAudit:
    """`sample` rows, or all; with `values` findings show what is in the fields."""

    sample: int | None = None
    values: bool = False
    on_progress: OnProgress | None = None


async def audit(
    view: View[Any], model: ReadModel, *, means: Means, scratch: OpenScratch, how: HowToAudit
) -> Audited:
    """`model` is what `view` is projected as.

    Raises:
        ViewNotReady: it was never complete. CheckpointDiverged: its rows are of another log.
        ProjectionStopped: an event cannot be applied that could be once: the rule changed, and not
            its fingerprint.
        ViewChanging: operators change its rows all the time.
        StoreError: a database cannot do it.
    """
    for _ in range(_ATTEMPTS):
        auditing = _Auditing(view, model, means, scratch, how)
        tally = Tally(how.values)
        try:
            places = [await auditing.run(part, tally) for part in range(model.partitions)]
        except Changed:
            continue
        return _audited(view, how, tally, places)
    raise ViewChanging(view.name)


def _audited(
    view: View[Any], how: HowToAudit, tally: Tally, places: Sequence[tuple[Slot, int]]
) -> Audited:
    counts = tally.counts
    return Audited(
        view=view.name,
        revision=places[0][0].revision,
        position=max(position for _, position in places),
        sample=how.sample,
        rows=tally.rows,
        missing=counts["missing"],
        surplus=counts["surplus"],
        different=counts["different"],
        findings=tuple(tally.findings),
    )


@dataclass(frozen=True, slots=True)
class _Auditing:
    """One attempt."""

    view: View[Any]
    model: ReadModel
    means: Means
    scratch: OpenScratch
    how: HowToAudit

    async def run(self, part: int, tally: Tally) -> tuple[Slot, int]:
        """One slot; which one that was, and how far. Raises: Changed."""
        partition = part if self.model.partitions > 1 else None
        database = self.means.database
        live = Live(self.view, model=self.model, partition=partition, database=database)
        sample = None if self.how.sample is None else self.how.sample // self.model.partitions + 1
        only: set[Key] | None = None
        found: Mapping[FullKey, Values] = {}
        if sample is not None and self.view.source is None:
            place, some = await live.read(partial(KeyedRows.some, number=sample))
            found = some.rows
            only = await self._wanted(live, found, upto=place.position, number=sample)
        async with refolding(
            self.view, store=self.means.store, scratch=self.scratch, only=only, partition=partition
        ) as refold:
            comparing = Comparing(live, refold, tally, self.how.on_progress)
            comparing.unreadable(found)
            if only is not None:
                await comparing.these([full_key(key) for key in only])
            elif sample is not None:
                await comparing.some(sample)
            else:
                await comparing.all()
            return comparing.place.slot, comparing.place.position

    async def _wanted(
        self, live: Live, found: Iterable[FullKey], *, upto: int, number: int
    ) -> set[Key]:
        """Keys of rows that are there, and of rows that should be."""
        keys = {plain_key(key) for key in found if is_readable(key)}
        keys |= await logged_keys(self.view, store=self.means.store, upto=upto, number=number)
        return {key for key in keys if live.is_ours(key)}
