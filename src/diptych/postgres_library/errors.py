"""What PostgreSQL's and the driver's errors mean, to an operator and to a retry."""

import asyncio
from typing import Final

from diptych.errors import (
    ConfigurationError,
    DiptychError,
    StorageBusy,
    StorageCorrupt,
    StorageDenied,
    StorageFull,
    StorageReadOnly,
    StorageUnavailable,
    StoreError,
)

_LOST: Final = "the connection was lost"


def sqlstate(error: BaseException) -> str:
    """The five characters that say what it is; empty if the server did not say."""
    return str(getattr(error, "sqlstate", None) or "")


def is_lost(error: BaseException) -> bool:
    """Whether the connection is gone, so that nobody knows what became of the last statement.

    An ERROR leaves the connection open and its transaction rolled back; FATAL and PANIC end it.
    """
    if _from_server(error):
        return getattr(error, "severity_en", "") in {"FATAL", "PANIC"}
    return _from_client(error) or isinstance(error, OSError | EOFError | asyncio.TimeoutError)


def is_passing(error: BaseException) -> bool:
    """Whether the same may work soon: a server that starts or is full, a failover, a deadlock.

    In a failover the only server there is may be a standby for a while.
    """
    if isinstance(error, DiptychError):
        return isinstance(error, StorageUnavailable | StorageReadOnly)
    state = sqlstate(error)
    return state in _PASSING or (is_lost(error) and state not in _LASTING)


def translate(error: BaseException, shown: str) -> DiptychError:
    """What it means, in one line that names the database. The caller raises it `from error`.

    `shown` is the URL without its password. No content of a statement gets into the line.
    """
    if isinstance(error, DiptychError):
        return error
    state = sqlstate(error)
    for known in (state, state[:2]):
        if known in _MEANINGS:
            kind, advice = _MEANINGS[known]
            return kind(f"{shown}: {advice}{_in_its_words(error, known)}")
    if isinstance(error, OSError | asyncio.TimeoutError):
        return StorageUnavailable(f"{shown}: {_reason(error)}; check host and port, or start it")
    if type(error).__name__ == "ClientConfigurationError":
        return ConfigurationError(f"{shown}: {error}")
    if is_lost(error):
        return StorageUnavailable(f"{shown}: {_LOST}")
    words = f": {getattr(error, 'message', '')}" if state[:2] in _HARMLESS else ""
    return StoreError(f"{shown}: {type(error).__name__} {state}{words}".rstrip())


def _from_server(error: BaseException) -> bool:
    return bool(getattr(error, "severity_en", None))


def _from_client(error: BaseException) -> bool:
    """The driver's own: a socket that closed, or one that is used after that.

    A value that the driver cannot send is a ValueError too, and was not sent.
    """
    names = {each.__name__ for each in type(error).__mro__}
    lost = {"InterfaceError", "PostgresConnectionError", "InternalClientError"}
    return bool(names & lost) and not isinstance(error, ValueError)


def _reason(error: BaseException) -> str:
    if isinstance(error, asyncio.TimeoutError):
        return "the server does not answer"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    return f"cannot be reached ({getattr(error, 'strerror', None) or type(error).__name__})"


def _in_its_words(error: BaseException, known: str) -> str:
    """The server's sentence, where it cannot hold anything but names of ours."""
    return f" ({getattr(error, 'message', '')})" if known in _QUOTED else ""


_HARMLESS: Final = frozenset({"25", "42", "54"})
"""Classes whose sentences name states, tables and limits, and never a value."""
_QUOTED: Final = frozenset({"3D000", "42501", "42P01", "42883", "53300"})
_PASSING: Final = frozenset({
    *("25006", "40001", "40P01"),  # a standby, a serialization failure, a deadlock
    *("53300", "57P01", "57P02", "57P03", "57P05"),  # no more connections, no longer or not yet up
})  # fmt: skip
_LASTING: Final = frozenset({"08P01", "28000", "28P01", "3D000"})
"""FATAL too, but nothing that passes: a protocol, a user, a password, a database."""
_MEANINGS: Final[dict[str, tuple[type[StoreError], str]]] = {
    "08": (StorageUnavailable, _LOST),
    "08P01": (
        StoreError,
        "the server does not understand us; behind PgBouncer, add ?pooler=transaction",
    ),
    "25006": (
        StorageReadOnly,
        "is read-only: a standby, or default_transaction_read_only is on; name the primary",
    ),
    "28": (StorageDenied, "the server refuses this user or password; check the URL and pg_hba"),
    "3D000": (StoreError, "there is no such database: create it"),
    "40001": (StorageBusy, "it conflicted with another transaction too often"),
    "40P01": (StorageBusy, "it was in a deadlock with another transaction too often"),
    "42501": (StorageDenied, "this user lacks a right: GRANT it"),
    "42P01": (StoreError, "a table is missing: the schema was dropped or changed by hand"),
    "42883": (StoreError, "a function is missing: the schema was dropped or changed by hand"),
    "53100": (StorageFull, "the server's disk is full; reads go on"),
    "53200": (StoreError, "the server is out of memory"),
    "53300": (StorageUnavailable, "takes no more connections: raise max_connections, or pool"),
    "55P03": (
        StorageBusy,
        "another transaction held the lock for too long: look for one that is idle in transaction",
    ),
    "57P01": (StorageUnavailable, "the connection was ended by an administrator"),
    "57P02": (StorageUnavailable, "the server crashed and restarts"),
    "57P03": (StorageUnavailable, "the server is starting up or shutting down"),
    "57P05": (StorageUnavailable, "the connection was idle for too long"),
    "58030": (StoreError, "the server's disk reported an error; check its health and space"),
    "XX001": (StorageCorrupt, "a table is damaged; stop, and restore it from a backup"),
    "XX002": (StorageCorrupt, "an index is damaged: REINDEX it, and check the hardware"),
}
