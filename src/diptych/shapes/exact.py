"""Finds what JSON would silently change, and what no database takes, before it is written."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from diptych.errors import InvalidInput

_OFFSET: Final = re.compile(rb"T\d\d:\d\d:\d\d(?:\.\d+)?[+-]")
_INT64: Final = range(-(2**63), 2**63)


def is_suspect(data: bytes) -> bool:
    """Whether the JSON may hold a NUL, a decimal that is no number, or a time that is not UTC.

    Four searches that nearly always say no; only if one says yes is every value looked at.
    """
    return (
        b"\\u0000" in data
        or b"NaN" in data
        or b"Infinity" in data
        or _OFFSET.search(data) is not None
    )


def exact(value: Any, path: str = "") -> Any:
    """The value, its times in UTC: a database must not drop an offset, nor JSON its seconds.

    Raises: InvalidInput names the first field that cannot be stored exactly.
    """
    match value:
        case str():
            _check_text(value, path)
        case Mapping():
            for key in value:
                _check_text(str(key), path)
            return {key: exact(item, f"{path}.{key}") for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [exact(item, f"{path}.{index}") for index, item in enumerate(value)]
        case datetime():
            return _utc(value, path)
        case Decimal() if not value.is_finite():
            raise _refused(path, "must be a number, not NaN or Infinity")
        case float() if not math.isfinite(value):
            raise _refused(path, "must be a number, not NaN or Infinity")
        case int() if value not in _INT64:
            raise _refused(path, "must fit in 64 bits")
    return value


def _utc(value: datetime, path: str) -> datetime:
    if value.tzinfo is None:
        raise _refused(path, "must have a time zone")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise _refused(path, "must be between the years 1 and 9999 in UTC") from None


def _check_text(text: str, path: str) -> None:
    if "\0" in text:
        raise _refused(path, "must not contain the NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _refused(path, "must be valid Unicode, without lone surrogates") from None


def _refused(path: str, problem: str) -> InvalidInput:
    return InvalidInput(path.removeprefix(".") or "value", problem)
