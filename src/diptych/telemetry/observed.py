"""What stands around commands and appends while somebody observes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from diptych.clock import Clock
from diptych.messages import Envelope
from diptych.store.contract import (
    Append,
    Appended,
    CommandKey,
    Load,
    Loaded,
    RecordedCommand,
    WriteStore,
)
from diptych.store.snapshots import Snapshots
from diptych.telemetry.contract import Telemetry
from diptych.write.bus import Handle, Middleware
from diptych.write.decider import Decider
from diptych.write.handler import CommandHandler
from diptych.write.outcome import Outcome
from diptych.write.side import WriteSide


@dataclass(frozen=True, slots=True)
class Parts:
    """What a write side is made of, so that it can be made anew for other observers."""

    write: Sequence[Decider[Any, Any, Any] | CommandHandler]
    store: WriteStore
    clock: Clock
    middleware: Sequence[Middleware]

    def observed_by(self, telemetry: Sequence[Telemetry]) -> WriteSide:
        """Telemetry is outermost: it sees what the middleware makes of a command."""
        return WriteSide(
            self.write,
            store=observed_store(self.store, telemetry),
            clock=self.clock,
            middleware=[*map(observed_commands, telemetry), *self.middleware],
        )


def observed_commands(telemetry: Telemetry) -> Middleware:
    """Middleware that tells `telemetry` of each command, and has its trace recorded."""

    def wrap(handle: Handle) -> Handle:
        async def observed(command: Any, envelope: Envelope) -> Outcome:
            with telemetry.command(type(command), envelope) as trace:
                return await handle(command, envelope._replace(trace=trace) if trace else envelope)

        return observed

    return wrap


def observed_store(store: WriteStore, telemetry: Sequence[Telemetry]) -> WriteStore:
    """The store itself, if nobody observes it."""
    for each in telemetry:
        store = _Observed(store, each)
    return store


class _Observed:
    """A store whose appends are told of."""

    def __init__(self, store: WriteStore, telemetry: Telemetry) -> None:
        self._store, self._telemetry = store, telemetry

    @property
    def log_id(self) -> UUID:
        return self._store.log_id

    @property
    def snapshots(self) -> Snapshots:
        return self._store.snapshots

    async def append(self, append: Append) -> Appended:
        with self._telemetry.append(append):
            return await self._store.append(append)

    async def load(self, load: Load) -> Loaded:
        return await self._store.load(load)

    async def find(self, command: CommandKey) -> RecordedCommand | None:
        return await self._store.find(command)
