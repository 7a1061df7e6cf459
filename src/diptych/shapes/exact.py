"""Finds what JSON would silently change, and what no database takes, before it is written."""

import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from diptych.errors import InvalidInput
from diptych.shapes.fields import attributes_of

_LOWEST: Final = -(2**63)
_HIGHEST: Final = 2**63 - 1


def is_suspect(data: bytes) -> bool:
    """Whether the JSON may hold a NUL, or a decimal that is no number.

    Searches that nearly always say no; only if one says yes is every value looked at. The first
    is for one byte, which is far faster than for more.
    """
    escaped = b"\\" in data and b"\\u0000" in data
    return escaped or b"NaN" in data or b"Infinity" in data


def exact(value: Any, path: str = "") -> Any:
    """The value with its times in UTC: a database may drop an offset, and JSON drops its seconds.

    Raises: InvalidInput names the first field that cannot be stored exactly.
    """
    match value:
        case str():
            _check_text(value, path)
        case msgspec.Struct():
            return _exact_struct(value, path)
        case dict():
            return {exact(key, path): exact(item, f"{path}.*") for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return type(value)([exact(item, f"{path}.{at}") for at, item in enumerate(value)])
        case datetime():
            return _utc(value, path)
        case int() | float() | Decimal():
            _check_number(value, path)
        case _:
            for name, item in attributes_of(value):
                exact(item, f"{path}.{name}")
    return value


def ordered(value: Any) -> Any:
    """The value of a mirror with its sets and dicts in the order of their JSON."""
    match value:
        case msgspec.Struct():
            names = value.__struct_fields__
            changes = {name: ordered(getattr(value, name)) for name in names}
            return msgspec.structs.replace(value, **changes)
        case set() | frozenset():
            return sorted((ordered(item) for item in value), key=msgspec.json.encode)
        case dict():
            keys = sorted(value, key=msgspec.json.encode)
            return {key: ordered(value[key]) for key in keys}
        case list() | tuple():
            return [ordered(item) for item in value]
        case _:
            return value


def _exact_struct(value: msgspec.Struct, path: str) -> msgspec.Struct:
    changes: dict[str, Any] = {}
    names = zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True)
    for name, key in names:
        item = getattr(value, name)
        changed = exact(item, f"{path}.{key}")
        if changed is not item:
            changes[name] = changed
    return msgspec.structs.replace(value, **changes) if changes else value


def _utc(value: datetime, path: str) -> datetime:
    if value.tzinfo is None:
        raise _refused(path, "must have a time zone")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise _refused(path, "must be between the years 1 and 9999 in UTC") from None


def _check_number(value: float | Decimal, path: str) -> None:
    if isinstance(value, int):
        if not _LOWEST <= value <= _HIGHEST:
            raise _refused(path, "must fit in 64 bits")
    elif not (value.is_finite() if isinstance(value, Decimal) else math.isfinite(value)):
        raise _refused(path, "must be a number, not NaN or Infinity")


def _check_text(text: str, path: str) -> None:
    if "\0" in text:
        raise _refused(path, "must not contain the NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _refused(path, "must be valid Unicode, without lone surrogates") from None


def _refused(path: str, problem: str) -> InvalidInput:
    return InvalidInput(path.removeprefix(".") or "value", problem)
