"""`Explanation`: why a view is where it is, and what to do about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Why(Enum):
    """The causes. Each value is what programs may compare with."""

    NOTHING_TO_DO = "nothing to do"
    CATCHING_UP = "catching up"
    STOPPED = "stopped"
    DIVERGED = "diverged"
    PAUSED = "paused"
    UNBUILT = "unbuilt"
    BUILDING = "building"
    NOBODY_PROJECTS = "nobody projects"
    UNCLAIMED = "unclaimed"
    HOLDER_GONE = "holder gone"
    HOLDER_STOPPED = "holder stopped"
    HOLDER_SILENT = "holder silent"
    HOLDER_STILL = "holder still"
    LOCKED = "locked"
    CONNECTION_LOST = "connection lost"
    RETRYING = "retrying"
    PARKED = "parked"
    LOG_UNREACHABLE = "log unreachable"
    READ_DATABASE_UNREACHABLE = "read database unreachable"


Facts = Mapping[str, str | int | float | None]


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause: what is so (`says`), what to do about it (`do`), and the `facts` behind both."""

    why: Why
    says: str
    do: str
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Explanation:
    """The causes, the one that weighs most first. There is always one.

    `position` and `head` are None where a database could not be asked.
    """

    view: str
    revision: int | None
    position: int | None
    head: int | None
    causes: tuple[Cause, ...]

    @property
    def cause(self) -> Cause:
        return self.causes[0]

    @property
    def behind(self) -> int | None:
        """Positions to go; None if that is not known."""
        if self.position is None or self.head is None:
            return None
        return max(self.head - self.position, 0)

    @property
    def stands_still(self) -> bool:
        """Whether the view does not go on, although it should."""
        return self.cause.why not in {Why.NOTHING_TO_DO, Why.CATCHING_UP, Why.PARKED}
