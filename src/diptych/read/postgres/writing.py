"""Write transactions of a PostgreSQL read database."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, Final

import sqlalchemy as sa

from diptych.errors import InvalidInput
from diptych.postgres_library.errors import sqlstate
from diptych.read.database import Checkpoint, Parameters, RowRefused
from diptych.read.postgres.connection import BY_KEY, Connection
from diptych.read.postgres.statements import Statements
from diptych.read.search import indexed
from diptych.read.table import POSITION, ViewTable
from diptych.store.contract import Point

_TOO_LONG: Final = "54000"
_CANNOT_HOLD: Final = "22"
_LONG: Final = "is too long for an index of PostgreSQL, 2,700 bytes"
_RANGE: Final = "has a value that its column in PostgreSQL cannot hold"


class PostgresTransaction:
    """Begun and ended by the database; see `Transaction` in `diptych.read.database`."""

    def __init__(self, connection: Connection, statements: Statements) -> None:
        self._connection, self._statements = connection, statements
        self.moved = False

    async def execute(
        self, statement: sa.Executable, parameters: Parameters | None = None
    ) -> Sequence[sa.Row[Any]]:
        return await self._connection.run(statement, parameters)

    async def create(self, table: sa.Table | ViewTable) -> None:
        made = table.table if isinstance(table, ViewTable) else table
        await self.execute(sa.schema.CreateTable(made))
        for index in sorted(made.indexes, key=lambda each: str(each.name)):
            await self.execute(sa.schema.CreateIndex(index))

    async def drop(self, name: str) -> None:
        await self.execute(sa.schema.DropTable(sa.Table(name, sa.MetaData()), if_exists=True))

    async def load(
        self, table: ViewTable, keys: Sequence[tuple[object, ...]]
    ) -> Sequence[Sequence[object]]:
        try:
            async with self._connection.watched():
                await self._connection.driver.execute(BY_KEY)
                return await self._connection.driver.fetch(
                    self._statements.of(table).load, *zip(*keys, strict=True)
                )
        except Exception as error:
            raise self._connection.meaning(error) from error

    async def insert(self, table: ViewTable, rows: Sequence[tuple[object, ...]]) -> None:
        await self._run_many(self._statements.of(table).insert, table, rows)

    async def update(self, table: ViewTable, rows: Sequence[tuple[object, ...]]) -> None:
        await self._run_many(self._statements.of(table).update, table, rows)

    async def remove(self, table: ViewTable, keys: Sequence[tuple[object, ...]]) -> None:
        try:
            async with self._connection.watched():
                await self._connection.driver.executemany(self._statements.of(table).remove, keys)
        except Exception as error:
            raise self._connection.meaning(error) from error

    async def advance(self, checkpoint: Checkpoint, to: Point, *, at: str) -> bool:
        expected = (
            *checkpoint.slot,
            *(checkpoint.epoch, checkpoint.point.position, checkpoint.acts),
        )
        values = (to.position, to.event_id, at, *expected)
        try:
            async with self._connection.watched():
                answer = await self._connection.driver.execute(self._statements.advance, *values)
        except Exception as error:
            raise self._connection.meaning(error) from error
        self.moved = answer == "UPDATE 1"
        return self.moved

    async def _run_many(
        self, sql: str, table: ViewTable, rows: Sequence[tuple[object, ...]]
    ) -> None:
        """Raises: RowRefused. A page is narrowed down to one event to find the row; where that is
        for several, they are written one by one to find it among them."""
        together = len(rows) < 2 or len({row[table.saved.index(POSITION)] for row in rows}) > 1
        if not together:
            await self._send("SAVEPOINT one_event")
        try:
            await self._run_rows(sql, table, rows)
        except RowRefused:
            if not together:
                await self._send("ROLLBACK TO SAVEPOINT one_event")
                for row in rows:
                    await self._run_rows(sql, table, [row])
            raise

    async def _send(self, command: str) -> None:
        try:
            async with self._connection.watched():
                await self._connection.driver.execute(command)
        except Exception as error:
            raise self._connection.meaning(error) from error

    async def _run_rows(
        self, sql: str, table: ViewTable, rows: Sequence[tuple[object, ...]]
    ) -> None:
        columns: list[Sequence[object]] = list(zip(*rows, strict=True))
        if table.searchable:
            columns[-1] = [None if text is None else indexed(str(text)) for text in columns[-1]]
        try:
            async with self._connection.watched():
                await self._connection.driver.execute(sql, *columns)
        except Exception as error:
            if sqlstate(error) == _TOO_LONG:
                raise _too_long(table, rows) from error
            if sqlstate(error)[:2] == _CANNOT_HOLD:
                raise RowRefused(rows[-1], InvalidInput("row", _RANGE)) from error
            raise self._connection.meaning(error) from error


def _too_long(table: ViewTable, rows: Sequence[tuple[object, ...]]) -> RowRefused:
    """PostgreSQL does not say which value an index cannot hold, so it is the longest text."""
    inside = {column.name for index in table.table.indexes for column in index.columns}
    names = [name for name in table.fields if name in {*inside, *table.key}]
    at = table.saved.index
    _, field, row = max(
        ((len(str(row[at(name)]).encode()), name, row) for name in names for row in rows),
        key=itemgetter(0),
    )
    return RowRefused(row, InvalidInput(field, _LONG))
