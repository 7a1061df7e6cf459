"""The schema of a read database: made if it is not there, refused if it is not ours."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from diptych.errors import HistoryDiverged, StorageDenied
from diptych.failpoints import failpoint
from diptych.postgres_library.errors import translate
from diptych.postgres_library.url import PostgresUrl
from diptych.read.migration import require_version, steps
from diptych.read.postgres.connection import Connection
from diptych.read.schema import META, OWN_TABLES, SCHEMA_VERSION


async def prepare(connection: Connection, url: PostgresUrl, *, log_id: UUID, migrate: bool) -> None:
    """Create schema and tables; check those that are there, or `migrate` them to this version. In
    an exclusive transaction.

    Raises:
        StorageDenied: a right is missing; the message says which statement gives it.
        SchemaMismatch: the schema is one of another version.
        HistoryDiverged: it follows another log.
    """
    if not await _is_there(connection, url):
        await _create(connection, url, log_id)
    for statement in steps(await check(connection, url, log_id=log_id, migrate=migrate)):
        await _run(connection, statement, url)
        failpoint("migration.before_commit")


async def check(connection: Connection, url: PostgresUrl, *, log_id: UUID, migrate: bool) -> int:
    """The version of the schema. Raises: SchemaMismatch, HistoryDiverged."""
    version, followed = await _meta(connection)
    require_version(version, what=f"{url.shown}, schema {url.schema},", migrate=migrate)
    if followed != log_id:
        what = f"{url.shown}, schema {url.schema}, which follows log {followed},"
        raise HistoryDiverged(what, position=0)
    return version


async def check_replica(connection: Connection, url: PostgresUrl, *, log_id: UUID) -> None:
    """What is not replicated yet is not looked at; nor is the migration, if that was just now."""
    if await _is_there(connection, url):
        await check(connection, url, log_id=log_id, migrate=True)


async def _is_there(connection: Connection, url: PostgresUrl) -> bool:
    try:
        found = await connection.driver.fetchval(
            "SELECT to_regclass($1) IS NOT NULL", f"{url.schema}.{META.name}"
        )
    except Exception as error:
        raise _denied(connection.meaning(error), url) from error
    return bool(found)


async def _meta(connection: Connection) -> tuple[int, UUID]:
    rows = await connection.run(sa.select(META.c.schema_version, META.c.log_id))
    return rows[0].schema_version, rows[0].log_id


async def _create(connection: Connection, url: PostgresUrl, log_id: UUID) -> None:
    await _create_schema(connection, url)
    for table in OWN_TABLES:
        await _run(connection, sa.schema.CreateTable(table), url)
        for index in table.indexes:
            await _run(connection, sa.schema.CreateIndex(index), url)
    meta = sa.insert(META).values(only=1, schema_version=SCHEMA_VERSION, log_id=log_id)
    await _run(connection, meta, url)


async def _run(connection: Connection, statement: sa.Executable, url: PostgresUrl) -> None:
    try:
        await connection.run(statement)
    except DBAPIError as error:
        cause = error.orig.__cause__ if error.orig else None
        raise _denied(translate(cause or error, url.shown), url) from error
    except Exception as error:
        raise _denied(connection.meaning(error), url) from error


async def _create_schema(connection: Connection, url: PostgresUrl) -> None:
    """Who lacks the right to create schemas may still use one that was made for them."""
    known = "SELECT 1 FROM pg_namespace WHERE nspname = $1"
    if not await connection.driver.fetchval(known, url.schema):
        await _run(connection, sa.schema.CreateSchema(url.schema), url)


def _denied(error: Exception, url: PostgresUrl) -> Exception:
    if not isinstance(error, StorageDenied):
        return error
    return StorageDenied(
        f"{error}; let an owner of the database make schema {url.schema} and grant this user all"
        " rights on it"
    )
