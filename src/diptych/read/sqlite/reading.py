"""Snapshots of a SQLite read database: an explicit BEGIN, and first of all how the views stand."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from diptych.errors import StoreClosed
from diptych.read.compiled import Compiled
from diptych.read.database import Standing, Wanted
from diptych.read.sqlite.connection import Connection
from diptych.read.sqlite.statements import Statements, listed
from diptych.read.standings import standings_of
from diptych.read.table import ViewTable
from diptych.sqlite_library import sqlite

_SOME: Final = 200


class SqliteSnapshot:
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
        rows = await self._run(self._statements.of(table).get, key)
        return rows[0] if rows else None

    async def load(
        self, table: ViewTable, keys: Sequence[tuple[object, ...]]
    ) -> Sequence[Sequence[object]]:
        return await self._run(self._statements.of(table).load, (listed(keys),))

    async def select(
        self, statement: sa.Select[Any], values: Mapping[str, object]
    ) -> Sequence[Sequence[object]]:
        sql, names = self._statements.kept(statement)
        driver, given = self._connection.driver, tuple(values[name] for name in names)
        async with self._turn:
            self._require_open()
            try:
                return await self._connection.read(lambda: driver.execute(sql, given).fetchall())
            except sqlite.Error as error:
                raise self._connection.meaning(error) from error

    async def _run(self, sql: str, values: tuple[object, ...]) -> Sequence[Sequence[object]]:
        async with self._turn:
            self._require_open()
            try:
                found = self._connection.driver.execute(sql, values).fetchall()
            except sqlite.Error as error:
                raise self._connection.meaning(error) from error
            return found

    async def execute(self, statement: sa.Executable) -> Sequence[sa.Row[Any]]:
        async with self._turn:
            self._require_open()
            core = self._connection.core
            try:
                return await self._connection.read(lambda: core.execute(statement).fetchall())
            except DBAPIError as error:
                raise self._connection.meaning_or_own(error) from error

    async def bytes_of(self, table: str, *, rows: int) -> int:
        """SQLite counts no pages by table in every build, so it is estimated from some rows."""
        some: sa.Select[Any] = (
            sa.select(sa.literal_column("*")).select_from(sa.table(table)).limit(_SOME)
        )
        found = await self.execute(some)
        held = sum(len(str(value).encode()) for row in found for value in row)
        return held * rows // len(found) if found else 0

    def _require_open(self) -> None:
        if self._ended:
            raise StoreClosed("the query is answered: its rows cannot be read any more")


def begin(connection: Connection, standings: Compiled | None) -> Mapping[Wanted, Standing]:
    """SQLite takes its snapshot at the first statement that reads, which is ours."""
    driver = connection.driver
    driver.execute("BEGIN")
    try:
        return standings_of(driver.execute(*standings)) if standings else {}
    except sqlite.Error:
        connection.roll_back()
        raise
