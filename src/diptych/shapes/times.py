"""Tells fast whether all times in a mirror are UTC; nearly always they are.

It has to be asked of the values: in JSON a zone half a minute from UTC is written as UTC.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from diptych.shapes.fields import CONTAINERS, unwrap

Timed = Mapping[type, tuple[str, ...]]
"""The fields with a time somewhere inside, for each mirror that has any."""


def timed_fields(mirrors: Iterable[type[Struct]]) -> Timed:
    found = {
        mirror: tuple(name for name, tp in mirror.__annotations__.items() if _holds_time(tp, set()))
        for mirror in mirrors
    }
    return {mirror: names for mirror, names in found.items() if names}


def all_in_utc(value: Any, timed: Timed) -> bool:
    kind = type(value)
    if kind is datetime:
        return value.tzinfo is UTC
    if kind in timed:  # plain loops: this is asked of every event that is written
        for name in timed[kind]:
            item = getattr(value, name)
            if item is not None and not all_in_utc(item, timed):
                return False
    elif kind in CONTAINERS:
        for item in value.values() if kind is dict else value:
            if not all_in_utc(item, timed):
                return False
    return True


def _holds_time(tp: Any, seen: set[Any]) -> bool:
    base = unwrap(tp)[0]
    if isinstance(base, type) and issubclass(base, Struct):
        if base in seen:
            return False
        seen.add(base)
        return any(_holds_time(inner, seen) for inner in base.__annotations__.values())
    args = getattr(base, "__args__", ())
    return base is datetime or any(_holds_time(inner, seen) for inner in args)
