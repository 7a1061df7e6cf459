"""`Recent`: what the last batches made of rows, for one who alone writes them."""

from collections.abc import Mapping
from typing import Final, Generic, TypeVar

V = TypeVar("V")

_MANY: Final = 5_000
"""Rows from which older ones are forgotten: about as many as a large batch has anyway."""


class Recent(Generic[V]):
    """Values by the keys of rows. Those of the last two batches are there in any case.

    So whoever prepares a batch while the one before is still being written finds here what the
    database does not show yet.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[object, ...], V] = {}
        self._older: dict[tuple[object, ...], V] = {}

    def get(self, key: tuple[object, ...]) -> V | None:
        found = self._last.get(key)
        return self._older.get(key) if found is None else found

    def add(self, batch: Mapping[tuple[object, ...], V]) -> None:
        """What one more batch made of its rows."""
        if len(self._last) >= _MANY:
            self._last, self._older = {}, self._last
        self._last.update(batch)
