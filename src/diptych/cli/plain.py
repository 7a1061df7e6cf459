"""`as_line`: results as one line of JSON that a terminal cannot be harmed by."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any
from uuid import UUID

import msgspec


def as_line(value: object) -> str:
    """Dataclasses become objects, times ISO 8601, durations seconds in a field named
    `…_seconds`; `msgspec.Raw` is JSON already.
    """
    return printable(msgspec.json.encode(plain(value)).decode())


def plain(value: object) -> Any:
    """What JSON can hold."""
    match value:
        case None | bool() | int() | float() | msgspec.Raw():
            found: Any = value
        case Enum():
            found = plain(value.value)
        case timedelta():
            found = round(value.total_seconds(), 3)
        case datetime() | UUID():
            found = value.isoformat() if isinstance(value, datetime) else str(value)
        case Mapping():
            found = {str(key): plain(each) for key, each in value.items()}
        case _ if is_dataclass(value):
            found = _fields(value)
        case Iterable() if not isinstance(value, str | bytes):
            found = [plain(each) for each in value]
        case _:  # text as well, of whatever class
            found = str(value)
    return found


def printable(text: str) -> str:
    """What is read back from a log cannot move the cursor or change colours."""
    if text.isprintable():
        return text
    kept = {"\n", "\t"}
    return "".join(
        each if each.isprintable() or each in kept else json.dumps(each)[1:-1] for each in text
    )


def _fields(value: Any) -> dict[str, Any]:
    return {_name(each.name, each.type): plain(getattr(value, each.name)) for each in fields(value)}


def _name(name: str, declared: object) -> str:
    return f"{name}_seconds" if "timedelta" in str(declared) else name
