"""`Primary`: which of several servers is the one that writes, after another has taken over."""

from contextlib import suppress
from typing import Final
from weakref import WeakKeyDictionary

from diptych.postgres_library.driver import Connection

_TIMELINE: Final = "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)"
"""In hexadecimal. Only a primary knows it, and not every service tells."""


class Primary:
    """What the connections of one URL with several hosts have found out about its servers.

    A primary that hung, or was cut off, does not know that it was replaced. When it comes back it
    takes connections, and those that it had go on; but what it says is old, and what it is told is
    lost. Each promotion begins a timeline with a higher number. So the highest that was met is the
    primary; older ones are refused, and connections to them are ended.
    """

    def __init__(self) -> None:
        self._highest = 0
        self._connections: WeakKeyDictionary[Connection, int] = WeakKeyDictionary()

    async def accepts(self, connection: Connection) -> bool:
        """Whether it leads to the newest primary that was met, as far as the server tells."""
        timeline = 0
        with suppress(Exception):  # a service that has no such function, or a connection just lost
            timeline = int(await connection.fetchval(_TIMELINE), 16)
        return timeline == 0 or self.accepts_timeline(connection, timeline)

    def accepts_timeline(self, connection: Connection, timeline: int) -> bool:
        """As `accepts`, of a connection whose timeline is known."""
        if timeline < self._highest:
            return False
        self._connections[connection] = self._highest = timeline
        for other, known in list(self._connections.items()):
            if known < timeline:
                other.terminate()  # who uses it finds it lost, and makes a new one
        return True
