"""Connections to PostgreSQL: a few for each purpose, and none comes back inside a transaction."""

import asyncio
from collections.abc import Awaitable, Callable

from diptych.errors import StoreClosed
from diptych.read.places import Places
from diptych.read.postgres.connection import Connection


class Pool:
    """Gives connections out in the order in which they were asked for; makes them when needed."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], *, limit: int) -> None:
        self._connect, self._places = connect, Places(limit)
        self._idle: list[Connection] = []
        self._ending: set[asyncio.Task[None]] = set()

    async def take(self) -> Connection:
        """Raises: Overloaded: 1,000 are waiting. StoreClosed. StoreError: cannot connect."""
        await self._places.take()
        try:
            return await self._idle_or_new()
        except BaseException:
            self._places.give()
            raise

    def give(self, connection: Connection) -> None:
        """Take back a connection that is in no transaction, or is lost."""
        if self._places.closed or connection.lost:
            connection.close()
        else:
            self._idle.append(connection)
        self._places.give()

    def give_after(self, connection: Connection, before: Awaitable[object]) -> None:
        """Take back a connection after `before` and a ROLLBACK, without waiting for them.

        What was cancelled or has failed need not wait; the connection is nobody's meanwhile.
        """
        task = asyncio.create_task(self._end(connection, before), name="diptych-rollback")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def all_given_back(self) -> None:
        """Wait for whoever has a connection now; let nobody have one any more."""
        self._places.close()
        await self._places.all_given_back()

    async def close(self) -> None:
        """Close what is idle; what is in use is closed when it is given back."""
        self._places.close()
        idle, self._idle = self._idle, []
        await asyncio.gather(*(each.say_goodbye() for each in idle), *self._ending)

    async def _idle_or_new(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.lost:
                return connection
            connection.close()
        made = await self._connect()
        if self._places.closed:
            made.close()
            raise StoreClosed("the read database is closed")
        return made

    async def _end(self, connection: Connection, before: Awaitable[object]) -> None:
        try:
            await before
            await connection.roll_back()
        except BaseException:
            connection.close()
            raise
        finally:
            self.give(connection)
