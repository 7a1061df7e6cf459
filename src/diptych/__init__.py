"""CQRS and event sourcing: commands on the left, read models on the right, one log as the hinge.

**Together**: `Application`, `Operations`, `Log`.

**The left panel**, commands to events: `Decider`, `Events`, `Upcast`, `Rejected`, `InvalidInput`,
`LimitExceeded`, `Shown`, `Envelope`, `Outcome`; handlers with `handler`, `CommandHandler`,
`Writer`, `Change`, `Condition`, `Criterion`, `ANY_VERSION`; around them `CommandBus`, `Middleware`.

**The right panel**, events to answers: `View`, `Places`, `Park`, `Projection`,
`ProjectionTransaction`; `Query`, `answer`, `Rows`, `Page`, `Versioned`, `Answer`, `Watching`,
`Token`; `Readiness`, `ViewStatus`, `SlotStatus`, `State`, `Progress`.

**Outside**: `Reaction`, `effect_id`, `ReactionStatus`, `ReactionState`, `ParkedStream`.

**The log**: `EventStore`, `SqliteEventStore`, `PostgresEventStore`, `MemoryEventStore`;
`RecordedEvent`, `Metadata`, `EventData`, `LogPage`, `Point`, `START`, `follow`; `Clock`,
`SystemClock`.

**Errors** are `DiptychError`s, by whose move is next.

- The caller's, `Rejected`: `InvalidInput`, `LimitExceeded`, `InvalidToken`, `InvalidCursor`,
  `TokenFromAnotherHistory`, `CommandIdReused`; of operators: `UnknownView`, `NotAView`,
  `UnknownRevision`, `RevisionInUse`, `UnknownReaction`, `NotStopped`, `NotParked`, `StillParked`.
- To try again, `TryAgain`: `ConcurrencyError`, `ConditionFailed`, `CommandTookEffect`,
  `OutcomeUnknown`, `Overloaded`, `ConsistencyTimeout`, `ViewNotReady`, `ViewChanging`,
  `ViewPaused`, `KeyParked`, `RebuildRunning`, `RetriedElsewhere`.
- The programmer's, `ConfigurationError`: `NoHandler`.
- The operator's, `StoreError`: `StorageBusy`, `StorageCorrupt`, `StorageDenied`, `StorageFull`,
  `StorageReadOnly`, `StorageUnavailable`, `StoreClosed`, `SchemaMismatch`, `HistoryDiverged`,
  `CheckpointDiverged`, `DeliveryGap`, `ProjectionStopped`, `UndecodableEvent`,
  `UnknownEventType`, `ParkingFull`, `RebuildRequired`.

All of them are imported when they are first used (PEP 562), so `import diptych` costs nothing;
`__init__.pyi` is the same list for type checkers. Beside them there are `diptych.web` for FastAPI,
`diptych.testing`, `diptych.telemetry` and the `diptych` command.
"""

from importlib import import_module
from typing import Any

