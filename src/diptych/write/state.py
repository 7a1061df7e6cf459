"""`StateCodec`: the states of one decider as snapshots, and back."""

import inspect
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final, Generic, TypeVar, get_type_hints
from uuid import UUID

from diptych.codec import Events
from diptych.errors import ConfigurationError, InvalidInput, LimitExceeded
from diptych.rules.fingerprint import fingerprint
from diptych.shapes import json_codec
from diptych.store.contract import Point
from diptych.store.snapshots import Snapshot, SnapshotKey

S = TypeVar("S")

MAX_BYTES: Final = 4_000_000
"""A larger state is not kept: to read it takes as long as to read thousands of events."""


class StateCodec(Generic[S]):
    """Knows its rule by a fingerprint: of `evolve`, the initial state, and the event types.

    Raises: ConfigurationError: the state has no type that can be stored, or the rule cannot be
        followed.
    """

    def __init__(
        self, events: Events[Any], *, initial: Callable[[], S], evolve: Callable[..., S]
    ) -> None:
        self._codec = json_codec(_returned(evolve))
        self.fingerprint = fingerprint(evolve, initial(), *events.parts)

    def key(self, tenant: str, stream: str) -> SnapshotKey:
        return SnapshotKey(tenant, stream, self.fingerprint)

    def encode(self, key: SnapshotKey, state: S, *, version: int, point: Point) -> Snapshot:
        """May run in a thread.

        Raises: InvalidInput, LimitExceeded: the state does not fit its type, or is too large; or
            what is stored of it would not come back equal.
        """
        data = self._codec.encode(state)
        if len(data) > MAX_BYTES:
            raise LimitExceeded("state", limit=MAX_BYTES, unit="bytes")
        if self._codec.decode(data) != state:
            raise InvalidInput("state", "does not come back equal from what is stored of it")
        event_id = point.event_id or UUID(int=0)
        digest = _digest(key, (version, point.position, event_id), data)
        return Snapshot(key, version, point.position, event_id, data, digest)

    def decode(self, snapshot: Snapshot) -> S:
        """Raises: InvalidInput: something about it was changed."""
        place = snapshot.version, snapshot.position, snapshot.event_id
        if _digest(snapshot.key, place, snapshot.state) != snapshot.digest:
            raise InvalidInput("state", "is not what was kept")
        state: S = self._codec.decode(snapshot.state)
        return state


def _digest(key: SnapshotKey, place: tuple[int, int, UUID], state: bytes) -> bytes:
    where = ascii((tuple(key), *place)).encode()
    return blake2b(state, key=blake2b(where, digest_size=32).digest(), digest_size=16).digest()


def _returned(evolve: Callable[..., object]) -> Any:
    """The type of the state, as `evolve` says it."""
    try:
        hint = get_type_hints(inspect.unwrap(evolve), include_extras=True)["return"]
    except (KeyError, NameError, TypeError) as error:
        raise _unknown(evolve) from error
    if hint is Any or hint is object or isinstance(hint, TypeVar):
        raise _unknown(evolve)
    return hint


def _unknown(evolve: Callable[..., object]) -> ConfigurationError:
    name = getattr(evolve, "__qualname__", repr(evolve))
    return ConfigurationError(
        f"the type of the state cannot be read from {name}: annotate what it returns"
    )
