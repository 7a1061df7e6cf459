"""The cursors of the log in a PostgreSQL schema."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final, cast

from diptych.failpoints import failpoint
from diptych.postgres_library.connection import Wanted, cut_off
from diptych.postgres_library.driver import Connection
from diptych.postgres_library.errors import translate
from diptych.postgres_library.pool import Pool
from diptych.postgres_library.url import PostgresUrl
from diptych.store.postgres.statements import cursor_statements
from diptych.store.sql_cursors import Row

WANTED: Final = Wanted("diptych cursors", {"jit": "off", "statement_timeout": "0"})
CONNECTIONS: Final = 2
"""They are opened by whoever has cursors: an application without them has none."""


class CursorStatements:
    """Runs what `SqlCursors` asks for. An answer that was lost on the way is an error: whoever
    asked does it again, which does no harm."""

    def __init__(self, url: PostgresUrl, *, deadline: float) -> None:
        self._url, self._deadline = url, deadline
        wanted = replace(WANTED, seconds=min(WANTED.seconds, deadline))
        self._pool = Pool(url, wanted, size=CONNECTIONS, deadline=deadline)
        self._statements = cursor_statements(url.schema)

    async def close(self) -> None:
        await self._pool.close()

    async def __call__(
        self, names: Sequence[str], values: Mapping[str, object], *, writes: bool
    ) -> Sequence[Sequence[Row]]:
        """Raises: StoreError."""
        try:
            async with (
                self._pool.connection() as connection,
                cut_off(connection, self._deadline),
                connection.transaction(isolation="read_committed", readonly=not writes),
            ):
                rows = [await self._fetch(connection, name, values) for name in names]
                if writes:
                    failpoint("cursors.before_commit")
            if writes:
                failpoint("cursors.after_commit")
            return rows
        except Exception as error:
            raise translate(error, self._url.shown) from error

    async def _fetch(
        self, connection: Connection, name: str, values: Mapping[str, object]
    ) -> Sequence[Row]:
        statement = self._statements[name]
        return await connection.fetch(statement.text, *[values[each] for each in statement.names])


def moment(value: object) -> datetime:
    return cast("datetime", value)