_WHERE = {
    "ANY_VERSION": "diptych.store.contract",
    "Answer": "diptych.read.query",
    "Application": "diptych.app",
    "Change": "diptych.write.handler",
    "CheckpointDiverged": "diptych.errors",
    "Clock": "diptych.clock",
    "CommandBus": "diptych.write.bus",
    "CommandHandler": "diptych.write.handler",
    "CommandIdReused": "diptych.errors",
    "CommandTookEffect": "diptych.errors",
    "ConcurrencyError": "diptych.errors",
    "Condition": "diptych.store.contract",
    "ConditionFailed": "diptych.errors",
    "ConfigurationError": "diptych.errors",
    "ConsistencyTimeout": "diptych.errors",
    "Criterion": "diptych.store.contract",
    "Decider": "diptych.write.decider",
    "DeliveryGap": "diptych.errors",
    "DiptychError": "diptych.errors",
    "Envelope": "diptych.messages",
    "EventData": "diptych.messages",
    "EventStore": "diptych.store.contract",
    "Events": "diptych.codec",
    "HistoryDiverged": "diptych.errors",
    "InvalidCursor": "diptych.errors",
    "InvalidInput": "diptych.errors",
    "InvalidToken": "diptych.errors",
    "KeyParked": "diptych.errors",
    "LimitExceeded": "diptych.errors",
    "Log": "diptych.log",
    "LogPage": "diptych.store.contract",
    "MemoryEventStore": "diptych.store.memory",
    "Metadata": "diptych.messages",
    "Middleware": "diptych.write.bus",
    "NoHandler": "diptych.errors",
    "NotAView": "diptych.errors",
    "NotParked": "diptych.errors",
    "NotStopped": "diptych.errors",
    "Operations": "diptych.operations",
    "Outcome": "diptych.write.outcome",
    "OutcomeUnknown": "diptych.errors",
    "Overloaded": "diptych.errors",
    "Page": "diptych.read.page",
    "Park": "diptych.read.model",
    "ParkingFull": "diptych.errors",
    "ParkedStream": "diptych.flow.status",
    "Places": "diptych.read.columns",
    "Point": "diptych.store.contract",
    "PostgresEventStore": "diptych.store.postgres.store",
    "Progress": "diptych.read.progress",
    "Projection": "diptych.read.projection",
    "ProjectionStopped": "diptych.errors",
    "ProjectionTransaction": "diptych.read.projection",
    "Query": "diptych.read.query",
    "Reaction": "diptych.flow.reaction",
    "ReactionState": "diptych.flow.status",
    "ReactionStatus": "diptych.flow.status",
    "Readiness": "diptych.read.readiness",
    "RebuildRequired": "diptych.errors",
    "RebuildRunning": "diptych.errors",
    "RecordedEvent": "diptych.messages",
    "Rejected": "diptych.errors",
    "RetriedElsewhere": "diptych.errors",
    "RevisionInUse": "diptych.errors",
    "Rows": "diptych.read.rows",
    "START": "diptych.store.contract",
    "SchemaMismatch": "diptych.errors",
    "Shown": "diptych.shapes.shown",
    "SlotStatus": "diptych.read.readiness",
    "SqliteEventStore": "diptych.store.sqlite.store",
    "State": "diptych.read.readiness",
    "StillParked": "diptych.errors",
    "StorageBusy": "diptych.errors",
    "StorageCorrupt": "diptych.errors",
    "StorageDenied": "diptych.errors",
    "StorageFull": "diptych.errors",
    "StorageReadOnly": "diptych.errors",
    "StorageUnavailable": "diptych.errors",
    "StoreClosed": "diptych.errors",
    "StoreError": "diptych.errors",
    "SystemClock": "diptych.clock",
    "Token": "diptych.tokens",
    "TokenFromAnotherHistory": "diptych.errors",
    "TryAgain": "diptych.errors",
    "UndecodableEvent": "diptych.errors",
    "UnknownEventType": "diptych.errors",
    "UnknownReaction": "diptych.errors",
    "UnknownRevision": "diptych.errors",
    "UnknownView": "diptych.errors",
    "Upcast": "diptych.upcast",
    "Versioned": "diptych.read.rows",
    "View": "diptych.read.view",
    "ViewChanging": "diptych.errors",
    "ViewNotReady": "diptych.errors",
    "ViewPaused": "diptych.errors",
    "ViewStatus": "diptych.read.readiness",
    "Watching": "diptych.read.watching",
    "Writer": "diptych.write.handler",
    "answer": "diptych.read.query",
    "effect_id": "diptych.flow.reaction",
    "follow": "diptych.store.subscription",
    "handler": "diptych.write.handler",
}

__all__ = sorted(_WHERE)  # noqa: PLE0605  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'diptych' has no attribute {name!r}")
    value = getattr(import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
