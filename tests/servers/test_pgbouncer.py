"""The PgBouncer that other tests rely on hands out connections for one transaction at a time."""

import asyncpg


async def connected(url: str) -> asyncpg.Connection:
    return await asyncpg.connect(url, statement_cache_size=0)


async def test_transactions_of_one_client_run_on_whatever_connection_is_free(
    pgbouncer_url: str,
) -> None:
    first, second = await connected(pgbouncer_url), await connected(pgbouncer_url)
    backend = await first.fetchval("SELECT pg_backend_pid()")
    assert await second.fetchval("SELECT pg_backend_pid()") == backend
    await first.close()
    await second.close()
