"""`Hold`: what one projector may do with its checkpoint, until another takes it over."""

from uuid import UUID

from diptych.clock import Clock
from diptych.read.checkpoint import Word, leave_word, read_again, take_over
from diptych.read.database import Checkpoint, ReadDatabase, Slot
from diptych.read.schema import RUNNING


class Superseded(Exception):
    """Another projector has taken this checkpoint over."""


class Hold:
    """The checkpoint of a slot, for the worker `holder`, under the epoch that it began."""

    def __init__(
        self, slot: Slot, *, holder: str, log_id: UUID, database: ReadDatabase, clock: Clock
    ) -> None:
        self._slot, self._holder, self._log_id = slot, holder, log_id
        self._database, self._clock = database, clock
        self._epoch = -1
        self._well = False

    async def take_over(self) -> Checkpoint:
        """Begin an epoch. Raises: Superseded: another holds it. ViewPaused. HistoryDiverged."""
        async with self._database.transaction() as tx:
            taken = await take_over(
                tx, self._slot, holder=self._holder, log_id=self._log_id, at=self._clock.now()
            )
        if taken is None:
            raise Superseded
        taken.require_unpaused()
        self._epoch, self._well = taken.checkpoint.epoch, taken.status == RUNNING
        return taken.checkpoint

    async def read_again(self) -> Checkpoint:
        """An operator may have changed rows meanwhile. Raises Superseded: it was not that."""
        async with self._database.snapshot(projecting=True) as snapshot:
            found = await read_again(snapshot, self._slot, epoch=self._epoch)
        if found is None:
            raise Superseded
        return found

    async def say(self, word: Word) -> None:
        """How it goes, for all who ask, in any process.

        Raises Superseded: another has taken over. Then what went wrong may be due to its rows.
        """
        self._well = False
        async with self._database.transaction() as tx:
            mine = await leave_word(
                tx,
                self._slot,
                holder=self._holder,
                epoch=self._epoch,
                word=word,
                at=self._clock.now(),
            )
        if not mine:
            raise Superseded
        self._well = word.status == RUNNING

    async def say_well(self) -> None:
        """Unless that is what it says."""
        if not self._well:
            await self.say(Word(RUNNING))
