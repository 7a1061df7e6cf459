"""The log's schema: creating it, recognising it, and what its server promises."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from diptych.clock import Clock
from diptych.errors import SchemaMismatch, StorageDenied, StoreError
from diptych.failpoints import failpoint
from diptych.postgres_library.driver import Connection
from diptych.postgres_library.errors import sqlstate
from diptych.postgres_library.url import PostgresUrl
from diptych.store.postgres.rows import uuid_of
from diptych.store.postgres.statements import Statements, script

SCHEMA_VERSION: Final = 1
_TAKEN: Final = frozenset(
    {"42P06", "42P07", "42723", "42710"}
)  # a schema, table, function, trigger
_DENIED: Final = "42501"

_GRANT: Final = "as its owner, GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA and USAGE ON SCHEMA"
_OWN: Final = "as owner of the database, CREATE SCHEMA … AUTHORIZATION the user of the URL"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a log once it is open. `durability` is one line, see `EventStore`."""

    log_id: UUID
    durability: str


async def identify(
    connection: Connection, url: PostgresUrl, sql: Statements, clock: Clock
) -> Facts:
    """Creates what of the log is not there, and says which log it is.

    Several processes may do so at once: one creates, the others wait for it.

    Raises: StoreError: it is no log of this version, or this user may not create it or write to it.
    """
    try:
        if not await _is_complete(connection, sql):
            async with connection.transaction(isolation="read_committed"):
                await connection.fetchval(sql["lock_creation"])
                await _create(connection, sql, clock)
                failpoint("create.before_commit")
        log_id = await _recognise(connection, url, sql)
        return Facts(log_id, await _durability(connection, sql))
    except Exception as error:
        if sqlstate(error) == _DENIED:
            there = bool(await connection.fetchval(sql["has_schema"]))
            raise StorageDenied(f"{url.shown}: {_rights(url, error, there=there)}") from error
        if sqlstate(error) in _TAKEN:
            raise StoreError(
                f"{url.shown}: schema {url.schema} holds something else: give the log its own"
                " with ?schema=name"
            ) from error
        raise


async def _durability(connection: Connection, sql: Statements) -> str:
    """One line on what an acknowledgement survives."""
    version, fsync, pages, commit, standbys = await connection.fetchrow(sql["durability"])
    level = commit if commit in {"on", "remote_apply"} else "on"
    shown = f"PostgreSQL {version.split()[0]}, fsync={fsync}, synchronous_commit={level}"
    if fsync != "on" or pages != "on":
        what = "fsync=off" if fsync != "on" else "full_page_writes=off"
        return f"{shown}: a killed process loses nothing, but with {what} a power cut may lose all"
    if not standbys:
        return (
            f"{shown}, no synchronous standby: an acknowledged append survives a power cut,"
            " but not the loss of the server"
        )
    return (
        f"{shown}, synchronous standbys {standbys}: an acknowledged append survives a power cut"
        " and the loss of the primary"
    )


async def _is_complete(connection: Connection, sql: Statements) -> bool:
    if not await connection.fetchval(sql["is_there"]):
        return False
    return not await _missing(connection, sql)


async def _missing(connection: Connection, sql: Statements) -> list[str]:
    """The functions that this code calls and an older one has not created."""
    there = {name for (name,) in await connection.fetch(sql["functions"])}
    return [name for name in sql.functions if name not in there]


async def _create(connection: Connection, sql: Statements, clock: Clock) -> None:
    if not await connection.fetchval(sql["has_schema"]):
        await connection.execute(sql["create_schema"])
    if not await connection.fetchval(sql["is_there"]):
        await connection.execute(script(sql.schema.values()))
        await connection.execute(sql["insert_meta"], SCHEMA_VERSION, clock.new_id())
    if missing := await _missing(connection, sql):
        await connection.execute(script(sql.functions[name] for name in missing))


async def _recognise(connection: Connection, url: PostgresUrl, sql: Statements) -> UUID:
    version, log_id = await connection.fetchrow(sql["meta"])
    if version != SCHEMA_VERSION:
        what = f"{url.shown}, schema {url.schema},"
        raise SchemaMismatch(what, found=version, supported=SCHEMA_VERSION)
    events, commands, user = await connection.fetchrow(sql["may_append"])
    if not (events and commands):
        raise StorageDenied(
            f"{url.shown}: {user} may not append to the log in schema {url.schema}: {_GRANT}"
        )
    return uuid_of(log_id)


def _rights(url: PostgresUrl, error: BaseException, *, there: bool) -> str:
    words = getattr(error, "message", "a right is missing")
    advice = f"open the log once as the schema's owner, then {_GRANT}" if there else _OWN
    return f"cannot make or use schema {url.schema} ({words}): {advice}"
