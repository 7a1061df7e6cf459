"""`PostgresReadDatabase`: views in one schema of a PostgreSQL database, shared by processes."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from diptych.errors import ConfigurationError, StoreClosed
from diptych.postgres_library.errors import is_passing
from diptych.postgres_library.url import PostgresUrl
from diptych.read.blocker import Blocker
from diptych.read.compiled import Compiled
from diptych.read.database import Snapshot, Standing, Transaction, Wanted
from diptych.read.postgres.connection import Begin, Begins, Connection
from diptych.read.postgres.cores import Cores
from diptych.read.postgres.opened import QUERY, Opened, Servers
from diptych.read.postgres.pool import Pool
from diptych.read.postgres.reading import PostgresSnapshot, begin
from diptych.read.postgres.statements import (
    Statements,
    older_queries,
    search_condition,
    search_term,
)
from diptych.read.postgres.writing import PostgresTransaction
from diptych.read.table import ViewTable

SCHEMA: Final = "diptych_read"
_PATIENCE: Final = 5.0
_FIRST_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = 0.5


class PostgresReadDatabase:
    """Views and their checkpoints in a schema of their own, made when it is first opened.

    Args:
        url: `postgresql://user:password@host:5432/database`, with several hosts if there are; the
            primary is used. Parameters: `schema`, `pooler=transaction` (PgBouncer), `replica=`.
        replica: the URL of a streaming standby that queries go to. What decides whether an answer
            is new enough is the checkpoint on the standby, so tokens hold there too.
        readers: how many queries may have a snapshot at a time; others wait for their turn.
        projecting: how many connections projections share; no query keeps them waiting.
        statement_timeout: seconds that one statement of a query may take.

    Raises: ConfigurationError: a URL or number that cannot be, or a package that is missing.
    """

    def __init__(
        self,
        url: str,
        *,
        replica: str | None = None,
        readers: int = 8,
        projecting: int = 4,
        statement_timeout: float = 10.0,
    ) -> None:
        if min(readers, projecting) < 1 or statement_timeout <= 0:
            raise ConfigurationError(
                "PostgresReadDatabase: write positive numbers for readers=, projecting= and"
                " statement_timeout="
            )
        primary = PostgresUrl.parse("read", url, schema=SCHEMA, also=frozenset({"replica"}))
        second = replica or primary.more.get("replica")
        standby = PostgresUrl.parse("replica", second, schema=primary.schema) if second else None
        self._servers = Servers(primary, standby, readers, projecting, statement_timeout)
        self._cores = Cores(pooler=primary.pooler or bool(standby and standby.pooler))
        self._statements = Statements(self._cores.dialect, schema=primary.schema)
        self._begins = Begins.of(primary.schema, statement_seconds=statement_timeout)
        self._open: Opened | None = None

    def __repr__(self) -> str:
        return f"PostgresReadDatabase({self._servers.primary.shown!r})"

    @property
    def url(self) -> PostgresUrl:
        return self._servers.primary

    @property
    def dialect(self) -> sa.Dialect:
        return self._cores.dialect

    @property
    def report(self) -> str:
        return self._opened().report

    async def open(self, *, log_id: UUID, migrate: bool = True) -> None:
        if self._open is not None:
            raise ConfigurationError(f"{self!r} is open already")
        opened = Opened(self._servers, self._cores, self._statements)
        try:
            async with self._transaction(opened, opened.projecting, self._begins.exclusive) as (
                connection,
                _,
            ):
                await opened.prepare(connection, log_id, migrate=migrate)
            await opened.check_replica(log_id, self._begins.query)
        except BaseException:
            await opened.close()
            raise
        opened.watch.start()
        self._open = opened

    async def close(self) -> None:
        opened, self._open = self._open, None
        if opened is not None:
            await opened.close()

    @asynccontextmanager
    async def transaction(
        self, *, exclusive: bool = False, leasing: bool = False
    ) -> AsyncGenerator[Transaction]:
        opened = self._opened()
        how = self._begins.exclusive if exclusive else self._begins.writing
        pool = opened.leasing if leasing else opened.projecting
        async with self._transaction(opened, pool, how) as (_, tx):
            yield tx

    @asynccontextmanager
    async def snapshot(
        self,
        wanted: Sequence[Wanted] = (),
        *,
        projecting: bool = False,
        leasing: bool = False,
    ) -> AsyncGenerator[Snapshot]:
        opened = self._opened()
        pool = opened.projecting if projecting else opened.queries
        pool = opened.leasing if leasing else pool
        how = self._begins.projecting if projecting or leasing else self._begins.query
        standings = self._statements.standings(tuple(wanted)) if wanted else None
        connection, found = await self._begin(pool, how, standings)
        snapshot = PostgresSnapshot(connection, self._statements, found)
        try:
            yield snapshot
            await snapshot.end()
        except BaseException:
            pool.give_after(connection, snapshot.end())
            raise
        await self._give_ended(pool, connection)

    async def glance(self, *, anyway: bool = False) -> Mapping[int, int] | None:
        return await self._opened().watch.glance(anyway=anyway)

    def listen(self, heard: Callable[[], None]) -> None:
        self._opened().watch.heard = heard

    async def blockers(self, tables: Sequence[str]) -> Sequence[Blocker]:
        return await self._opened().blockers(tables)

    async def queries_ended(self, *, seconds: float) -> bool:
        """Names are looked up in the newest catalog, whatever the snapshot shows."""
        loop = asyncio.get_running_loop()
        deadline, since = loop.time() + seconds, await self._open_since(None)
        while await self._open_since(since):
            if loop.time() > deadline:
                return False
            await asyncio.sleep(_LONGEST_PAUSE / 10)
        return True

    async def _open_since(self, before: Any) -> Any:
        """The time there; or if there is a transaction of a query that began before one."""
        async with self.transaction(leasing=True) as tx:
            now = sa.select(sa.func.clock_timestamp())
            asked = now if before is None else older_queries(before, application=QUERY)
            return (await tx.execute(asked))[0][0]

    def matches(self, table: ViewTable) -> sa.ColumnElement[bool]:
        return search_condition(table)

    def term(self, words: Sequence[str]) -> str:
        return search_term(words)

    @asynccontextmanager
    async def _transaction(
        self, opened: Opened, pool: Pool, how: Begin
    ) -> AsyncGenerator[tuple[Connection, PostgresTransaction]]:
        connection, _ = await self._begin(pool, how, None)
        tx = PostgresTransaction(connection, self._statements)
        try:
            yield connection, tx
            await connection.commit()
        except BaseException:
            pool.give_after(connection, _nothing())
            raise
        pool.give(connection)
        if tx.moved:
            opened.watch.notify()

    async def _begin(
        self, pool: Pool, how: Begin, standings: Compiled | None
    ) -> tuple[Connection, Mapping[Wanted, Standing]]:
        """Nothing was done yet, so a connection that turns out to be lost costs only time.

        Raises: StoreError: no server answered for five seconds, or another error.
        """
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + _PATIENCE, 0.0
        while True:
            try:
                return await self._begin_once(pool, how, standings)
            except Exception as error:
                if not is_passing(error) or loop.time() > deadline:
                    raise
            await asyncio.sleep(pause)
            pause = min(max(2 * pause, _FIRST_PAUSE), _LONGEST_PAUSE)

    async def _begin_once(
        self, pool: Pool, how: Begin, standings: Compiled | None
    ) -> tuple[Connection, Mapping[Wanted, Standing]]:
        connection = await pool.take()
        replica = self._servers.replica is not None
        try:
            return connection, await begin(connection, how, standings, replica=replica)
        except BaseException:
            pool.give_after(connection, _nothing())
            raise

    async def _give_ended(self, pool: Pool, connection: Connection) -> None:
        try:
            await connection.end()
        finally:
            pool.give(connection)

    def _opened(self) -> Opened:
        if self._open is None:
            raise StoreClosed("the read database is not open")
        return self._open


async def _nothing() -> None:
    pass
