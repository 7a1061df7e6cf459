"""The connections that queries read through: a few, opened when needed, each for one at a time."""

from collections.abc import Callable

from diptych.read.places import Places
from diptych.read.sqlite.connection import Connection


class Pool:
    """Gives connections out in the order in which they were asked for."""

    def __init__(self, connect: Callable[[], Connection], *, limit: int) -> None:
        self._connect, self._places = connect, Places(limit)
        self._idle: list[Connection] = []

    async def take(self) -> Connection:
        """Raises: Overloaded: 1,000 queries are waiting. StoreClosed. StoreError: cannot open."""
        await self._places.take()
        try:
            return self._idle.pop() if self._idle else self._connect()
        except BaseException:
            self._places.give()
            raise

    def give(self, connection: Connection, *, sound: bool = True) -> None:
        """Take it back; one that is not `sound` is closed."""
        if sound and not self._places.closed:
            self._idle.append(connection)
        else:
            connection.close()
        self._places.give()

    def close(self) -> None:
        """Close what is idle; what is in use is closed when it is given back."""
        self._places.close()
        while self._idle:
            self._idle.pop().close()
