"""Which sessions of a PostgreSQL server keep others waiting for tables of a read database."""

from collections.abc import Sequence
from typing import Any, Final

from diptych.read.blocker import Blocker
from diptych.read.postgres.connection import Connection

_BLOCKERS: Final = """
WITH waiting AS (
    SELECT DISTINCT lock.pid
    FROM pg_locks AS lock
        JOIN pg_class AS class ON class.oid = lock.relation
        JOIN pg_namespace AS namespace ON namespace.oid = class.relnamespace
    WHERE lock.locktype = 'relation'
        AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND namespace.nspname = $1
        AND class.relname = ANY ($2::text[])
), blocker AS (
    SELECT DISTINCT unnest(pg_blocking_pids(waiting.pid)) AS pid FROM waiting
)
SELECT blocker.pid, activity.usename, activity.application_name, host(activity.client_addr),
    activity.state, extract(epoch FROM clock_timestamp() - activity.xact_start)::float8
FROM blocker LEFT JOIN pg_stat_activity AS activity ON activity.pid = blocker.pid
ORDER BY cardinality(pg_blocking_pids(blocker.pid)) > 0, activity.xact_start, blocker.pid
"""
"""Who waits has a lock on a table, or waits for it, whatever it waits for. First come those that do
not wait themselves. Its statement is not asked for: it may hold values."""


async def blockers(connection: Connection, schema: str, tables: Sequence[str]) -> Sequence[Blocker]:
    """Raises: StoreError."""
    try:
        async with connection.watched():
            rows = await connection.driver.fetch(_BLOCKERS, schema, list(tables))
    except Exception as error:
        raise connection.meaning(error) from error
    return [_blocker(row) for row in rows]


def _blocker(row: Sequence[Any]) -> Blocker:
    pid, user, name, host, state, seconds = row
    if not pid:
        return Blocker(0, "a prepared transaction", "see pg_prepared_xacts")
    who = f"server process {pid}{_of(user, name, host)}"
    return Blocker(pid, who, state or "what it does is not shown to this user", seconds)


def _of(user: str | None, name: str | None, host: str | None) -> str:
    told = (f"{name!r}" if name else "", f"user {user}" if user else "", f"from {host or 'here'}")
    return f" ({', '.join(part for part in told if part)})"
