"""The cursors of the log in a SQLite file."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial

from diptych.sqlite_library import Connection
from diptych.store.cursors import Cursors
from diptych.store.sql_cursors import Row, SqlCursors
from diptych.store.sqlite.appender import Appender
from diptych.store.sqlite.readers import Readers
from diptych.store.sqlite.rows import microseconds, moment
from diptych.store.sqlite.statements import CURSORS


def sqlite_cursors(appender: Appender, readers: Readers) -> Cursors:
    """They are written on the connection that appends, and read as the log is."""
    return SqlCursors(partial(_run, appender, readers), moment=moment)


async def _run(
    appender: Appender,
    readers: Readers,
    names: Sequence[str],
    values: Mapping[str, object],
    *,
    writes: bool,
) -> Sequence[Sequence[Row]]:
    bound = {name: _bound(value) for name, value in values.items()}
    statements = [CURSORS[name] for name in names]
    if writes:
        return await appender.do(partial(_write, statements, bound))
    return await readers.run(lambda reader, _: reader.select(statements, bound))


def _write(
    statements: Sequence[str], values: Mapping[str, object], db: Connection
) -> list[Sequence[Row]]:
    return [db.execute(each, values).fetchall() for each in statements]


def _bound(value: object) -> object:
    return microseconds(value) if isinstance(value, datetime) else value
