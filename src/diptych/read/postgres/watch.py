"""`Watch`: sees that a checkpoint moved, by NOTIFY where that can be heard, else by looking."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from diptych.postgres_library.listening import Listener
from diptych.postgres_library.url import PostgresUrl
from diptych.read.postgres.connection import Connection
from diptych.read.postgres.pool import Pool

_LOOK_ANYWAY: Final = 1.0
"""Seconds after which a notification may have been lost."""


class Watch:
    """Looks at the checkpoints of one server when there is a reason to.

    `listens` tells whether silence means anything. Behind a pooler nothing is heard, and a replica
    is behind what is: each glance is a look then. All notify, as others may listen.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        positions: str,
        *,
        url: PostgresUrl,
        listens: bool,
    ) -> None:
        self._pool, self._positions = Pool(connect, limit=1), positions
        self._listener, self._listens = Listener(url, f"{url.schema}_moved"), listens
        self._heard = True
        self._looked_at = 0.0
        self._seen: Mapping[int, int] | None = None
        self.heard: Callable[[], None] = _nobody

    def start(self) -> None:
        self._listener.start(self._hear)

    async def stop(self) -> None:
        await self._listener.stop()
        await self._pool.close()

    def notify(self) -> None:
        """Tell other processes that a checkpoint moved."""
        self._listener.notify()

    async def glance(self, *, anyway: bool) -> Mapping[int, int] | None:
        """Raises: StoreError."""
        if not (anyway or self._may_have_moved()):
            return None
        self._heard, self._looked_at = False, asyncio.get_running_loop().time()
        found = await self._look()
        if found == self._seen:
            return None
        self._seen = found
        return found

    def _may_have_moved(self) -> bool:
        if not (self._listens and self._listener.live):
            return True
        now = asyncio.get_running_loop().time()
        return self._heard or now - self._looked_at >= _LOOK_ANYWAY

    async def _look(self) -> Mapping[int, int]:
        connection = await self._pool.take()
        try:
            async with connection.watched():
                rows = await connection.driver.fetch(self._positions)
        except Exception as error:
            self._seen = None
            meaning = connection.meaning(error)
            self._pool.give(connection)
            raise meaning from error
        except BaseException:
            connection.close()
            self._pool.give(connection)
            raise
        self._pool.give(connection)
        return dict(rows)

    def _hear(self) -> None:
        self._heard = True
        self.heard()


def _nobody() -> None:
    pass
