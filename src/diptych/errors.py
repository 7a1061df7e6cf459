"""Every exception, in four kinds: by whose move is next.

    DiptychError
    ├── Rejected                    the caller's: ask for something else
    │   ├── InvalidInput              a value that cannot be accepted; names field and limit
    │   │   ├── LimitExceeded           too large, too many, too deep
    │   │   ├── InvalidToken            a token that was not made by this system
    │   │   ├── TokenFromAnotherHistory a token from another log, or from before a restore
    │   │   └── InvalidCursor           a cursor that was changed, or belongs to another query
    │   └── CommandIdReused           the same command id with other content
    ├── TryAgain                    ours: the same request may succeed later
    │   ├── ConcurrencyError          the stream is not at the expected version
    │   ├── ConditionFailed           an event matches the append condition
    │   ├── CommandTookEffect         a twin of a joined command was faster; nothing was committed
    │   ├── OutcomeUnknown            the append may or may not be there; ask with the command id
    │   ├── Overloaded                the queue is full
    │   ├── ConsistencyTimeout        the view did not get to the token in time
    │   └── ViewNotReady              the view's table is still being built
    ├── ConfigurationError          the programmer's: wrong wiring, at start-up where possible
    │   └── NoHandler                 a command or query that nothing is registered for
    └── StoreError                  the operator's; the driver's error is the cause
        ├── StoreClosed               used after close
        ├── StorageFull  StorageReadOnly  StorageCorrupt  StorageBusy
        ├── StorageUnavailable  StorageDenied
        ├── SchemaMismatch            the file was written by another version
        ├── HistoryDiverged           a database does not fit its log: one of them was restored
        │   └── CheckpointDiverged      a view shows events that the log does not have any more
        ├── UnknownEventType          an event that no declared type stands for
        ├── UndecodableEvent          an event that its type cannot hold
        └── ProjectionStopped         it could not apply an event, and waits for you

Facts are attributes; the message is one line made from them. No message carries the content of a
command or an event: both may hold secrets.
"""

from datetime import timedelta
from uuid import UUID


class DiptychError(Exception):
    """Base of all errors that Diptych raises on purpose."""


class Rejected(DiptychError):
    """The request is refused and nothing was written. Subclass it for the rules of your domain."""


class InvalidInput(Rejected):
    """A value cannot be accepted. `field` says where (`items.0.quantity`), `problem` why."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field, self.problem = field, problem


class LimitExceeded(InvalidInput):
    """A value is larger than its limit. `limit` is the largest that is accepted."""

    def __init__(self, field: str, *, limit: int, unit: str) -> None:
        super().__init__(field, f"at most {limit} {unit}")
        self.limit, self.unit = limit, unit


class InvalidToken(InvalidInput):
    """The consistency token was not made by this system, or was changed on its way."""

    def __init__(self) -> None:
        super().__init__("token", "is not a token that this service gave out")


class TokenFromAnotherHistory(InvalidInput):
    """The token proves an event that this log does not have: another log, or a restored one."""

    def __init__(self) -> None:
        super().__init__("token", "belongs to another log or to a history that was replaced")


class InvalidCursor(InvalidInput):
    """The page cursor was changed, or was made by another query, filter or order."""

    def __init__(self) -> None:
        super().__init__("cursor", "does not belong to this query")


class CommandIdReused(Rejected):
    """The command id was used before with other content; the first outcome stands."""

    def __init__(self, command_id: UUID) -> None:
        super().__init__(f"command id {command_id} was used before with other content")
        self.command_id = command_id


class TryAgain(DiptychError):
    """The request was sound, and may succeed if it is made again."""


class ConcurrencyError(TryAgain):
    """The stream is at `actual`, not at `expected`: somebody else was faster. Nothing written."""

    def __init__(self, stream: str, *, expected: int, actual: int) -> None:
        super().__init__(f"stream {stream} is at version {actual}, not {expected}")
        self.stream, self.expected, self.actual = stream, expected, actual


class ConditionFailed(TryAgain):
    """The event at `position` matches the append condition, so nothing was written."""

    def __init__(self, *, after: int, position: int) -> None:
        super().__init__(f"an event after {after}, at {position}, matches the append condition")
        self.after, self.position = after, position


class CommandTookEffect(TryAgain):
    """While a transaction with this command was under way, a twin of the command took effect.

    Nothing of the transaction is committed. Send the command again for its outcome, and leave out
    what else you would have changed for it.
    """

    def __init__(self, command_id: UUID) -> None:
        super().__init__(f"command {command_id} took effect meanwhile; nothing was committed")
        self.command_id = command_id


class OutcomeUnknown(TryAgain):
    """Contact was lost around the commit; the same command under the same id is safe to repeat."""

    def __init__(self, command_id: UUID | None = None) -> None:
        named = f" of command {command_id}" if command_id else ""
        super().__init__(f"it is not known whether the append{named} was committed")
        self.command_id = command_id


class Overloaded(TryAgain):
    """More work is waiting than `limit` allows; try again in about `retry_after` seconds."""

    def __init__(self, *, waiting: int, limit: int, retry_after: float = 1.0) -> None:
        super().__init__(f"{waiting} are waiting already, at most {limit} may")
        self.waiting, self.limit, self.retry_after = waiting, limit, retry_after


class ConsistencyTimeout(TryAgain):
    """`view` had reached position `reached`, not `wanted`, when the time was up."""

    def __init__(self, view: str, *, wanted: int, reached: int, timeout: timedelta) -> None:
        seconds = timeout.total_seconds()
        super().__init__(f"view {view} is at {reached}, not yet at {wanted}, after {seconds:g} s")
        self.view, self.wanted, self.reached, self.timeout = view, wanted, reached, timeout


class ViewNotReady(TryAgain):
    """`view` is being built for this version of the code: `position` of `head` events are in."""

    def __init__(self, view: str, *, position: int, head: int) -> None:
        super().__init__(f"view {view} is being built: at {position} of {head}")
        self.view, self.position, self.head = view, position, head


class ConfigurationError(DiptychError):
    """The application is put together wrongly; the message says what to write."""


class NoHandler(ConfigurationError):
    """Nothing is registered for `message`; `registered` lists what is."""

    def __init__(self, message: type, *, registered: tuple[type, ...]) -> None:
        names = ", ".join(sorted(known.__qualname__ for known in registered)) or "nothing"
        super().__init__(f"nothing handles {message.__qualname__}; registered: {names}")
        self.message, self.registered = message, registered


class StoreError(DiptychError):
    """A database cannot do its work; the driver's own error is the cause."""


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
    """`found` is the schema version of the file, `supported` the one of this code."""

    def __init__(self, what: str, *, found: int, supported: int) -> None:
        advice = "upgrade Diptych" if found > supported else "migrate the file"
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
