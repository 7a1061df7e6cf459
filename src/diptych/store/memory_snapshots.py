"""Snapshots in memory."""

from diptych.store.snapshots import Snapshot, SnapshotKey


class MemorySnapshots:
    """See `Snapshots`."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], dict[str, Snapshot]] = {}

    async def find(self, key: SnapshotKey) -> Snapshot | None:
        return self._kept.get((key.tenant, key.stream), {}).get(key.fingerprint)

    async def keep(self, snapshot: Snapshot) -> None:
        tenant, stream, fingerprint = snapshot.key
        of_stream = self._kept.setdefault((tenant, stream), {})
        of_stream.pop(fingerprint, None)
        newest = max((other.version for other in of_stream.values()), default=0)
        for name, other in list(of_stream.items()):
            if other.version < newest:
                del of_stream[name]
        of_stream[fingerprint] = snapshot
