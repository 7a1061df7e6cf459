"""Snapshots in the log's schema."""

from diptych.postgres_library.pool import Pool
from diptych.store.postgres.rows import uuid_of
from diptych.store.postgres.statements import Statements
from diptych.store.snapshots import Snapshot, SnapshotKey


class PostgresSnapshots:
    """See `Snapshots`. Its statements may be repeated, so a connection that is lost costs nothing.

    A user of the log who may not write them (`GRANT INSERT, UPDATE, DELETE ON snapshots`) finds
    what others have kept.
    """

    def __init__(self, pool: Pool, sql: Statements) -> None:
        self._pool, self._find, self._keep = pool, sql["find_snapshot"], sql["keep_snapshot"]

    async def find(self, key: SnapshotKey) -> Snapshot | None:
        rows = await self._pool.run(lambda connection: connection.fetch(self._find, *key))
        if not rows:
            return None
        version, position, event_id, state, digest = rows[0]
        return Snapshot(key, version, position, uuid_of(event_id), state, digest)

    async def keep(self, snapshot: Snapshot) -> None:
        place = snapshot.version, snapshot.position, str(snapshot.event_id)
        values = (*snapshot.key, *place, snapshot.state, snapshot.digest)
        await self._pool.run(lambda connection: connection.execute(self._keep, *values))
