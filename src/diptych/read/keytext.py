"""Keys as text: as they are stored with what is parked, and as people write and read them.

Stored, a key is a JSON array of its parts as SQLite keeps them, the same on all databases. To
people a key of one field is that field (a UUID with its dashes), a key of several a JSON array.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy.dialects import sqlite

from diptych.errors import InvalidInput
from diptych.read.column_kinds import unwrap
from diptych.read.columns import RowLayout
from diptych.read.table import ViewTable

CANONICAL: Final = sqlite.dialect()


class KeyText:
    """Of the view with this layout and table."""

    def __init__(self, layout: RowLayout[Any], table: ViewTable) -> None:
        self._layout, self._names = layout, table.key

    def stored(self, key: object) -> str:
        """Raises InvalidInput: the key does not fit its columns."""
        values = [
            self._layout.value(name, part, CANONICAL)
            for name, part in zip(self._names, self._parts(key), strict=True)
        ]
        return msgspec.json.encode(values).decode()

    def key_of(self, stored: str) -> object:
        values: list[Any] = msgspec.json.decode(stored)
        named = zip(self._names, values, strict=True)
        parts = tuple(self._layout.read(name, value, CANONICAL) for name, value in named)
        return _key(parts)

    def shown(self, stored: str) -> str:
        parts: list[Any] = msgspec.to_builtins(self._parts(self.key_of(stored)))
        return msgspec.json.encode(parts).decode() if len(parts) > 1 else str(parts[0])

    def given(self, key: object) -> object:
        """A key that somebody gave: as it is, or as text.

        Raises InvalidInput: the text is no key of this view.
        """
        if not isinstance(key, str):
            return key
        try:
            texts: Sequence[Any] = msgspec.json.decode(key) if len(self._names) > 1 else [key]
            parts = tuple(map(self._read, self._names, self._checked(texts)))
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise InvalidInput("key", f"must be {self._wanted}") from error
        return _key(parts)

    def _read(self, name: str, text: Any) -> object:
        hint = unwrap(self._layout.field_type(name)).bare
        return msgspec.convert(text, hint, strict=False)

    def _parts(self, key: object) -> tuple[object, ...]:
        if len(self._names) == 1:
            return (key,)
        return self._checked(key)

    def _checked(self, key: Any) -> tuple[object, ...]:
        if not isinstance(key, tuple | list) or len(key) != len(self._names):
            raise InvalidInput("key", f"must be {self._wanted}")
        return tuple(key)

    @property
    def _wanted(self) -> str:
        if len(self._names) == 1:
            hint = unwrap(self._layout.field_type(self._names[0])).bare
            return f"a {getattr(hint, '__name__', hint)}, the {self._names[0]}"
        return f"{', '.join(self._names)}, as a tuple or a JSON array"


def _key(parts: Sequence[object]) -> object:
    return tuple(parts) if len(parts) > 1 else parts[0]
