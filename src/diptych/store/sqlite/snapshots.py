"""Snapshots in the log's file: read with the log's readers, written between its appends."""

from functools import partial

from diptych.sqlite_library import Connection
from diptych.store.snapshots import Snapshot, SnapshotKey
from diptych.store.sqlite.appender import Appender
from diptych.store.sqlite.readers import Readers
from diptych.store.sqlite.rows import uuid_of
from diptych.store.sqlite.statements import SQL


class SqliteSnapshots:
    """See `Snapshots`."""

    def __init__(self, readers: Readers, appender: Appender) -> None:
        self._readers, self._appender = readers, appender

    async def find(self, key: SnapshotKey) -> Snapshot | None:
        row = await self._readers.run(lambda reader, _: reader.row("find_snapshot", key))
        if row is None:
            return None
        version, position, event_id, state, digest = row
        return Snapshot(key, version, position, uuid_of(event_id), state, digest)

    async def keep(self, snapshot: Snapshot) -> None:
        await self._appender.do(partial(_keep, snapshot), durable=False)


def _keep(snapshot: Snapshot, db: Connection) -> None:
    values = {
        **snapshot.key._asdict(),
        "version": snapshot.version,
        "position": snapshot.position,
        "event_id": snapshot.event_id.bytes,
        "state": snapshot.state,
        "digest": snapshot.digest,
    }
    db.execute(SQL["keep_snapshot"], values)
    db.execute(SQL["drop_snapshots"], snapshot.key._asdict())
