"""`Means`: what work on views is done with."""

from dataclasses import dataclass

from diptych.clock import Clock
from diptych.read.database import ReadDatabase, Slot
from diptych.read.observer import Observers
from diptych.read.projector import Projector
from diptych.read.revision import Target
from diptych.read.signal import CheckpointSignal
from diptych.store.contract import EventStore


@dataclass(frozen=True, slots=True)
class Means:
    """The log, the read database and what goes with them, while they are open.

    `lease_ttl` is for how many seconds a worker that says nothing is taken to be alive.
    """

    store: EventStore
    database: ReadDatabase
    clock: Clock
    signal: CheckpointSignal
    observers: Observers
    lease_ttl: float

    def projector(self, target: Target, slot: Slot, *, holder: str) -> Projector:
        """One that projects a slot for the worker `holder`; not started."""
        return Projector(
            target,
            slot,
            holder=holder,
            store=self.store,
            database=self.database,
            signal=self.signal,
            clock=self.clock,
            observers=self.observers,
        )
