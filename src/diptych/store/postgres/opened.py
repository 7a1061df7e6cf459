"""A log that is open: its connections, and who is woken by what."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from diptych.clock import Clock, SystemClock
from diptych.errors import StoreClosed
from diptych.postgres_library.connection import Wanted, cut_off
from diptych.postgres_library.errors import translate
from diptych.postgres_library.listening import Listener
from diptych.postgres_library.pool import Pool
from diptych.postgres_library.url import PostgresUrl
from diptych.store.batching import Batcher
from diptych.store.contract import (
    Append,
    Appended,
    CommandKey,
    CommandRecord,
    Load,
    Loaded,
    RecordedCommand,
)
from diptych.store.cursors import Cursors
from diptych.store.group_commit import GroupCommit
from diptych.store.migrating import Migrated
from diptych.store.postgres.committing import Committer
from diptych.store.postgres.creating import Facts, identify
from diptych.store.postgres.cursors import CursorStatements, moment
from diptych.store.postgres.join import Joiner
from diptych.store.postgres.reading import Reader
from diptych.store.postgres.snapshots import PostgresSnapshots
from diptych.store.postgres.statements import statements_for
from diptych.store.sql_cursors import SqlCursors
from diptych.store.subscription import LogSignal

_LOADS: Final = 256
"""Loads that are answered together."""
_HEARING, _DEAF = 0.5, 0.02
"""Seconds between looks at the head while somebody waits: NOTIFY tells of most, or of nothing."""
_READING: Final = Wanted(
    "diptych read",
    {
        "enable_seqscan": "off",
        "enable_bitmapscan": "off",
        "jit": "off",
        "plan_cache_mode": "force_generic_plan",
        "statement_timeout": "0",
    },
)
"""Plans that are kept were often made while the tables were small: they must use the indexes."""


@dataclass(frozen=True, slots=True)
class Access:
    """How a log is reached; see `PostgresEventStore`."""

    url: PostgresUrl
    clock: Clock | None
    readers: int
    patience: float
    deadline: float


class OpenLog:
    """A log that is open, for one event loop."""

    def __init__(
        self,
        facts: Facts,
        *,
        reader: Reader,
        committer: Committer,
        joiner: Joiner,
        listener: Listener,
        cursors: CursorStatements,
        snapshots: PostgresSnapshots,
    ) -> None:
        self.facts, self.reader, self.joiner, self.snapshots = facts, reader, joiner, snapshots
        self._cursors = cursors
        self.cursors: Cursors = SqlCursors(cursors, moment=moment)
        self._committer, self._listener = committer, listener
        self.signal = LogSignal(poll=reader.head_position, interval=self._interval)
        self.group = GroupCommit(self._commit)
        self._loads = Batcher(reader.loads, max_items=_LOADS, failed=_failed)
        committer.on_reconnect = self.signal.look
        listener.start(self.signal.look)
        self._loop = asyncio.get_running_loop()

    async def load(self, load: Load) -> Loaded:
        loaded = await self._loads.submit(load)
        if loaded is None:
            loaded = await self.reader.alone(load)
        if load.command is not None and loaded.command is not None:
            await self._confirm(load.command, loaded.command)
        return loaded

    async def find(self, key: CommandKey) -> RecordedCommand | None:
        found = await self.reader.find(key)
        if found is not None:
            await self._confirm(key, found)
        return found

    def committed(self) -> None:
        self._loop.call_soon_threadsafe(self.signal.look)
        self._loop.call_soon_threadsafe(self._listener.notify)

    async def close(self) -> None:
        await self.group.close()
        await self._loads.close()
        await self.signal.close()
        await self._listener.stop()
        await self._committer.close()
        await self.reader.close()
        await self._cursors.close()

    async def _confirm(self, key: CommandKey, found: RecordedCommand) -> None:
        """Wait until what is reported is as durable as what is acknowledged.

        It is committed. But if the server was restarted since, or the wait for its standbys was
        cancelled, they may not have it yet. To append it again waits for them, and changes nothing.
        """
        await self.group.append(
            Append((), command=CommandRecord(key, found.hash), tenant=key.tenant)
        )

    async def _commit(self, batch: Sequence[Append]) -> Sequence[Appended | Exception]:
        answers = await self._committer.commit(batch)
        head = max(
            (each.point.position for each in answers if isinstance(each, Appended)), default=0
        )
        self.signal.announce(head)
        self._listener.notify()
        return answers

    def _interval(self) -> float:
        return _HEARING if self._listener.live else _DEAF


async def open_log(access: Access, *, migrate: bool) -> OpenLog:
    """Raises: StoreError: the database cannot hold the log."""
    url, clock, patience, deadline = access.url, access.clock, access.patience, access.deadline
    sql = statements_for(url.schema)
    pool = _pool(access)
    facts = await _identified(pool, access, migrate=migrate)
    log_id = facts.log_id
    return OpenLog(
        facts,
        reader=Reader(pool, sql),
        committer=Committer(url, sql, log_id, clock=clock, patience=patience, deadline=deadline),
        joiner=Joiner(sql, log_id=log_id, shown=url.shown, clock=clock),
        listener=Listener(url, f"{url.schema}_log"),
        cursors=CursorStatements(url, deadline=deadline),
        snapshots=PostgresSnapshots(pool, sql),
    )


async def migrate_log(access: Access) -> Migrated:
    """Raises: StoreError: as `open_log`."""
    pool = _pool(access)
    try:
        return (await _identified(pool, access, migrate=True)).schema
    finally:
        await pool.close()


def _pool(access: Access) -> Pool:
    reading = replace(_READING, seconds=min(_READING.seconds, access.deadline))
    return Pool(
        access.url,
        reading,
        size=access.readers,
        patience=access.patience,
        deadline=access.deadline,
    )


async def _identified(pool: Pool, access: Access, *, migrate: bool) -> Facts:
    url, clock = access.url, access.clock or SystemClock()
    try:
        async with pool.connection() as connection, cut_off(connection, access.deadline):
            return await identify(connection, url, clock=clock, migrate=migrate)
    except Exception as error:
        raise translate(error, url.shown) from error


def _failed(error: BaseException) -> Exception:
    return error if isinstance(error, Exception) else StoreClosed("closed while reading")
