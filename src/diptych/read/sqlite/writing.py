"""Write transactions of a SQLite read database; they run on the event loop, in bounded steps."""

from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from diptych.read.database import Checkpoint, Parameters
from diptych.read.sqlite.connection import Connection
from diptych.read.sqlite.statements import Statements, create_words, listed, words_of
from diptych.read.table import ViewTable
from diptych.sqlite_library import sqlite
from diptych.store.contract import Point

_MANY: Final = 200
"""Rows that are written in a thread: it takes twice the work, but none of Python's time."""

_MOST_PACKED: Final = 16 * 2**20
"""Characters of rows that are written in one step: SQLite takes no text of a gigabyte."""

_PART: Final = 100
"""Rows that are packed before it is seen how large they are."""

Write = Callable[[Sequence[tuple[object, ...]], str | None], None]


class SqliteTransaction:
    """Begun and ended by the database; see `Transaction` in `diptych.read.database`."""

    def __init__(self, connection: Connection, statements: Statements) -> None:
        self._connection, self._statements = connection, statements

    async def execute(
        self, statement: sa.Executable, parameters: Parameters | None = None
    ) -> Sequence[sa.Row[Any]]:
        try:
            result = self._connection.core.execute(statement, parameters)
            return result.fetchall() if result.returns_rows else ()
        except DBAPIError as error:
            raise self._connection.meaning_or_own(error) from error

    async def create(self, table: sa.Table | ViewTable) -> None:
        if isinstance(table, sa.Table):
            await self._create(sa.schema.CreateTable(table), table)
            return
        await self._create(sa.schema.CreateTable(table.table), table.table)
        if table.searchable:
            await self.execute(create_words(table))

    async def drop(self, name: str) -> None:
        for each in (words_of(name), name):
            gone = sa.Table(each, sa.MetaData())
            await self.execute(sa.schema.DropTable(gone, if_exists=True))

    async def load(
        self, table: ViewTable, keys: Sequence[tuple[object, ...]]
    ) -> Sequence[Sequence[object]]:
        found: Sequence[Sequence[object]] = self._run(
            self._statements.of(table).load, (listed(keys),)
        )
        return found

    async def insert(self, table: ViewTable, rows: Sequence[tuple[object, ...]]) -> None:
        await self._many(rows, self._statements.of(table).insert_packed, partial(self._add, table))

    async def update(self, table: ViewTable, rows: Sequence[tuple[object, ...]]) -> None:
        packed = self._statements.of(table).update_packed
        await self._many(rows, packed, partial(self._replace, table))

    async def _many(self, rows: Sequence[tuple[object, ...]], packed: str, write: Write) -> None:
        """Here, or in a thread if they are many, in one step if they can be and are not large."""
        if not packed or len(rows) < _MANY:
            write(rows, None)
        else:
            await self._connection.in_thread(partial(write, rows, _packed(rows)))

    def _add(
        self, table: ViewTable, rows: Sequence[tuple[object, ...]], packed: str | None
    ) -> None:
        """New rows get the highest ids, so their words are added without looking for the rows."""
        statements = self._statements.of(table)
        last = self._run(statements.last)[0] if table.searchable else ()
        if packed is None:
            self._run_many(statements.insert, rows)
        else:
            self._run(statements.insert_packed, (packed,))
        if table.searchable:
            self._run(statements.add_words, last)

    def _replace(
        self, table: ViewTable, rows: Sequence[tuple[object, ...]], packed: str | None
    ) -> None:
        statements = self._statements.of(table)
        key_of = itemgetter(*(table.saved.index(name) for name in table.full_key))
        changed = [key_of(row) for row in rows if row[-1] is not None] if table.searchable else []
        if changed:
            self._run(statements.drop_listed_words, (listed(changed),))
        if packed is None:
            self._run_many(statements.update, rows)
        else:
            self._run(statements.update_packed, (packed,))
        if changed:
            self._run(statements.add_listed_words, (listed(changed),))

    async def remove(self, table: ViewTable, keys: Sequence[tuple[object, ...]]) -> None:
        statements = self._statements.of(table)
        if table.searchable:
            self._run(statements.drop_listed_words, (listed(keys),))
        self._run_many(statements.remove, keys)

    async def advance(self, checkpoint: Checkpoint, to: Point, *, at: str) -> bool:
        event_id = to.event_id.hex if to.event_id else None
        expected = (
            *checkpoint.slot,
            *(checkpoint.epoch, checkpoint.point.position, checkpoint.acts),
        )
        values = (to.position, event_id, at, *expected)
        try:
            changed = self._connection.driver.execute(self._statements.advance, values).rowcount
        except sqlite.Error as error:
            raise self._connection.meaning(error) from error
        return changed == 1

    async def _create(self, statement: sa.Executable, table: sa.Table) -> None:
        await self.execute(statement)
        for index in sorted(table.indexes, key=lambda each: str(each.name)):
            await self.execute(sa.schema.CreateIndex(index))

    def _run(self, sql: str, values: tuple[object, ...] = ()) -> Any:
        try:
            return self._connection.driver.execute(sql, values).fetchall()
        except sqlite.Error as error:
            raise self._connection.meaning(error) from error

    def _run_many(self, sql: str, rows: Sequence[tuple[object, ...]]) -> None:
        try:
            self._connection.driver.executemany(sql, rows)
        except sqlite.Error as error:
            raise self._connection.meaning(error) from error


def _packed(rows: Sequence[tuple[object, ...]]) -> str | None:
    """As JSON; None if that is too large."""
    parts: list[str] = []
    size = 0
    for start in range(0, len(rows), _PART):
        part = listed(rows[start : start + _PART])
        size += len(part)
        if size > _MOST_PACKED:
            return None
        parts.append(part[1:-1])
    return f"[{','.join(parts)}]"
