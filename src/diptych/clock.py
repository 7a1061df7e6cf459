"""Time, ids and chance, behind one small object that tests replace."""

import random
import time
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID, SafeUUID

_RANDOM = ~(0xF << 76 | 0b11 << 62)
_VERSION_7 = 7 << 76 | 0b10 << 62
_new, _set = object.__new__, object.__setattr__


class Clock(Protocol):
    """Everything that is not a function of its input. Durations come from the event loop."""

    def now(self) -> datetime:
        """The time, aware, in UTC."""
        ...

    def new_id(self) -> UUID:
        """An id that was never used before."""
        ...

    def jitter(self) -> float:
        """A number in [0, 1) that spreads retries."""
        ...


class SystemClock:
    """The machine's time, and version 7 UUIDs: they sort by creation, so indexes stay compact."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def new_id(self) -> UUID:
        return uuid7()

    def jitter(self) -> float:
        return random.random()  # noqa: S311 - spreads load, guards nothing


def uuid7() -> UUID:
    """48 bits of Unix milliseconds, then 74 random bits (RFC 9562, section 5.7).

    The random bits come from `random.getrandbits`: these ids must be unique, not secret. What
    `UUID()` checks holds here, and it takes longer than all the rest.
    """
    bits = time.time_ns() // 1_000_000 << 80 | random.getrandbits(80)
    made = _new(UUID)
    _set(made, "int", bits & _RANDOM | _VERSION_7)
    _set(made, "is_safe", SafeUUID.unknown)
    return made
