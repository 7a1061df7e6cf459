"""Every exception, in four kinds: by whose move is next.

    DiptychError
    ├── Rejected                    the caller's: ask for something else
    │   ├── InvalidInput              a value that cannot be accepted; names field and limit
    │   │   ├── LimitExceeded           too large, too many, too deep
    │   │   ├── InvalidToken            a token that was not made by this system
    │   │   ├── TokenFromAnotherHistory a token from another log, or from before a restore
    │   │   └── InvalidCursor           a cursor that was changed, or belongs to another query
    │   ├── CommandIdReused           the same command id with other content
    │   ├── UnknownView               an operation names a view that the application does not have
    │   ├── UnknownReaction           or a reaction that it does not have
    │   ├── NotAView                  or a projection where it needs rows by key
    │   ├── UnknownRevision           or a revision that the read database does not have
    │   ├── RevisionInUse             a revision that is needed cannot be dropped
    │   ├── NotParked                 nothing is parked under the key
    │   ├── NotStopped                a reaction that is to go on has not stopped
    │   └── StillParked               what is parked failed again
    ├── TryAgain                    ours: the same request may succeed later
    │   ├── ConcurrencyError          the stream is not at the expected version
    │   ├── ConditionFailed           an event matches the append condition
    │   ├── CommandTookEffect         a twin of a joined command was faster; nothing was committed
    │   ├── OutcomeUnknown            the append may or may not be there; ask with the command id
    │   ├── Overloaded                the queue is full
    │   ├── RebuildRunning            the view is being built by another process
    │   ├── ConsistencyTimeout        the view did not get to the token in time
    │   ├── KeyParked                 events of a row that is asked for are parked
    │   ├── ViewPaused                an operator has paused the view
    │   ├── RetriedElsewhere          another operator has taken over what is retried
    │   ├── ViewChanging              operators change the view's rows while they are looked at
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
        ├── DeliveryGap               a page of the log had a hole, or came twice
        ├── ParkingFull               as much is parked as may be
        ├── RebuildRequired           a view must be rebuilt by command before this code starts
        └── ProjectionStopped         it could not apply an event, and waits for you

Facts are attributes; the message is one line made from them. No message carries the content of a
command or an event: both may hold secrets.
"""

from diptych.errors.again import (
    CommandTookEffect,
    ConcurrencyError,
    ConditionFailed,
    ConsistencyTimeout,
    KeyParked,
    OutcomeUnknown,
    Overloaded,
    ViewNotReady,
    ViewPaused,
)
from diptych.errors.kinds import (
    ConfigurationError,
    DiptychError,
    NoHandler,
    Rejected,
    StoreError,
    TryAgain,
)
from diptych.errors.operating import (
    NotAView,
    NotParked,
    NotStopped,
    RebuildRequired,
    RebuildRunning,
    RetriedElsewhere,
    RevisionInUse,
    StillParked,
    UnknownReaction,
    UnknownRevision,
    UnknownView,
    ViewChanging,
)
from diptych.errors.rejected import (
    CommandIdReused,
    InvalidCursor,
    InvalidInput,
    InvalidToken,
    LimitExceeded,
    TokenFromAnotherHistory,
)
from diptych.errors.store import (
    CheckpointDiverged,
    DeliveryGap,
    HistoryDiverged,
    ParkingFull,
    ProjectionStopped,
    SchemaMismatch,
    StorageBusy,
    StorageCorrupt,
    StorageDenied,
    StorageFull,
    StorageReadOnly,
    StorageUnavailable,
    StoreClosed,
    UndecodableEvent,
    UnknownEventType,
)

__all__ = [
    "CheckpointDiverged",
    "CommandIdReused",
    "CommandTookEffect",
    "ConcurrencyError",
    "ConditionFailed",
    "ConfigurationError",
    "ConsistencyTimeout",
    "DeliveryGap",
    "DiptychError",
    "HistoryDiverged",
    "InvalidCursor",
    "InvalidInput",
    "InvalidToken",
    "KeyParked",
    "LimitExceeded",
    "NoHandler",
    "NotAView",
    "NotParked",
    "NotStopped",
    "OutcomeUnknown",
    "Overloaded",
    "ParkingFull",
    "ProjectionStopped",
    "RebuildRequired",
    "RebuildRunning",
    "Rejected",
    "RetriedElsewhere",
    "RevisionInUse",
    "SchemaMismatch",
    "StillParked",
    "StorageBusy",
    "StorageCorrupt",
    "StorageDenied",
    "StorageFull",
    "StorageReadOnly",
    "StorageUnavailable",
    "StoreClosed",
    "StoreError",
    "TokenFromAnotherHistory",
    "TryAgain",
    "UndecodableEvent",
    "UnknownEventType",
    "UnknownReaction",
    "UnknownRevision",
    "UnknownView",
    "ViewChanging",
    "ViewNotReady",
    "ViewPaused",
]
