"""CQRS and event sourcing: commands on the left, read models on the right, one log as the hinge.

The public names. They are imported when they are first used (PEP 562), so `import diptych` costs
nothing; `__init__.pyi` is the same list for type checkers.
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
