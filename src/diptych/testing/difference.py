"""Messages for people: what was expected and what came, field by field."""

import dataclasses
from collections.abc import Sequence
from difflib import ndiff


def difference(expected: Sequence[object], actual: Sequence[object]) -> str:
    """Both as one text: `-` before what was expected and is missing, `+` before what came."""
    lines = ndiff(_lines(expected), _lines(actual))
    text = "\n".join(line.rstrip() for line in lines if not line.startswith("?"))
    if any(line[:1] in "-+" for line in text.splitlines()):
        return text
    return f"{text}\n(they look alike, but are not equal)"


def described(value: object) -> list[str]:
    """A value, with a line for each of its fields."""
    names = _field_names(value)
    if not names:
        return [repr(value)]
    fields = (f"    {name}={getattr(value, name)!r}," for name in names)
    return [f"{type(value).__qualname__}(", *fields, ")"]


def _lines(values: Sequence[object]) -> list[str]:
    return [line for value in values for line in described(value)]


def _field_names(value: object) -> Sequence[str]:
    """Of a dataclass, a msgspec Struct or a pydantic model."""
    if dataclasses.is_dataclass(value):
        return [field.name for field in dataclasses.fields(value)]
    found: Sequence[str] = getattr(type(value), "__struct_fields__", ())
    return found or list(getattr(type(value), "model_fields", ()))
