"""`Committer`: a batch, one call of a function in the database, an answer for each member.

Theory of operation
-------------------
The call is a statement of its own, so its transaction is committed before its answer is complete:
the answer is the acknowledgement. An error with which the server answers, and stays connected, is
as clear: nothing was written. All else leaves the outcome open: the connection is lost, the server
is killed or ends the session, or it warns that it has not waited for its standbys.

Then the batch is sent again on a new connection. This is exact for members with a command record.
Either their first attempt took effect, and they get its outcome, or it did not and never will: the
function takes the log's lock, which whatever is left of the first attempt holds to its end. (And if
nothing else is written it writes a mark, so that its commit has to wait for the standbys.) Members
without a record are not sent again; for them it stays unknown.

What is clearly not written and may pass (a server that starts, a failover, too many connections, a
deadlock) is tried again as well. All this for a bounded time.

A call is never cancelled: the driver would send a cancel request, and a COMMIT that waits for its
standbys is then acknowledged without them. A call that takes too long loses its socket instead.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from diptych.clock import Clock
from diptych.errors import InvalidInput, OutcomeUnknown, StoreError
from diptych.failpoints import failpoint
from diptych.postgres_library.connection import Wanted, connect, cut_off, farewell
from diptych.postgres_library.driver import Connection
from diptych.postgres_library.errors import is_lost, is_passing, sqlstate, translate
from diptych.postgres_library.pool import Pauses
from diptych.postgres_library.url import PostgresUrl
from diptych.store.contract import Append, Appended
from diptych.store.postgres.appending import Answer, Batch, Found, repeated
from diptych.store.postgres.rows import commands_of, uuid_of, uuids_text
from diptych.store.postgres.statements import Statements

_log = logging.getLogger(__name__)

WANTED: Final = Wanted(
    "diptych append",
    {"default_transaction_isolation": "read committed", "statement_timeout": "0"},
)
_READ_ONLY: Final = "25006"
_IMPATIENCE: Final = 0.5
"""Seconds that later batches wait for a server that an earlier one has waited for in vain."""


class Unclear(Exception):
    """What was sent may have been committed; the cause says why nobody knows."""


class Committer:
    """Commits one batch after the other.

    For `patience` seconds it tries again what may pass; a call that is not answered for `deadline`
    seconds has failed. `on_reconnect` is called when there is a new connection: to another server,
    perhaps.
    """

    def __init__(
        self,
        url: PostgresUrl,
        sql: Statements,
        log_id: UUID,
        *,
        clock: Clock | None,
        patience: float,
        deadline: float,
    ) -> None:
        self._url, self._sql, self._log_id, self._clock = url, sql, log_id, clock
        self._patience, self._deadline = patience, deadline
        self._wanted = replace(WANTED, seconds=min(WANTED.seconds, deadline))
        self._away = False
        self.on_reconnect: Callable[[], None] = lambda: None
        self._connection: Connection | None = None
        self._warning = ""

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await farewell(connection)

    async def commit(self, appends: Sequence[Append]) -> list[Appended | Exception]:
        """Raises: StoreError: nothing was committed. OutcomeUnknown."""
        batch, refused = _columns(appends)
        answers = iter(await self._settle(batch) if batch.members else ())
        return [
            await self._known_or(refused[place], append) if place in refused else next(answers)
            for place, append in enumerate(appends)
        ]

    async def _settle(self, batch: Batch) -> list[Appended | Exception]:
        """Send it until it is clear what became of it, or patience ends."""
        todo, unclear = batch, False
        pauses: Pauses | None = None
        while True:
            try:
                answers = iter(await self._attempt(todo))
                break
            except Unclear as error:
                _log.warning("%s: a commit was not answered: %s", self._url.shown, error)
                todo, _ = _columns([append for append in todo.members if append.command])
                unclear, trouble = True, error.__cause__ or error
            except Exception as error:
                if not is_passing(error):
                    raise self._as_known(error, unclear=unclear) from error
                trouble = error
            pauses = pauses or Pauses(_IMPATIENCE if self._away else self._patience)
            if not todo.members or not await pauses.wait():
                self._away = True
                raise self._as_known(trouble, unclear=unclear) from trouble
        self._away = False
        return [
            OutcomeUnknown() if unclear and append.command is None else next(answers)
            for append in batch.members
        ]

    def _as_known(self, error: BaseException, *, unclear: bool) -> Exception:
        return OutcomeUnknown() if unclear else translate(error, self._url.shown)

    async def _attempt(self, batch: Batch) -> Sequence[Answer]:
        connection = await self._connected()
        return batch.answers(await self._call(connection, batch.parameters(self._clock)))

    async def _call(self, connection: Connection, parameters: Sequence[object]) -> Found:
        self._warning = ""
        failpoint("append.before_send")
        try:
            async with cut_off(connection, self._deadline):
                (row,) = await connection.fetch(self._sql["append"], *parameters)
        except BaseException as error:
            if sqlstate(error) == _READ_ONLY:
                connection.terminate()  # it is the primary no more: choose a host anew
            if isinstance(error, Exception) and not is_lost(error):
                raise
            connection.terminate()
            if isinstance(error, Exception):
                raise Unclear(str(translate(error, self._url.shown))) from error
            raise
        if self._warning:
            raise Unclear(self._warning)
        failpoint("append.after_commit")
        return row[0], row[1], row[2], row[3]

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect()
            self.on_reconnect()
        return self._connection

    async def _connect(self) -> Connection:
        connection = await connect(self._url, self._wanted)
        try:
            async with cut_off(connection, self._wanted.seconds):
                self._check_log(await connection.fetchrow(self._sql["meta"]))
            connection.add_log_listener(self._noticed)
        except BaseException:
            connection.terminate()
            raise
        return connection

    def _check_log(self, row: Any) -> None:
        """A name of a host may lead to another server than before."""
        if row is None or uuid_of(row[1]) != self._log_id:
            raise StoreError(f"{self._url.shown}: this is another log than the one opened")

    def _noticed(self, connection: Connection, message: Any) -> None:  # noqa: ARG002
        """Nothing warns here, except a commit that has not waited for its standbys."""
        if message.severity_en == "WARNING":
            self._warning = str(message.message)

    async def _known_or(self, refusal: InvalidInput, append: Append) -> Appended | Exception:
        """What cannot be stored may be a repeat, which is answered before it is looked at."""
        if append.command is None:
            return refusal
        tenant, principal, command_id = append.command.key
        try:
            connection = await self._connected()
            async with cut_off(connection, self._deadline):
                text = await connection.fetchval(
                    self._sql["find"], [tenant], [principal], uuids_text([command_id])
                )
        except Exception as error:  # noqa: BLE001 - it is this member's answer
            return translate(error, self._url.shown)
        found = commands_of(text).get(0)
        return repeated(append.command, found.hash, found.outcome) if found else refusal


def _columns(appends: Sequence[Append]) -> tuple[Batch, dict[int, InvalidInput]]:
    """A batch of those that can be stored, and why the others cannot, by their places."""
    batch = Batch()
    refused: dict[int, InvalidInput] = {}
    for place, append in enumerate(appends):
        try:
            batch.add(append)
        except InvalidInput as refusal:
            refused[place] = refusal
    return batch, refused
