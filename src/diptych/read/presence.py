"""`Presence`: a process that only answers says what it reads, so that nothing is dropped under it.

Who projects is known by the leases. Who does not has a row of its own here, renewed as leases are;
a process that has ended is forgotten when that runs out, or at once on the same machine. Nothing
but dropping depends on it: a presence that cannot be renewed is tried again, and no query waits.
"""

import asyncio
import json
import logging
from collections.abc import Collection, Sequence
from typing import Final

import sqlalchemy as sa

from diptych.errors.reason import reason
from diptych.read.database import ReadDatabase, Snapshot, Transaction, Wanted
from diptych.read.revision import registry
from diptych.read.schema import READERS, database_now
from diptych.worker import Worker

_LOOKS: Final = 10
"""Looks at what is registered in the time after which a silent process counts as dead."""

_LONGEST_END: Final = 5.0
_FORGOTTEN_AFTER: Final = 3600.0

_log = logging.getLogger(__name__)


class Presence:
    """Of this process, which reads what is registered for `wanted`."""

    def __init__(self, wanted: Collection[Wanted], *, database: ReadDatabase, ttl: float) -> None:
        self._wanted, self._database, self._ttl = wanted, database, ttl
        self._worker = Worker.here()
        self._said: Sequence[int] = ()
        self._renew_at, self._well = 0.0, True
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Say it, if the database lets us: it may give this user no right but to read."""
        await self._look()
        self._task = asyncio.create_task(self._run(), name="diptych-presence")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        try:
            async with asyncio.timeout(_LONGEST_END), self._database.transaction() as tx:
                await tx.execute(sa.delete(READERS).where(READERS.c.id == self._worker.id))
        except Exception as error:  # noqa: BLE001 - it ends all the same
            _log.info("that this process reads is left to be forgotten: %s", reason(error))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._ttl / _LOOKS)
            await self._look()

    async def _look(self) -> None:
        try:
            async with self._database.snapshot(projecting=True) as snapshot:
                reads = await self._reads(snapshot)
            if reads != self._said or _time() >= self._renew_at:
                await self._say()
        except Exception as error:  # noqa: BLE001 - queries go on meanwhile
            if self._well:
                _log.warning("it cannot be said that this process reads: %s", reason(error))
            self._well = False
        else:
            self._well = True

    async def _reads(self, reading: Snapshot | Transaction) -> Sequence[int]:
        known = await registry(reading)
        return sorted(known[each].revision for each in self._wanted if each in known)

    async def _say(self) -> None:
        due, worker = _time() + self._ttl / 3, self._worker
        async with self._database.transaction() as tx:
            said = await self._reads(tx)
            until = database_now() + self._ttl
            mine = sa.update(READERS).where(READERS.c.id == worker.id)
            renewed = mine.values(revisions=json.dumps(said), alive_until=until)
            if not await tx.execute(renewed.returning(READERS.c.id)):
                long_dead = READERS.c.alive_until < database_now() - _FORGOTTEN_AFTER
                await tx.execute(sa.delete(READERS).where(long_dead))
                named = sa.insert(READERS).values(
                    id=worker.id, name=worker.name, process=worker.process
                )
                await tx.execute(named.values(revisions=json.dumps(said), alive_until=until))
        self._said, self._renew_at = said, due


def _time() -> float:
    return asyncio.get_running_loop().time()
