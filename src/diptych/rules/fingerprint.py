"""The fingerprint of a rule: a hash of all code and values that decide what it does.

Theory of operation. A view's table belongs to the fingerprint of its rule, so two mistakes are
possible: a change that is not seen leaves wrong rows in place, a difference that means nothing
costs a rebuild. The first is the worse; hence what cannot be followed is refused and never passed
over.

Starting at the given parts, each function and class of ours is described once: the normal form
of its source, with each name that it reads and what this name stands for now. A name is looked
up in the closure, then in the module; `prices.vat.RATE` leads through our own modules to the
value. A class also has its bases and methods described, a value its type and content, an object
what pickling would save of it.

The fingerprint is the hash of the set of these definitions, so neither the order in which they
are met nor recursion matters. Names of our modules are not in it: `python -m shop` and
`import shop` agree.

The standard library, Diptych and installed packages are taken by name, but for the packages of
the parts themselves; a function that a library made holds what it was made of. Ask for a
fingerprint when all modules are loaded: a helper may be defined below its user, and the values of
a module's names count as they are then.
"""

import ast
import builtins
import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import CellType, CodeType, FunctionType, MappingProxyType, ModuleType
from typing import Any

from diptych.rules.described import described, public_name, refuse, registered
from diptych.rules.normal_form import (
    Chain,
    Definition,
    base_names,
    bound_names,
    chains,
    class_chains,
    text_of,
)
from diptych.rules.sources import Libraries, module_of, source_of_function, sources_of_class

_MADE_BY_CODE = 1 << 9
"""The flag Py_TPFLAGS_HEAPTYPE; the others are built into the interpreter and never change."""


Kinds = Mapping[type, Callable[[Any], object]]
"""For the values of a type, what stands for them in a fingerprint."""


