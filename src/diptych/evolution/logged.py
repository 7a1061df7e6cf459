"""What is in a log: which stored names, how often, and whether the code of today can read them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from diptych.codec import Events
from diptych.errors import UndecodableEvent
from diptych.evolution.compare import Finding, unread
from diptych.messages import RecordedEvent
from diptych.read.progress import Meter, OnProgress
from diptych.store.contract import START, EventStore, category_of

_PAGE: Final = 1_000
_SAMPLES: Final = 100
"""Events of each stored name that are decoded: the first ones, and each at a power of two."""


@dataclass(slots=True)
class _Name:
    """A stored name of a category, in a log."""

    count: int = 0
    first: int = 0
    last: int = 0


class Logged:
    """The stored names of a log, and the first event of each that could not be decoded."""

    def __init__(self, families: Sequence[Events[Any]]) -> None:
        self._families = families
        self._names: dict[tuple[str, str], _Name] = {}
        self._undecodable: dict[tuple[str, str], Finding] = {}

    async def read(self, store: EventStore, on_progress: OnProgress | None = None) -> None:
        """Look at every event up to the present head; read on from there with another call.

        Raises: StoreError.
        """
        meter, after = Meter("reading the log", on_progress), START
        head = (await store.head()).position
        while after.position < head:
            page = await store.read(after=after, limit=_PAGE)
            for event in page.events:
                self._see(event)
            after = page.scanned
            meter.at(min(after.position, head), head)

    def findings(self) -> list[Finding]:
        """What stands in the way of reading this log."""
        found: list[Finding] = []
        for (category, name), seen in sorted(self._names.items()):
            ours = [family for family in self._families if family.category == category]
            what = f"the log has {seen.count:,}, at {seen.first:,} to {seen.last:,}"
            found += unread(ours, category, name, what=what)
            if (category, name) in self._undecodable:
                found.append(self._undecodable[category, name])
        return found

    def strangers(self) -> list[str]:
        """Categories that no family of the application has: they may be another's."""
        known = {family.category for family in self._families}
        return sorted({category for category, _ in self._names} - known)

    def _see(self, event: RecordedEvent) -> None:
        key = category_of(event.stream), event.type
        seen = self._names.setdefault(key, _Name(first=event.position))
        seen.count += 1
        seen.last = event.position
        if key not in self._undecodable and _is_sample(seen.count):
            self._decode(key, event)

    def _decode(self, key: tuple[str, str], event: RecordedEvent) -> None:
        for family in self._families:
            if family.category != key[0] or not family.knows(event.type):
                continue
            try:
                family.decode_all(event)
            except UndecodableEvent as error:
                self._undecodable[key] = Finding(
                    *key,
                    (f"the one at {event.position:,} cannot be decoded at {error.path}",),
                    "what the type of today says of this field, or the upcaster to it",
                )
                return


def _is_sample(count: int) -> bool:
    return count <= _SAMPLES or count & (count - 1) == 0
