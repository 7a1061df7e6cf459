"""`Batch`: as many lines as one append may take without changing their order."""

import hashlib
from typing import Final

from diptych.errors import InvalidInput
from diptych.importing.lines import Item
from diptych.store.contract import ANY_VERSION, ExpectedVersion, Write
from diptych.store.limits import MAX_APPEND_WRITES

_EVENTS: Final = 1_000
_BYTES: Final = 1_000_000
"""Live commands wait for one such append: it holds the log's lock for some tens of
milliseconds."""


class Digest:
    """What is remembered of the lines of a batch."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, raw: bytes) -> None:
        self._hash.update(raw)
        self._hash.update(b"\n")

    @property
    def value(self) -> bytes:
        return self._hash.digest()


class Batch:
    """Lines in their order. An append writes each stream once, one stream after the other: a line
    whose stream comes again after another one begins the next batch.

    The versions that lines give are checked by the append, as that of the first line of each
    stream; the others must follow on it.
    """

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._streams: dict[str, list[Item]] = {}
        self._bytes, self._last = 0, ""

    @property
    def digest(self) -> bytes:
        digest = Digest()
        for item in self.items:
            digest.add(item.raw)
        return digest.value

    @property
    def writes(self) -> tuple[Write, ...]:
        return tuple(
            Write(stream, tuple(item.event for item in items), _expected(items[0]))
            for stream, items in self._streams.items()
        )

    def takes(self, item: Item) -> bool:
        """Add a line, if there is room for it.

        Raises: InvalidInput: its version does not follow on the one before it.
        """
        size = self._bytes + len(item.event.data)
        if self.items and (len(self.items) >= _EVENTS or size > _BYTES):
            return False
        items = self._streams.get(item.stream)
        if items is None:
            if len(self._streams) >= MAX_APPEND_WRITES:
                return False
            items = self._streams[item.stream] = []
        elif item.stream != self._last or not _follows(item, items[-1]):
            return False
        items.append(item)
        self.items.append(item)
        self._bytes, self._last = size, item.stream
        return True


def _expected(first: Item) -> ExpectedVersion:
    return ANY_VERSION if first.version is None else first.version - 1


def _follows(item: Item, before: Item) -> bool:
    """False if the log has to tell whether the version is right.

    Raises: InvalidInput: it is wrong.
    """
    if item.version is None or before.version is None:
        return item.version is None
    if item.version != before.version + 1:
        problem = f"version {item.version} follows on {before.version}"
        raise InvalidInput(f"line {item.number}", problem)
    return True
