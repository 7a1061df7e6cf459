"""Snapshots of a PostgreSQL read database."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from diptych.errors import StoreClosed
from diptych.postgres_library.errors import sqlstate
from diptych.read.compiled import Compiled
from diptych.read.database import Standing, Wanted
from diptych.read.postgres.connection import Begin, Connection
from diptych.read.postgres.statements import Statements
from diptych.read.standings import standings_of
from diptych.read.table import ViewTable


class PostgresSnapshot:
    """What one query reads. Its reads wait for each other: a connection does one at a time.

    Once it has ended the connection is another query's, and reading raises `StoreClosed`.
    """

    def __init__(
        self,
        connection: Connection,
        statements: Statements,
        standings: Mapping[Wanted, Standing],
    ) -> None:
        self.standings = standings
        self._connection, self._statements = connection, statements
        self._turn = asyncio.Lock()
        self._ended = False

    async def end(self) -> None:
        """Let no read begin any more, and wait for one that a task still does."""
        self._ended = True
        async with self._turn:
            pass

    async def get(self, table: ViewTable, key: tuple[object, ...]) -> Sequence[object] | None:
        rows = await self._fetch(self._statements.of(table).get, key)
        return rows[0] if rows else None

    async def load(
        self, table: ViewTable, keys: Sequence[tuple[object, ...]]
    ) -> Sequence[Sequence[object]]:
        return await self._fetch(self._statements.of(table).load, list(zip(*keys, strict=True)))

    async def select(
        self, statement: sa.Select[Any], values: Mapping[str, object]
    ) -> Sequence[Sequence[object]]:
        sql, names = self._statements.kept(statement)
        return await self._fetch(sql, [values[name] for name in names])

    async def _fetch(self, sql: str, values: Sequence[object]) -> Sequence[Sequence[object]]:
        async with self._turn:
            self._require_open()
            try:
                async with self._connection.watched():
                    return await self._connection.driver.fetch(sql, *values)
            except Exception as error:
                raise self._connection.meaning(error) from error

    async def execute(self, statement: sa.Executable) -> Sequence[sa.Row[Any]]:
        async with self._turn:
            self._require_open()
            return await self._connection.run(statement)

    async def bytes_of(self, table: str, *, rows: int) -> int:  # noqa: ARG002
        size = sa.func.pg_total_relation_size(sa.func.to_regclass(table))
        found = await self.execute(sa.select(size.label("bytes")))
        return int(found[0].bytes or 0)

    def _require_open(self) -> None:
        if self._ended:
            raise StoreClosed("the query is answered: its rows cannot be read any more")


async def begin(
    connection: Connection, how: Begin, standings: Compiled | None, *, replica: bool
) -> Mapping[Wanted, Standing]:
    """PostgreSQL takes its snapshot at the first statement that reads, which is ours.

    Raises: StoreError.
    """
    try:
        return standings_of(await connection.begin(how, standings))
    except Exception as error:
        if replica and standings is not None and sqlstate(error) in {"42P01", "42703"}:
            return {}  # tables or columns were made, and the replica does not know it yet
        raise connection.meaning(error) from error
