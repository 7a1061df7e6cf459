"""Long work in slices, between which the event loop gets its turn."""

import asyncio
from typing import Final

_SLICE: Final = 500
"""Steps, or rows, that are worked on without a pause: some milliseconds."""


def slices(length: int) -> list[slice]:
    return [slice(start, start + _SLICE) for start in range(0, length, _SLICE)]


async def breathe(part: slice) -> None:
    """Let others run between two slices."""
    if part.start:
        await asyncio.sleep(0)
