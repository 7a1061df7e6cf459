"""`Known`: the state of a stream, and how far it goes."""

from typing import Any, Generic, TypeVar

from msgspec import Struct

from diptych.store.contract import Point
from diptych.write.decider import Decider

S = TypeVar("S")

Key = tuple[Decider[Any, Any, Any], str, str]
"""A decider, a tenant and a stream: states are kept for who made them."""


class Known(Struct, Generic[S], frozen=True, gc=False):
    """A stream's state, its version, and the point of its last event.

    `kept` is the version at which a snapshot of it was taken last, as far as this process knows.
    """

    state: S
    version: int
    point: Point
    kept: int = 0
