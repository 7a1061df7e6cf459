"""Snapshots: states of long streams, kept beside the log so that their events need not be read.

Nothing depends on them. Each can be made again from the events, so a store may lose any of them at
any time, and does not wait for the disk when it keeps one. Every clause is a test in
`diptych.testing.conformance`.

- What was kept is found again, as it was given, under the same tenant, stream and fingerprint,
  until another is kept there; whichever was kept last is found.
- Of one stream the snapshots of two fingerprints may stand side by side, for old and new code; a
  third makes that of the lower version go.
"""

from typing import NamedTuple, Protocol
from uuid import UUID

from msgspec import Struct


class SnapshotKey(NamedTuple):
    """`fingerprint` is that of the rule which folded the state."""

    tenant: str
    stream: str
    fingerprint: str


class Snapshot(Struct, frozen=True, gc=False):
    """A state after the first `version` events of a stream; the last of them is at `position`.

    `state` and `digest` mean something only to who kept them.
    """

    key: SnapshotKey
    version: int
    position: int
    event_id: UUID
    state: bytes
    digest: bytes


class Snapshots(Protocol):
    """The snapshots of one log. Raises StoreError where its database cannot do it."""

    async def find(self, key: SnapshotKey) -> Snapshot | None: ...

    async def keep(self, snapshot: Snapshot) -> None: ...
