"""Reading the type of a query's answer from its class, and comparing it with a handler's hint."""

from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin


def answer_hint(query: type, base: type) -> Any:
    """What fills the parameter of `base[...]` among the bases of a class; None if nothing does."""
    return _filled(query, base, ())


def _filled(cls: type, base: type, arguments: tuple[Any, ...]) -> Any:
    """Follows generic classes in between: `class Get(Generic[T], Query[T | None])`."""
    known = dict(zip(getattr(cls, "__parameters__", ()), arguments, strict=False))
    for generic in getattr(cls, "__orig_bases__", ()):
        origin = get_origin(generic)
        if origin is None or not isinstance(origin, type) or not issubclass(origin, base):
            continue
        filled = tuple(_substitute(hint, known) for hint in get_args(generic))
        return filled[0] if origin is base else _filled(origin, base, filled)
    for parent in cls.__bases__:
        if issubclass(parent, base) and parent is not base:
            return _filled(parent, base, ())
    return None


def _substitute(hint: Any, known: dict[Any, Any]) -> Any:
    if isinstance(hint, TypeVar):
        return known.get(hint, hint)
    parameters = getattr(hint, "__parameters__", ())
    return hint[tuple(known.get(each, each) for each in parameters)] if parameters else hint


def fits(found: Any, wanted: Any) -> bool:
    """Whether a value hinted as `found` may stand for `wanted`.

    Refuses only what is plainly wrong: type checkers know the finer rules.
    """
    if Any in (found, wanted) or found == wanted:
        return True
    if _is_union(found):
        return all(fits(each, wanted) for each in get_args(found))
    if _is_union(wanted):
        return any(fits(found, each) for each in get_args(wanted))
    return _fits_class(found, wanted)


def _fits_class(found: Any, wanted: Any) -> bool:
    outer, required = get_origin(found) or found, get_origin(wanted) or wanted
    if not (isinstance(outer, type) and isinstance(required, type) and issubclass(outer, required)):
        return False
    inner, needed = get_args(found), get_args(wanted)
    if len(inner) != len(needed):
        return not inner or not needed
    return all(fits(each, other) for each, other in zip(inner, needed, strict=True))


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (Union, UnionType)


def shown(hint: Any) -> str:
    """A hint as a message shows it."""
    return hint.__qualname__ if isinstance(hint, type) and not get_args(hint) else str(hint)
