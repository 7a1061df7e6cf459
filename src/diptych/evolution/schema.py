"""The schema file: the shape of every stored name there ever was, in the repository of the code."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from diptych.codec import Events
from diptych.errors import ConfigurationError
from diptych.evolution.shape import Shape, shape_of

FORMAT: Final = 1
Schema = Mapping[str, Mapping[str, Shape]]
"""For each category, for each stored name, its shape."""


class _File(msgspec.Struct, forbid_unknown_fields=True):
    diptych: int
    events: dict[str, dict[str, dict[str, str]]]


def schema_of(families: Iterable[Events[Any]]) -> Schema:
    """The shapes of today. Where two families have a stored name, the first says what it is: it
    is the one that writes it."""
    found: dict[str, dict[str, Shape]] = {}
    for family in families:
        names = found.setdefault(family.category, {})
        for tp, name in family.names.items():
            names.setdefault(name, shape_of(tp))
    return found


def read(path: Path) -> Schema:
    """What the file says; nothing if it is not there.

    Raises: ConfigurationError: it is no schema file, or of a newer version of Diptych.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_File)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:  # msgspec's errors are ValueErrors
        raise ConfigurationError(
            f"{path} cannot be read as a schema file ({error}): take it from version control again"
        ) from error
    if found.diptych != FORMAT:
        raise ConfigurationError(
            f"{path} has format {found.diptych}, this version of Diptych reads {FORMAT}"
        )
    return found.events


def write(path: Path, schema: Schema) -> None:
    """One line for each field, categories and names in order, so that a change is easy to review.

    Raises: ConfigurationError: the file cannot be written.
    """
    events = {
        category: {name: dict(shape) for name, shape in sorted(schema[category].items())}
        for category in sorted(schema)
    }
    text = msgspec.json.format(msgspec.json.encode(_File(FORMAT, events)), indent=2) + b"\n"
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_bytes(text)
        os.replace(beside, path)  # noqa: PTH105 - what the file was, or what it is to be
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
