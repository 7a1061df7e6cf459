"""`listed`: the parts that a parameter is given, each of the kind that belongs there."""

from collections.abc import Iterable
from typing import TypeVar

from diptych.errors import ConfigurationError

T = TypeVar("T")


def listed(name: str, given: Iterable[T], kind: type, *, write: str) -> tuple[T, ...]:
    """What the parameter `name` lists. Type checkers know it; without them it is said here.

    Raises: ConfigurationError: it is no list, or has something else in it; `write` is what belongs
        there.
    """
    if not isinstance(given, Iterable):
        raise ConfigurationError(f"{name}= takes a list: write {name}=[...]")
    parts = tuple(given)
    for part in parts:
        if not isinstance(part, kind):
            found = getattr(part, "__qualname__", None) or repr(part)
            raise ConfigurationError(f"{name}= has {found} in it: write {name}=[{write}]")
    return parts
