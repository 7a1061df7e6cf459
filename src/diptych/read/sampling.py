"""Keys that rows should have, taken from events at random places of the log."""

import random
from typing import Any, Final

from diptych.read.failure import FAULTS
from diptych.read.model import Key
from diptych.read.view import View
from diptych.store.contract import EventStore, Point

_MOST: Final = 200
"""Events; each is a look into the log."""


async def logged_keys(view: View[Any], *, store: EventStore, upto: int, number: int) -> set[Key]:
    """The keys of at most `number` events up to a position: what is missing is not in the table."""
    found: set[Key] = set()
    for position in _places(upto, min(number, _MOST)):
        page = await store.read(after=Point(position), limit=1, categories=view.categories)
        events = [event for event in page.events if event.position <= upto]
        try:
            decoded = await view.decode(events)
            found.update(view.keys_of(decoded))
        except FAULTS:
            continue  # that no row can come from it is not for a sample to say
    return found


def _places(upto: int, number: int) -> list[int]:
    """Different ones from 0 to below `upto`."""
    return random.sample(range(upto), min(number, upto))
