"""The log's schema: creating it, bringing it up to date, and what its server promises.

A new log is made as version 1 and brought up to date like an old one, so that both are the same.
All of it is one transaction, under a lock; it is quick, because migrations add tables and leave the
events alone. Programs that have the log open with an older version of this code go on; they only
cannot open it again.
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from diptych.clock import Clock
from diptych.errors import SchemaMismatch, StorageDenied, StoreError
from diptych.failpoints import failpoint
from diptych.postgres_library.driver import Connection
from diptych.postgres_library.errors import sqlstate
from diptych.postgres_library.url import PostgresUrl
from diptych.store.migrating import Migrated
from diptych.store.postgres.rows import uuid_of
from diptych.store.postgres.statements import Statements, script, statements_for

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
    schema: Migrated


async def identify(
    connection: Connection, url: PostgresUrl, *, clock: Clock, migrate: bool
) -> Facts:
    """Creates what of the log is not there, brings it up to date if `migrate` is set, and
    says which log it is.

    Several processes may do so at once: one does it, the others wait for it.

    Raises: StoreError: it is no log of this version, or this user may not create it or write to it.
    """
    sql = statements_for(url.schema)
    try:
        found = await _version(connection, sql)
        if found != sql.schema_version or await _missing(connection, sql):
            async with connection.transaction(isolation="read_committed"):
                await connection.fetchval(sql["lock_creation"])
                found = await _version(connection, sql)
                _refuse(url, sql, found, migrate=migrate)
                await _create(connection, sql, found=found, clock=clock)
                failpoint("migrate.before_commit" if found else "create.before_commit")
        log_id = await _recognise(connection, url, sql)
        durability = await _durability(connection, sql)
        return Facts(log_id, durability, Migrated(found or 0, sql.schema_version))
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


async def _version(connection: Connection, sql: Statements) -> int | None:
    """The schema version of the log, if there is one."""
    if not await connection.fetchval(sql["is_there"]):
        return None
    version, _ = await connection.fetchrow(sql["meta"])
    return int(version)


async def _missing(connection: Connection, sql: Statements) -> list[str]:
    """The functions that this code calls and an older one has not created."""
    there = {name for (name,) in await connection.fetch(sql["functions"])}
    return [name for name in sql.functions if name not in there]


async def _create(
    connection: Connection, sql: Statements, *, found: int | None, clock: Clock
) -> None:
    if not await connection.fetchval(sql["has_schema"]):
        await connection.execute(sql["create_schema"])
    if found is None:
        await connection.execute(script(sql.schema.values()))
        await connection.execute(sql["insert_meta"], 1, clock.new_id())
    version = found or 1
    for number, migration in enumerate(sql.migrations[version - 1 :], start=version + 1):
        failpoint("migrate.before_step")
        await connection.execute(script(migration.values()))
        await connection.execute(sql["set_version"], number)
    if missing := await _missing(connection, sql):
        await connection.execute(script(sql.functions[name] for name in missing))


def _refuse(url: PostgresUrl, sql: Statements, found: int | None, *, migrate: bool) -> None:
    oldest = 1 if migrate else sql.schema_version
    if found is not None and not oldest <= found <= sql.schema_version:
        what = f"{url.shown}, schema {url.schema},"
        raise SchemaMismatch(what, found=found, supported=sql.schema_version)


async def _recognise(connection: Connection, url: PostgresUrl, sql: Statements) -> UUID:
    _, log_id = await connection.fetchrow(sql["meta"])
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
