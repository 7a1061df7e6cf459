"""The operator's: a database, or what is in it, keeps work from being done."""

from diptych.errors.kinds import StoreError


class StoreClosed(StoreError):
    """The store was used after it was closed, or before it was opened."""


class StorageFull(StoreError):
    """The disk is full. Reads work; appends work again once there is room."""


class StorageReadOnly(StoreError):
    """The file or its folder cannot be written."""


class StorageCorrupt(StoreError):
    """The file is not a database, or is damaged. Restore it from a backup."""


class StorageBusy(StoreError):
    """Another process held the database's lock for too long."""


class StorageUnavailable(StoreError):
    """The database server cannot be reached, or takes no connections. Nothing was written."""


class StorageDenied(StoreError):
    """The database server refuses this user: its password, or a right that it lacks."""


class SchemaMismatch(StoreError):
    """`found` is the schema version of the database, `supported` the one of this code.

    An older one is met only where it may not be migrated (`Application(migrate=False)`).
    """

    def __init__(self, what: str, *, found: int, supported: int) -> None:
        advice = "upgrade Diptych" if found > supported else "migrate it, `diptych migrate`"
        super().__init__(f"{what} has schema version {found}, this is {supported}: {advice}")
        self.what, self.found, self.supported = what, found, supported


class HistoryDiverged(StoreError):
    """The event at `position` is not the one that was seen there: a database was restored."""

    def __init__(self, what: str, *, position: int) -> None:
        super().__init__(
            f"{what} does not fit this log at position {position}: one of them was restored or"
            " replaced; rebuild what is newer than the log"
        )
        self.what, self.position = what, position


class CheckpointDiverged(HistoryDiverged):
    """`view` has applied an event at `position` that the log does not have: the log was restored
    from a backup, or lost its end in a failover. The view neither goes on nor answers.
    """

    def __init__(self, view: str, *, position: int) -> None:
        super().__init__(f"view {view}", position=position)
        self.view = view


class UnknownEventType(StoreError):
    """The category has an event of a type that its `Events` does not declare.

    Deploy the code that knows it, or declare it in `Events(ignore=...)`.
    """

    def __init__(self, type: str, *, category: str, position: int | None = None) -> None:  # noqa: A002
        where = f" at position {position}" if position else ""
        super().__init__(f"category {category} has no event type {type!r}{where}")
        self.type, self.category, self.position = type, category, position


class UndecodableEvent(StoreError):
    """A stored event does not fit its type; `path` says where, the content is not repeated."""

    def __init__(self, type: str, *, path: str, position: int | None = None) -> None:  # noqa: A002
        where = f" at position {position}" if position else ""
        super().__init__(f"event type {type!r}{where} cannot be decoded at {path}")
        self.type, self.path, self.position = type, path, position


class ProjectionStopped(StoreError):
    """`projection` stopped before `position`; the cause says why."""

    def __init__(self, projection: str, *, position: int, reason: str) -> None:
        super().__init__(f"projection {projection} stopped at position {position}: {reason}")
        self.projection, self.position, self.reason = projection, position, reason


class DeliveryGap(StoreError):
    """What the log delivered to `view` does not follow on what it has: at `position` something is
    missing, or came again. Nothing of it was applied.
    """

    def __init__(self, view: str, *, position: int, problem: str) -> None:
        super().__init__(f"view {view} was given a page of the log, where at {position} {problem}")
        self.view, self.position, self.problem = view, position, problem


class ParkingFull(StoreError):
    """The event at `position` had to be parked, but `view` has as much parked as it may: `limit`
    keys, or events (`unit`)."""

    def __init__(self, view: str, *, position: int, limit: int, unit: str, error: str = "") -> None:
        why = f"{error}; " if error else ""
        super().__init__(
            f"{why}view {view} has {limit} parked {unit}, its most: retry or discard some of them"
        )
        self.view, self.position, self.limit, self.unit = view, position, limit, unit
