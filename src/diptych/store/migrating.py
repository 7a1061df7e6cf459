"""What stores whose schema changes from version to version tell about it."""

from typing import NamedTuple


class Migrated(NamedTuple):
    """A log had schema version `found` (0: there was no log) and has `now`, that of this code."""

    found: int
    now: int
