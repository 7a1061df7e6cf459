"""Snapshots: the states of long streams, kept behind the commits, found instead of their events.

Theory of operation
-------------------
A state is kept when its stream has grown by `snapshot_every` events since it was kept last, or was
read that far without finding one. Only states that the log holds get here (`Executor.remember`).
They wait in a short queue, and one task at a time encodes them in a thread and gives them to the
store. No command waits for that. What does not fit into the queue, and what fails, is left out: the
next one comes after as many events again.

A snapshot that is found is used only if nothing about it is in doubt:

- it stands under the fingerprint of `evolve`, with all the code and types that this uses, of the
  initial state, and of the event types with their upcasters;
- its digest covers its stream, its place and its state: what was changed or moved is noticed;
- the stream is read from the event on at which the snapshot was taken, and that is still the event
  which the snapshot names.

Otherwise the whole stream is read, as if there were none, and a new one takes its place.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from typing import Any, Final

from msgspec.structs import replace

from diptych.errors import InvalidInput, StoreError
from diptych.failpoints import failpoint
from diptych.store.contract import START, Load, Loaded, Point, WriteStore
from diptych.store.limits import MAX_VERSION
from diptych.store.snapshots import Snapshot
from diptych.write.decider import Decider
from diptych.write.known import Key, Known

_WAITING: Final = 100
_REST: Final = 60.0
"""Seconds in which nothing is kept after the store could not."""
_log = logging.getLogger(__name__)


class Keeper:
    """Takes snapshots of what it is offered, and loads streams from those it finds.

    Without `keeps` it only finds them. It belongs to one event loop.
    """

    def __init__(self, store: WriteStore, *, keeps: bool = True) -> None:
        self._store, self._keeps = store, keeps
        self._waiting: OrderedDict[Key, Known[Any]] = OrderedDict()
        self._keeping: asyncio.Task[None] | None = None
        self._rests_until = 0.0
        self._warned: set[Decider[Any, Any, Any]] = set()

    async def load(self, key: Key, load: Load) -> tuple[Known[Any], Loaded]:
        """A state of the stream, the initial one or a snapshot, and the events beyond it.

        Raises: as `WriteStore.load`.
        """
        decider = key[0]
        if decider.snapshot_every and (snapshot := await self._find(key)):
            loaded = await self._store.load(replace(load, after=snapshot.version - 1))
            known = self._known(key, snapshot, loaded)
            if known is not None:
                return known, replace(loaded, events=loaded.events[1:])
        return Known(decider.initial(), 0, START), await self._store.load(load)

    def offer(self, key: Key, known: Known[Any]) -> Known[Any]:
        """Have a state kept that the log holds, if it is time; the same, with that noted."""
        every = key[0].snapshot_every
        if not self._keeps or not every or known.version - known.kept < every:
            return known
        if time.monotonic() < self._rests_until:
            return known
        self._waiting[key] = known
        if len(self._waiting) > _WAITING:
            self._waiting.popitem(last=False)
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._keep_all(), name="diptych-snapshots")
        return replace(known, kept=known.version)

    async def close(self) -> None:
        """Leave out what waits. Who offers something afterwards begins anew."""
        self._waiting.clear()
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])

    async def _find(self, key: Key) -> Snapshot | None:
        decider, tenant, stream = key
        try:
            found = await self._store.snapshots.find(decider.states.key(tenant, stream))
            return found if found and 1 <= found.version <= MAX_VERSION else None
        except StoreError as error:  # what is wrong, the load will say
            _log.info("no snapshot of %s could be looked for: %s", stream, error)
            return None

    def _known(self, key: Key, snapshot: Snapshot, loaded: Loaded) -> Known[Any] | None:
        """The state of a snapshot, if it is of this stream as it is."""
        first = loaded.events[0] if loaded.events else None
        named = snapshot.version, snapshot.position, snapshot.event_id
        if first is None or named != (first.version, first.position, first.event_id):
            _log.warning("a snapshot of %s is not of this stream and not used", key[2])
            return None
        try:
            state = key[0].states.decode(snapshot)
        except InvalidInput as error:
            _log.warning("a snapshot of %s cannot be read and is not used: %s", key[2], error)
            return None
        point = Point(snapshot.position, snapshot.event_id)
        return Known(state, snapshot.version, point, kept=snapshot.version)

    async def _keep_all(self) -> None:
        while self._waiting:
            key, known = self._waiting.popitem(last=False)
            try:
                await self._keep(key, known)
            except StoreError as error:
                self._waiting.clear()
                self._rests_until = time.monotonic() + _REST
                _log.warning("no snapshots are kept for %g s: %s", _REST, error)
            except Exception as error:  # noqa: BLE001 - nobody waits for it, and nobody needs it
                level = logging.DEBUG if key[0] in self._warned else logging.WARNING
                self._warned.add(key[0])
                _log.log(level, "no snapshot of %s is kept: %s", key[2], error)

    async def _keep(self, key: Key, known: Known[Any]) -> None:
        decider, tenant, stream = key
        failpoint("snapshot.before_encode")
        snapshot = await asyncio.to_thread(
            decider.states.encode,
            decider.states.key(tenant, stream),
            known.state,
            version=known.version,
            point=known.point,
        )
        failpoint("snapshot.before_keep")
        await self._store.snapshots.keep(snapshot)
        failpoint("snapshot.after_keep")
