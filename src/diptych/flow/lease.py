"""`Lease`: until when this process may believe that it holds a cursor."""

import asyncio
from typing import Final

TTL: Final = 5.0
"""For how many seconds a process that says nothing is still taken to be alive."""

_LOOK: Final = 0.02


class Lease:
    """By the clock of the event loop, from when it was asked for: so it ends here first."""

    def __init__(self) -> None:
        self._until = 0.0

    def renewed(self, until: float) -> None:
        self._until = until

    async def lasts(self) -> None:
        """Return at once while it lasts, and else when it was renewed. A process that slept for
        longer must not act before it knows that no other does."""
        while asyncio.get_running_loop().time() >= self._until:  # noqa: ASYNC110 - hardly ever
            await asyncio.sleep(_LOOK)
