"""The schema of a read database: made if it is not there, refused if it is not ours."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from diptych.errors import HistoryDiverged, SchemaMismatch, StorageDenied
from diptych.postgres_library.url import PostgresUrl
from diptych.read.postgres.connection import Connection
from diptych.read.schema import META, OWN_TABLES, SCHEMA_VERSION


async def prepare(connection: Connection, url: PostgresUrl, *, log_id: UUID) -> None:
    """Create schema and tables, or check those that are there; in an exclusive transaction.

    Raises:
        StorageDenied: a right is missing; the message says which statement gives it.
        SchemaMismatch: the schema is one of another version.
        HistoryDiverged: it follows another log.
    """
    try:
        if not await _is_there(connection, url):
            await _create(connection, url, log_id)
        await check(connection, url, log_id=log_id)
    except DBAPIError as error:
        raise connection.meaning_or_own(error) from error


async def check(connection: Connection, url: PostgresUrl, *, log_id: UUID) -> None:
    """Raises: SchemaMismatch, HistoryDiverged."""
    version, followed = await _meta(connection)
    if version != SCHEMA_VERSION:
        what = f"{url.shown}, schema {url.schema},"
        raise SchemaMismatch(what, found=version, supported=SCHEMA_VERSION)
    if followed != log_id:
        what = f"{url.shown}, schema {url.schema}, which follows log {followed},"
        raise HistoryDiverged(what, position=0)


async def check_replica(connection: Connection, url: PostgresUrl, *, log_id: UUID) -> None:
    """What is not replicated yet is not looked at."""
    if await _is_there(connection, url):
        await check(connection, url, log_id=log_id)


async def _is_there(connection: Connection, url: PostgresUrl) -> bool:
    try:
        found = await connection.driver.fetchval(
            "SELECT to_regclass($1) IS NOT NULL", f"{url.schema}.{META.name}"
        )
    except Exception as error:
        raise _denied(connection.meaning(error), url) from error
    return bool(found)


async def _meta(connection: Connection) -> tuple[int, UUID]:
    core = await connection.core()
    version, log_id = (await core.execute(sa.select(META.c.schema_version, META.c.log_id))).one()
    return version, log_id


async def _create(connection: Connection, url: PostgresUrl, log_id: UUID) -> None:
    driver = connection.driver
    try:
        known = await driver.fetchval("SELECT 1 FROM pg_namespace WHERE nspname = $1", url.schema)
        if not known:
            await driver.execute(f"CREATE SCHEMA {url.schema}")
        core = await connection.core()
        for table in OWN_TABLES:
            await core.execute(sa.schema.CreateTable(table))
            for index in table.indexes:
                await core.execute(sa.schema.CreateIndex(index))
        meta = sa.insert(META).values(only=1, schema_version=SCHEMA_VERSION, log_id=log_id)
        await core.execute(meta)
    except DBAPIError as error:
        raise _denied(connection.meaning_or_own(error), url) from error
    except Exception as error:
        raise _denied(connection.meaning(error), url) from error


def _denied(error: Exception, url: PostgresUrl) -> Exception:
    if not isinstance(error, StorageDenied):
        return error
    return StorageDenied(
        f"{error}; let an owner of the database run: CREATE SCHEMA IF NOT EXISTS {url.schema};"
        f" GRANT USAGE, CREATE ON SCHEMA {url.schema} TO …"
    )
