"""`Blocker`: who keeps writers of a read database waiting, as far as the database can tell."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Blocker:
    """A session (PostgreSQL) or process (SQLite) that holds a lock which others wait for.

    `pid` is the server process on PostgreSQL, on SQLite the process of this machine that has the
    file locked. `who` and `what` are for people; what it does is told without its statement,
    which may hold values. `seconds` is the age of its transaction, None where nobody knows.
    """

    pid: int
    who: str
    what: str
    seconds: float | None = None
