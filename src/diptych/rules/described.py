"""Values as text that is equal for equal values, on every version of Python, in every process."""

import re
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import cached_property, partial
from pathlib import PurePath
from pickle import PicklingError
from types import (
    BuiltinFunctionType,
    EllipsisType,
    MappingProxyType,
    MethodType,
    NoneType,
    UnionType,
)
from typing import Any, Final, NewType, NoReturn, Union, get_args, get_origin
from uuid import UUID
from zoneinfo import ZoneInfo

from diptych.errors import ConfigurationError

Describe = Callable[[Any], str]
"""Describes a part of a value."""


def refuse(what: str) -> NoReturn:
    raise ConfigurationError(
        f"{what} cannot be followed, so a change of it would not be seen: avoid it"
    )


def public_name(module: str, name: str) -> str:
    """Without the file inside a library that it is in, which moves between versions."""
    return f"{module.partition('.')[0].lstrip('_')}.{name}"


def described(value: Any, describe: Describe) -> str:
    """Text for anything but functions, classes and modules.

    Raises:
        ConfigurationError: it is an object that cannot be pickled: a lock, a connection.
    """
    known = _BY_TYPE.get(type(value))
    if known is not None:
        return f"{type(value).__name__} {known(value, describe)}"
    for test, text in _BY_TEST:
        if test(value):
            return text(value, describe)
    return _pickled(value, describe)


def registered(function: Any, describe: Describe) -> str:
    """The functions that `functools.singledispatch` chooses from."""
    return _unordered(function.registry.items(), describe)


def _pickled(value: Any, describe: Describe) -> str:
    try:
        reduced = value.__reduce_ex__(4)
    except (TypeError, ValueError, AttributeError, RuntimeError, PicklingError):
        refuse(f"an object of type {type(value).__qualname__}")
    if isinstance(reduced, str):
        return f"{describe(type(value))} {reduced}"
    make, arguments, *rest = reduced
    state, items, pairs = (*rest, None, None, None)[:3]
    if isinstance(state, dict):
        state = {name: state[name] for name in sorted(state, key=ascii)}
    saved = [make, arguments, state, items and list(items), pairs and list(pairs)]
    return f"{describe(type(value))} {_each(saved, describe)}"


def _each(values: Iterable[Any], describe: Describe) -> str:
    return f"[{', '.join(map(describe, values))}]"


def _unordered(values: Iterable[Any], describe: Describe) -> str:
    return f"{{{', '.join(sorted(map(describe, values)))}}}"


def _ascii(value: object, _: Describe) -> str:
    """Not `repr`: what it escapes depends on the version of Unicode."""
    return ascii(value)


def _text(value: object, _: Describe) -> str:
    return str(value)


def _generic(value: Any, describe: Describe) -> str:
    origin = get_origin(value)
    name = "Union" if origin in {Union, UnionType} else describe(origin)
    return f"{name}{_each(get_args(value), describe)}"


def _builtin(value: Any, describe: Describe) -> str:
    """`len`, or `'x'.join`, which is bound to a value."""
    bound = value.__self__
    owner = "" if bound is None or type(bound).__name__ == "module" else describe(bound)
    return public_name(value.__module__ or "builtins", value.__qualname__) + owner


_BY_TYPE: Final[dict[type, Callable[[Any, Describe], str]]] = {
    **dict.fromkeys((NoneType, EllipsisType, type(NotImplemented), bool, float, complex), _ascii),
    **dict.fromkeys((str, bytes, range), _ascii),
    **dict.fromkeys((date, datetime, time, timedelta, timezone), _ascii),
    **dict.fromkeys((Decimal, Fraction, UUID, ZoneInfo), _text),
    **dict.fromkeys((tuple, list), _each),
    **dict.fromkeys((set, frozenset), _unordered),
    int: lambda value, _: hex(value),
    dict: lambda value, describe: _each(value.items(), describe),
    MappingProxyType: lambda value, describe: _each(value.items(), describe),
    re.Pattern: lambda value, _: f"{value.pattern!a} {int(value.flags):#x}",
    partial: lambda value, describe: _each((value.func, value.args, value.keywords), describe),
    MethodType: lambda value, describe: _each((value.__func__, value.__self__), describe),
    property: lambda value, describe: _each((value.fget, value.fset, value.fdel), describe),
    cached_property: lambda value, describe: describe(value.func),
    staticmethod: lambda value, describe: describe(value.__func__),
    classmethod: lambda value, describe: describe(value.__func__),
    NewType: lambda value, describe: f"{value.__name__} {describe(value.__supertype__)}",
    BuiltinFunctionType: _builtin,
}

_BY_TEST: Final[tuple[tuple[Callable[[Any], object], Callable[[Any, Describe], str]], ...]] = (
    (
        lambda value: isinstance(value, Enum),
        lambda value, describe: f"{describe(type(value))} {value.name or value.value}",
    ),
    (lambda value: isinstance(value, PurePath), lambda value, _: f"path {value.as_posix()!a}"),
    (get_origin, _generic),
    (lambda value: type(value).__module__ in {"typing", "msgspec"}, _ascii),  # Any, T, Meta, UNSET
    (
        lambda value: "__wrapped__" in getattr(value, "__dict__", ()),
        lambda value, describe: f"{describe(type(value))} {describe(value.__wrapped__)}",
    ),
)
