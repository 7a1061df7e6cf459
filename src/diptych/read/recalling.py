"""Events of a key that were set aside: read again by their positions, and applied to it alone."""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from diptych.errors import HistoryDiverged, InvalidInput
from diptych.messages import RecordedEvent
from diptych.read.model import Key, ReadModel
from diptych.store.contract import EventStore, Point

_PAGE: Final = 1_000


class Only:
    """Keeps the events of all other keys from being applied; an `Aside`."""

    def __init__(self, key: Key, stored: str) -> None:
        self.given: Key | None = key
        self._key, self._stored = key, stored

    def which(self, keys: Sequence[Key], text_of: Callable[[Key], str]) -> AbstractSet[int]:
        return {number for number, key in enumerate(keys) if not self._is_ours(key, text_of)}

    def take(self, number: int, recorded: RecordedEvent) -> None:
        """They are applied already, or parked under their own keys."""

    def _is_ours(self, key: Key, text_of: Callable[[Key], str]) -> bool:
        try:
            return key[0] == self._key[0] and text_of(key) == self._stored
        except InvalidInput:
            return False


async def recalled(
    positions: Sequence[int], *, tenant: str, model: ReadModel, store: EventStore
) -> list[RecordedEvent]:
    """From the log, for `model`. Raises: HistoryDiverged: it does not have them."""
    found: list[RecordedEvent] = []
    while len(found) < len(positions):
        wanted = positions[len(found) :]
        page = await store.read(
            after=Point(wanted[0] - 1),
            limit=min(len(wanted), _PAGE),
            categories=model.categories,
            tenant=tenant,
        )
        there = {event.position: event for event in page.events}
        last = page.events[-1].position if page.events else wanted[0]
        here = [position for position in wanted if position <= last]
        missing = next((each for each in here if each not in there), None)
        if missing is not None:
            raise HistoryDiverged(f"view {model.name}", position=missing)
        found.extend(there[position] for position in here)
    return found
