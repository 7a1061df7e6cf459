"""Which backend a URL stands for."""

from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from diptych.clock import Clock, SystemClock
from diptych.errors import ConfigurationError
from diptych.read.database import ReadDatabase
from diptych.read.postgres.database import PostgresReadDatabase
from diptych.read.sqlite.database import SqliteReadDatabase
from diptych.store.contract import EventStore
from diptych.store.memory import MemoryEventStore
from diptych.store.migrating import Migrated
from diptych.store.postgres.store import PostgresEventStore
from diptych.store.sqlite.store import SqliteEventStore

_POSTGRES = ("postgresql:", "postgres:")


def open_log(url: str, clock: Clock) -> EventStore:
    """The event store of a URL, not yet opened: `sqlite:///data/log.db`, `memory://`,
    `postgresql://user:password@host:5432/database`.

    `sqlite:///path` is relative to the working directory, `sqlite:////path` is absolute.
    `?synchronous=NORMAL` trades the last commits before a power cut for speed. See
    `PostgresEventStore` for what its URL may say.

    Raises: ConfigurationError: no such backend, or a path or parameter that it cannot use.
    """
    if url.startswith(_POSTGRES):
        # The clock of the server is the same for all processes; a test's clock comes before it.
        return PostgresEventStore(url, clock=None if isinstance(clock, SystemClock) else clock)
    scheme, path, parameters = _parts("log", url)
    match scheme, parameters:
        case "memory", {**nothing} if not nothing and path is None:
            return MemoryEventStore(clock=clock)
        case "sqlite", {"synchronous": "FULL" | "NORMAL" as level, **rest} if path and not rest:
            return SqliteEventStore(path, clock=clock, synchronous=level)
        case "sqlite", {**nothing} if path and not nothing:
            return SqliteEventStore(path, clock=clock)
        case _:
            raise ConfigurationError(
                f"log={_shown(url)}: write sqlite:///file, sqlite:////absolute/file,"
                " postgresql://… or memory://; ?synchronous= is FULL or NORMAL"
            )


def open_read_database(url: str) -> ReadDatabase:
    """The read database of a URL, not yet opened: `sqlite:///data/read.db`, `postgresql://…`.

    `sqlite://` is a temporary file that is deleted when the application closes. See
    `PostgresReadDatabase` for what its URL may say.

    Raises: ConfigurationError: no such backend, or a parameter that it does not have.
    """
    if url.startswith(_POSTGRES):
        return PostgresReadDatabase(url)
    scheme, path, parameters = _parts("read", url)
    if scheme != "sqlite" or parameters:
        raise ConfigurationError(
            f"read={_shown(url)}: write sqlite:///file, sqlite:////absolute/file, sqlite:// or"
            " postgresql://…"
        )
    return SqliteReadDatabase(path)


async def migrate_log(store: EventStore) -> Migrated | None:
    """Bring the schema of a log up to that of this code, and tell which it was; None: it has none.

    The log may be closed or open, here and elsewhere.

    Raises: StoreError: it cannot be done; the log is as it was.
    """
    match store:
        case SqliteEventStore() | PostgresEventStore():
            return await store.migrate()
        case _:
            return None


def keep_schema(store: EventStore) -> None:
    """Have the log refused when it is opened, if its schema is older than that of this code."""
    match store:
        case SqliteEventStore() | PostgresEventStore():
            store.migrates = False
        case _:
            pass


def open_scratch() -> ReadDatabase:
    """A read database that begins empty, in a temporary file, and is gone when it is closed."""
    return SqliteReadDatabase()


def place_of(store: EventStore) -> str:
    """Where a log is and how it is reached, in one line without a password."""
    match store:
        case PostgresEventStore():
            return store.place
        case SqliteEventStore():
            return str(store.path)
        case MemoryEventStore():
            return "memory: it is gone with this process"
        case _:
            return type(store).__name__


def in_force(store: EventStore, database: ReadDatabase) -> tuple[str, ...]:
    """What is in force of both, one fact a line. They are open."""
    return (
        f"log: {place_of(store)} (id {store.log_id})",
        f"durability: {store.durability}",
        f"read database: {database.report}",
    )


def distinct_files(store: EventStore, database: ReadDatabase) -> tuple[Path, ...]:
    """The SQLite files of both. Log and read database are two files, which differ in durability
    and in who may lock them; or two schemas, of one database or of two.

    Raises: ConfigurationError: they are one, by name, link or inode.
    """
    if isinstance(store, PostgresEventStore) and isinstance(database, PostgresReadDatabase):
        log, read = store.url, database.url
        if (log.dsns, log.schema) == (read.dsns, read.schema):
            raise ConfigurationError(
                f"log= and read= are the same schema, {log.schema}: give one of them ?schema="
            )
    log_file = store.path if isinstance(store, SqliteEventStore) else None
    read_file = database.path if isinstance(database, SqliteReadDatabase) else None
    if log_file and read_file and _is_one_file(log_file, read_file):
        raise ConfigurationError(
            f"log= and read= are the same file, {read_file}: give read= a file of its own"
        )
    return tuple(file for file in (log_file, read_file) if file)


def _is_one_file(one: Path, other: Path) -> bool:
    if one.exists() and other.exists():
        return one.samefile(other)
    return one.resolve() == other.resolve()


def _parts(argument: str, url: str) -> tuple[str, Path | None, dict[str, str]]:
    try:
        parts = urlsplit(url)
        parameters = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    except ValueError as error:
        raise ConfigurationError(f"{argument}={_shown(url)} is not a URL") from error
    if parts.scheme in {"sqlite", "memory"} and (parts.netloc or parts.fragment):
        raise ConfigurationError(
            f"{argument}={_shown(url)}: a file needs three slashes, sqlite:///file"
        )
    path = unquote(parts.path).removeprefix("/")
    return parts.scheme, Path(path) if path else None, parameters


def _shown(url: str) -> str:
    """Without what may be a password."""
    before, at, after = url.rpartition("@")
    return repr(f"{before.partition('://')[0]}://…@{after}" if at else url)
