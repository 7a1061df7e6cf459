"""`Listener`: one connection that waits for NOTIFY, and finds out whether it hears anything.

Theory of operation
-------------------
A notification is a hint and carries nothing: who gets it looks at the tables. So whatever goes
wrong here costs time and no data. `live` says whether hints can be relied on; while it is False,
whoever waits has to look often.

LISTEN belongs to a session. Behind a pooler that hands out sessions by transaction it succeeds and
nothing is ever heard, so each new connection first sends itself a notification; only when that
comes back is the listener live. A connection that is lost is made again, with growing pauses, for
as long as the listener runs. Each time it becomes live it calls `heard`, as something may have
happened before.

The connection also sends: `notify` runs outside of every transaction that writes. A notification
inside a transaction takes a lock of the whole cluster until its commit is on disk, so one slow
commit would hold up all others that notify. What this process sends it does not hear itself.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from diptych.errors import DiptychError
from diptych.postgres_library.connection import Wanted, connect, cut_off
from diptych.postgres_library.driver import Connection
from diptych.postgres_library.errors import translate
from diptych.postgres_library.url import PostgresUrl

_PROOF_SECONDS: Final = 2.0
_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0
_LAST_SECONDS: Final = 0.5
_GAP: Final = 0.005
"""Seconds between two that are sent: under load one stands for many, and costs a round trip."""
_PULSE: Final = 30.0
"""Seconds after which a silent connection is asked whether it is still there."""
_log = logging.getLogger(__name__)


class Listener:
    """Hears when another session notifies `channel`, and notifies others."""

    def __init__(self, url: PostgresUrl, channel: str) -> None:
        self._url, self._channel = url, channel
        self._heard: Callable[[], None] = lambda: None
        self._task: asyncio.Task[None] | None = None
        self._proof: asyncio.Future[None] | None = None
        self._due = asyncio.Event()
        self._warned = False
        self._pid = 0
        self._sending = self._ending = False
        self.live = False

    def start(self, heard: Callable[[], None]) -> None:
        """Begin to listen, in a task that calls `heard`. Behind a pooler it only notifies."""
        self._heard = heard
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Tell the others a last time, if that is quickly done, and end."""
        task, self._task = self._task, None
        if task is None:
            return
        if self._sending:
            self._ending = True
            self._due.set()
            await asyncio.wait({task}, timeout=_LAST_SECONDS)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    def notify(self) -> None:
        """Tell all others that listen to the channel; soon, and once for several calls.

        Never waits and never raises: if it cannot be told, the others find out by looking.
        """
        self._due.set()

    async def _run(self) -> None:
        pause = _PAUSE
        while True:
            try:
                await self._listen()
            except Exception as error:  # noqa: BLE001 - a hint that is missing is no reason to end
                self._report(error)
            pause = _PAUSE if self.live else min(2 * pause, _LONGEST_PAUSE)
            self.live = self._sending = False
            if self._ending:
                return
            await asyncio.sleep(pause)

    async def _listen(self) -> None:
        connection = await connect(self._url, Wanted("diptych listen"))
        try:
            connection.add_termination_listener(lambda _: self._due.set())
            if not self._url.pooler:
                self._pid = connection.get_server_pid()
                async with cut_off(connection, _PROOF_SECONDS):
                    await connection.add_listener(self._channel, self._called)
                await self._prove(connection)
                self.live = True
            self._warned = False
            self._heard()
            await self._send(connection)
        finally:
            connection.terminate()

    async def _prove(self, connection: Connection) -> None:
        """Raises: TimeoutError: LISTEN succeeded, and nothing is heard."""
        self._proof = asyncio.get_running_loop().create_future()
        await self._notify(connection)
        async with asyncio.timeout(_PROOF_SECONDS):
            await self._proof

    async def _send(self, connection: Connection) -> None:
        """Send what is due, and a sign of life now and then, until the connection ends."""
        self._sending = True
        while not (self._ending or connection.is_closed()):
            with suppress(TimeoutError):
                async with asyncio.timeout(_PULSE):
                    await self._due.wait()
            due = self._due.is_set()
            self._due.clear()
            if connection.is_closed():
                return
            if due:
                await self._notify(connection)
                await asyncio.sleep(_GAP)
            else:
                await self._ask(connection)

    async def _ask(self, connection: Connection) -> None:
        """Whether it is still there; and with several hosts, whether it is still the primary.

        Who only reads has no other reason to ask: a former primary that hung goes on answering.
        """
        async with cut_off(connection, _PROOF_SECONDS):
            await connection.execute("SELECT 1")
        if len(self._url.dsns) > 1:
            (await connect(self._url, Wanted("diptych listen"))).terminate()

    async def _notify(self, connection: Connection) -> None:
        async with cut_off(connection, _PROOF_SECONDS):
            await connection.fetchval("SELECT pg_notify($1, '')", self._channel)

    def _called(self, connection: Connection, pid: int, channel: str, payload: str) -> None:  # noqa: ARG002
        """The connection may be closed by now."""
        if pid != self._pid:
            self._heard()
        elif self._proof is not None and not self._proof.done():
            self._proof.set_result(None)

    def _report(self, error: Exception) -> None:
        """Once for each time that it goes wrong, not for each attempt."""
        if self._warned:
            return
        self._warned = True
        reason = translate(error, self._url.shown) if not isinstance(error, TimeoutError) else ""
        _log.warning(
            "%s: hears no notifications%s; looking often instead until it does",
            self._url.shown,
            f" ({reason})" if isinstance(reason, DiptychError) else ": is there a pooler?",
        )
