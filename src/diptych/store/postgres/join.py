"""Appending in a transaction of the caller's, over a connection of SQLAlchemy's, by any driver."""

import re
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from diptych.clock import Clock
from diptych.errors import ConfigurationError
from diptych.postgres_library.errors import sqlstate, translate
from diptych.store.contract import Append
from diptych.store.postgres.appending import Answer, Batch
from diptych.store.postgres.rows import uuid_of
from diptych.store.postgres.statements import Statements

_PARAMETER: Final = re.compile(r"\$(\d+)")
_NO_SUCH: Final = frozenset({"3F000", "42P01", "42883"})
"""There is no such schema, table or function."""
_WRONG_STATE: Final = "25000"


class Joiner:
    """Appends where the caller commits: see `JoinableStore` in `diptych.write.unit`."""

    def __init__(self, sql: Statements, *, log_id: UUID, shown: str, clock: Clock | None) -> None:
        self._meta = sa.text(sql["meta_within"])
        self._append = sa.text(_PARAMETER.sub(r"(:p\1)", sql["append"]))
        self._log_id, self._shown, self._clock = log_id, shown, clock

    def append(self, connection: sa.Connection, appends: Sequence[Append]) -> Sequence[Answer]:
        """Raises: ConfigurationError: another database, another isolation level, or no transaction.
        InvalidInput: a member cannot be stored. StoreError: as for any append.
        """
        batch = Batch()
        for append in appends:
            batch.add(append)
        values = {f"p{n}": value for n, value in enumerate(batch.parameters(self._clock), 1)}
        try:
            self._check_log(connection)
            row: Any = connection.execute(self._append, values).one()
        except DBAPIError as error:
            # SQLAlchemy's error holds the statement with all that was to be written.
            raise self._meaning(error) from error.orig
        return batch.answers((row[0], row[1], row[2], row[3]))

    def _check_log(self, connection: sa.Connection) -> None:
        """Two statements with two transaction ids are not in a transaction."""
        row: Any = connection.execute(self._meta).first()
        if row is None or uuid_of(bytes(row[0])) != self._log_id:
            raise self._elsewhere()
        again: Any = connection.execute(self._meta).one()
        if row[1] != again[1]:
            raise ConfigurationError(
                "the session commits each statement by itself: leave AUTOCOMMIT out"
            )

    def _meaning(self, error: DBAPIError) -> Exception:
        cause = error.orig or error
        state = sqlstate(cause)
        if state in _NO_SUCH:
            return self._elsewhere()
        if state == _WRONG_STATE:
            return ConfigurationError(
                "a transaction that appends must be READ COMMITTED, which is the default:"
                " leave isolation_level out"
            )
        return translate(cause, self._shown)

    def _elsewhere(self) -> ConfigurationError:
        return ConfigurationError(
            f"the session is connected to a database that is not the database of the log"
            f" ({self._shown}): give the session's engine the same one"
        )