def fingerprint(*parts: object, kinds: Kinds = MappingProxyType({})) -> str:
    """16 hexadecimal digits that change when a part changes, or anything that it uses.

    Parts are functions, classes and values. The result is the same in every process, on every
    machine and version of Python. Formatting, comments, docstrings, annotations of functions and
    the module of a definition do not count; the name of a local variable does. Values of the types
    in `kinds`, wherever they are used, count for what stands for them.

    Raises:
        ConfigurationError: something cannot be followed: a lambda, a definition without source,
            a name that nothing defines, an object that cannot be pickled.
    """
    walk = _Walk(parts, kinds)
    given = [walk.describe(part) for part in parts]
    return _digest("\n".join([*given, *sorted(walk.definitions())]))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class _Walk:
    """Describes what it is given, and queues the functions and classes that it comes across."""

    def __init__(self, parts: Iterable[object], kinds: Kinds) -> None:
        self._kinds = kinds
        self._libraries = Libraries(parts)
        self._queue: list[tuple[str, Callable[[], list[str]]]] = []
        self._queued: set[object] = set()
        self._open: list[int] = []

    def definitions(self) -> Iterator[str]:
        while self._queue:
            name, uses = self._queue.pop()
            yield f"{name} uses {sorted(set(uses()))}"

    def describe(self, value: object) -> str:
        """Text that is equal for equal things; it ends where a thing contains itself."""
        if id(value) in self._open:
            return "itself"
        self._open.append(id(value))
        try:
            return self._describe(value)
        finally:
            self._open.pop()

    def _describe(self, value: object) -> str:
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, ModuleType):
            return self._module(value)
        stands_for = self._kinds.get(type(value))
        return described(stands_for(value) if stands_for else value, self.describe)

    def _module(self, module: ModuleType) -> str:
        if not self._libraries.has(module.__name__):
            refuse(f"the module {module.__name__}, used as a value,")
        return f"module {public_name(module.__name__, '')}"

    def _function(self, function: FunctionType) -> str:
        name, module = function.__code__.co_qualname, module_of(function)
        if self._libraries.has(module):
            return self._library_function(function)
        node = source_of_function(function)
        if node is None:
            refuse(f"{name} in {module}, a lambda or without the source that it runs from,")
        named = f"function {name} {_digest(text_of(node))}"
        key = id(function.__globals__), function.__code__  # equal code may lie in two modules
        self._enqueue(key, named, lambda: self._global_uses(function, node))
        return f"{named} with {[*self._closure_uses(function, node), *self._defaults(function)]}"

    def _library_function(self, function: FunctionType) -> str:
        name = public_name(module_of(function), function.__code__.co_qualname)
        if self._libraries.name(function):
            return name
        if isinstance(getattr(function, "registry", None), MappingProxyType):
            return f"{name} {registered(function, self.describe)}"
        return f"{name} {[self.describe(_content(cell)) for cell in function.__closure__ or ()]}"

    def _class(self, python: type[Any]) -> str:
        if not python.__flags__ & _MADE_BY_CODE or self._libraries.name(python):
            return public_name(python.__module__, python.__qualname__)
        nodes = sources_of_class(python)
        if not nodes:
            refuse(f"the class {python.__qualname__} in {python.__module__}, without source,")
        named = f"class {python.__qualname__} {_digest(text_of(nodes))}"
        self._enqueue(python, named, lambda: self._class_uses(python, nodes))
        return named

    def _enqueue(self, key: object, name: str, uses: Callable[[], list[str]]) -> None:
        if key not in self._queued:
            self._queued.add(key)
            self._queue.append((name, uses))

    # What a definition uses

    def _global_uses(self, function: FunctionType, node: Definition) -> list[str]:
        _refuse_imports(node, self._libraries)
        names = _global_names(function.__code__)
        read = {chain for chain in chains(node) if chain[0] in names}
        return self._uses(read, function.__globals__, bound_names(node))

    def _closure_uses(self, function: FunctionType, node: Definition) -> list[str]:
        names = function.__code__.co_freevars
        scope = dict(zip(names, map(_content, function.__closure__ or ()), strict=True))
        read = {chain for chain in chains(node) if chain[0] in scope}
        read |= {("__class__",)} & {(name,) for name in scope}  # of `super()`
        return self._uses(read, scope, set())

    def _defaults(self, function: FunctionType) -> list[str]:
        named = (function.__kwdefaults__ or {}).items()
        return [self.describe(each) for each in (*(function.__defaults__ or ()), *named)]

    def _class_uses(self, python: type[Any], nodes: Iterable[Definition]) -> list[str]:
        scope = vars(sys.modules[python.__module__])
        uses = [self.describe(base) for base in python.__bases__]
        for node in nodes:
            if isinstance(node, ast.ClassDef):
                known = bound_names(node) | base_names(node)
                uses += self._uses(class_chains(node), scope, known)
            members = [each.name for each in node.body if isinstance(each, Definition)]
            uses += [self.describe(vars(python).get(name)) for name in members]
        return uses

    def _uses(self, read: set[Chain], scope: Mapping[str, Any], bound: set[str]) -> list[str]:
        found: list[str] = []
        for chain in read:
            if chain[0] in scope:
                name, value = self._follow(chain, scope[chain[0]])
                found.append(f"{name}={self.describe(value)}")
            elif chain[0] not in bound and not hasattr(builtins, chain[0]):
                refuse(f"the name {chain[0]}, which its module does not define,")
        return sorted(set(found))

    def _follow(self, chain: Chain, value: Any) -> tuple[str, Any]:
        """Through our own modules, to what they define."""
        for length, name in enumerate(chain[1:], start=1):
            if not isinstance(value, ModuleType) or self._libraries.has(value.__name__):
                return ".".join(chain[:length]), value
            if not hasattr(value, name):
                refuse(f"the name {'.'.join(chain)}, which its module does not define,")
            value = getattr(value, name)
        return ".".join(chain), value


def _content(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:
        refuse("a name of an outer function that has no value yet")


def _global_names(code: CodeType) -> set[str]:
    """All names that are looked up in the module or as an attribute, by inner functions too."""
    inner = (each for each in code.co_consts if isinstance(each, CodeType))
    return set(code.co_names).union(*map(_global_names, inner))


def _refuse_imports(node: Definition, libraries: Libraries) -> None:
    for each in ast.walk(node):
        if isinstance(each, ast.Import):
            names = [alias.name for alias in each.names]
        elif isinstance(each, ast.ImportFrom):
            names = [each.module or ""] if not each.level else [""]
        else:
            continue
        if not all(name and libraries.has(name) for name in names):
            refuse(f"an import inside {node.name}")
