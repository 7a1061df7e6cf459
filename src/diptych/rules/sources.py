"""Where a function or class is defined: in a library, or in source code that can be read."""

import linecache
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any

from diptych.rules.normal_form import Definition, definitions

_INSTALLED = {"site-packages", "dist-packages"}


class Libraries:
    """Knows the code that is taken by name: the standard library, Diptych, installed packages.

    The packages of `parts` are not, wherever they are: a service may be installed too.
    """

    def __init__(self, parts: Iterable[object]) -> None:
        self._own = {_top(module) for module in _modules(parts)} | {"__main__"}

    def has(self, module: str) -> bool:
        top = _top(module)
        if top in {"diptych", "builtins"} or top in sys.stdlib_module_names:
            return True
        return top not in self._own and not _INSTALLED.isdisjoint(Path(_file(module)).parts)

    def name(self, thing: FunctionType | type[Any]) -> bool:
        """Whether its own name leads to it there: nothing of ours had a part in making it."""
        if not self.has(thing.__module__):
            return False
        found: Any = sys.modules.get(thing.__module__)
        for part in thing.__qualname__.split("."):
            found = getattr(found, part, None)
        return found is thing


def _top(module: str) -> str:
    return module.partition(".")[0]


def _file(module: str) -> str:
    """Of a module that is not loaded yet, that of its package."""
    loaded = sys.modules.get(module)
    if loaded is not None:
        return getattr(loaded, "__file__", None) or ""
    spec = find_spec(_top(module))
    return (spec and spec.origin) or ""


def _modules(parts: Iterable[object]) -> Iterator[str]:
    for part in parts:
        if isinstance(part, tuple):
            yield from _modules(part)
        elif isinstance(part, partial):
            yield from _modules((part.func,))
        elif isinstance(part, MethodType):
            yield from _modules((part.__func__,))
        elif isinstance(part, FunctionType):
            yield module_of(part)
        elif isinstance(part, type):
            yield part.__module__


def module_of(function: FunctionType) -> str:
    """Where its code is. `__module__` is not: `functools.wraps` overwrites it."""
    name: str = function.__globals__.get("__name__", "")
    return name


def source_of_function(function: FunctionType) -> Definition | None:
    """The definition at the place that the running code was compiled from; None: not there."""
    code = function.__code__
    lines = _lines(code.co_filename, function.__globals__)
    for first_line, node in definitions(lines).get(code.co_qualname, ()):
        if first_line == code.co_firstlineno:
            return node
    return None


def sources_of_class(python: type[Any]) -> list[Definition]:
    """All that have its name; which of them was run cannot be told."""
    module = sys.modules.get(python.__module__)
    file = getattr(module, "__file__", None)
    if module is None or file is None:
        return []
    found = definitions(_lines(file, vars(module)))
    return [node for _, node in found.get(python.__qualname__, ())]


def _lines(file: str, module: dict[str, Any]) -> str:
    linecache.checkcache(file)
    return "".join(linecache.getlines(file, module))
