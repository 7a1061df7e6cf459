"""What exists while a PostgreSQL read database is open: its pools, and who watches it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from diptych.postgres_library.connection import Wanted, connect
from diptych.postgres_library.url import PostgresUrl
from diptych.read.blocker import Blocker
from diptych.read.postgres.blockers import blockers
from diptych.read.postgres.connection import Begin, Connection
from diptych.read.postgres.cores import Cores
from diptych.read.postgres.pool import Pool
from diptych.read.postgres.preparing import check_replica, prepare
from diptych.read.postgres.reading import begin
from diptych.read.postgres.statements import Statements
from diptych.read.postgres.watch import Watch

QUERY: Final = "diptych query"
_PROJECT: Final = "diptych project"
_LEASE: Final = "diptych lease"
_WATCH: Final = "diptych watch"
_EXPLAIN: Final = "diptych why"


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the read database is, and how many connections it may have there."""

    primary: PostgresUrl
    replica: PostgresUrl | None
    readers: int
    projecting: int
    statement_timeout: float


class Opened:
    """Connections are made when they are first needed."""

    def __init__(self, servers: Servers, cores: Cores, statements: Statements) -> None:
        self._servers, self._cores = servers, cores
        asked = servers.replica or servers.primary
        standby = servers.replica is not None
        self.queries = Pool(self._to(asked, QUERY, standby=standby), limit=servers.readers)
        self.projecting = Pool(self._to(servers.primary, _PROJECT), limit=servers.projecting)
        self.leasing = Pool(self._to(servers.primary, _LEASE), limit=1)
        self.watch = Watch(
            self._to(asked, _WATCH, standby=standby),
            statements.positions,
            url=servers.primary,
            listens=not (standby or servers.primary.pooler),
        )
        self._version = ""

    async def prepare(self, connection: Connection, log_id: UUID, *, migrate: bool) -> None:
        """Raises: StoreError, SchemaMismatch, HistoryDiverged."""
        async with connection.watched():
            await prepare(connection, self._servers.primary, log_id=log_id, migrate=migrate)
            version = await connection.driver.fetchval("SELECT current_setting('server_version')")
        self._version = str(version).partition(" ")[0]

    async def check_replica(self, log_id: UUID, how: Begin) -> None:
        """Raises: StoreError, SchemaMismatch, HistoryDiverged: it is no replica of the primary."""
        if self._servers.replica is None:
            return
        connection = await self.queries.take()
        try:
            await begin(connection, how, None, replica=True)
            async with connection.watched():
                await check_replica(connection, self._servers.primary, log_id=log_id)
        finally:
            self.queries.give_after(connection, _nothing())

    async def blockers(self, tables: Sequence[str]) -> Sequence[Blocker]:
        """Over a connection of its own: those of the pools may all be waiting for that lock.

        Raises: StoreError.
        """
        connection = await self._to(self._servers.primary, _EXPLAIN)()
        try:
            return await blockers(connection, self._servers.primary.schema, tables)
        finally:
            connection.close()

    @property
    def report(self) -> str:
        at, replica = self._servers.primary, self._servers.replica
        where = f" on the replica {replica.shown}" if replica else ""
        pooled = ", through a pooler" if at.pooler else ""
        return (
            f"PostgreSQL {self._version}, {at.shown}, schema {at.schema}{pooled};"
            f" {self._servers.readers} connections for queries{where}"
            f" (statement_timeout {self._servers.statement_timeout:g} s),"
            f" {self._servers.projecting} for projections"
        )

    async def close(self) -> None:
        """After the transactions that are under way."""
        await self.projecting.all_given_back()
        await self.leasing.all_given_back()
        pools = (self.queries, self.projecting, self.leasing)
        await asyncio.gather(*(pool.close() for pool in pools), self.watch.stop())

    def _to(
        self, url: PostgresUrl, name: str, *, standby: bool = False
    ) -> Callable[[], Awaitable[Connection]]:
        async def make() -> Connection:
            driver = await connect(url, Wanted(name, standby=standby))
            return Connection(driver, cores=self._cores, shown=url.shown)

        return make


async def _nothing() -> None:
    pass
