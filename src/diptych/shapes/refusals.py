"""Turns what msgspec says of a wrong value into our error: its field, and the limit it breaks.

The value itself is never repeated: it may be a secret, or made to harm whoever reads the log.
"""

import re
from collections.abc import Iterable
from enum import Enum
from typing import Any, Final, Literal, get_args, get_origin

import msgspec

from diptych.errors import InvalidInput, LimitExceeded
from diptych.shapes.fields import is_union, unwrap
from diptych.shapes.mirror import DECIMAL_PATTERN
from diptych.shapes.models import NestedRefusal

_PLACE: Final = re.compile(r"(.*?)(?: - at (`key` in )?`\$([^`]*)`)?", re.DOTALL)
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_FIELD: Final = re.compile(r"Object (missing required|contains unknown) field `(.*)`", re.DOTALL)
_LENGTH: Final = re.compile(r"Expected `(\w+)` of length (>=|<=)? ?(\d+)")
_GOT: Final = re.compile(r"Expected `(.+)`, got `(.+)`")
_CHOICE: Final = re.compile(r"Invalid (enum )?value ")
_NAME: Final = re.compile(r"[\w$.-]{1,64}")
_DECIMAL: Final = 'must be a decimal number as a string, such as "12.50"'
_OWN_CHECK: Final = "is refused by the check of its own type"
_MANY: Final = 20

_NOUNS: Final = {
    "array": "a list",
    "bool": "true or false",
    "bytes": "base64 text",
    "date": "a date such as 2026-01-31",
    "datetime": "a date and time such as 2026-01-31T12:00:00Z",
    "decimal": "a decimal number",
    "float": "a number",
    "int": "an integer",
    "null": "null",
    "object": "an object",
    "str": "a string",
    "time": "a time of day such as 12:00:00",
    "timedelta": "a duration such as PT1.5S",
    "uuid": "a UUID",
}
_UNITS: Final = {"str": "characters", "array": "items", "object": "entries", "bytes": "bytes"}
_RULES: Final[tuple[tuple[str, str], ...]] = (
    (r"Expected `(?:int|float|decimal)` >= (\S+)", r"must be at least \1"),
    (r"Expected `(?:int|float|decimal)` <= (\S+)", r"must be at most \1"),
    (r"Expected `(?:int|float|decimal)` > (\S+)", r"must be more than \1"),
    (r"Expected `(?:int|float|decimal)` < (\S+)", r"must be less than \1"),
    (r"Expected `\w+` that's a multiple of (\S+)", r"must be a multiple of \1"),
    (r"Expected `str` matching regex .*", r"does not have the right form"),
    (r"Expected `datetime` with a timezone component", "must have a time zone, such as a final Z"),
    (r"Expected `time` with no timezone component", "must not have a time zone"),
    (r"Expected `str`", "must be a string"),
    (r"Invalid UUID", "must be a UUID"),
    (r"Invalid RFC3339 encoded (\w+)", r"must be {\1}"),
    (r"Invalid ISO8601 duration.*|Only units .*", "must be {timedelta}"),
    (r"Duration is out of range", "must be less than a billion days"),
    (r"Invalid base64 encoded string", "must be base64 text"),
    (r"Invalid decimal string", "must be a decimal number"),
    (r"(?:Number|Integer value) out of range", "is a number beyond the range that is accepted"),
    (r"Input data was truncated", "is not complete JSON"),
    (r"JSON is malformed: (.*) \(byte (\d+)\)", r"is not valid JSON at byte \2"),
)
_COMPILED: Final = tuple((re.compile(rule, re.DOTALL), problem) for rule, problem in _RULES)


def refusal(error: Exception, mirror: Any, *, root: str) -> InvalidInput:
    """What `error`, raised while `mirror` was filled in, means to the caller.

    `root` is the field that is named when the whole value is wrong.
    """
    if not isinstance(error, msgspec.MsgspecError):
        return InvalidInput(root, _general(error))
    what, in_key, place = _split(str(error))
    steps = [name or index for name, index in _STEP.findall(place)]
    if isinstance(error.__cause__, NestedRefusal):
        inner = error.__cause__.refused
        return InvalidInput(".".join(filter(None, [*steps, inner.field])) or root, inner.problem)
    if found := _FIELD.fullmatch(what):
        return _field(found, steps, root)
    field = ".".join("*" if step == "..." else step for step in steps) or root
    if in_key:
        return InvalidInput(field, "has a key that " + _problem(what, []))
    if (found := _LENGTH.fullmatch(what)) and found[2] == "<=":
        return LimitExceeded(field, limit=int(found[3]), unit=_UNITS.get(found[1], "items"))
    return InvalidInput(field, _problem(what, list(_types_at(mirror, steps))))


def _general(error: Exception) -> str:
    if isinstance(error, UnicodeError):
        return "must be valid Unicode"
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    return _OWN_CHECK


def _split(message: str) -> tuple[str, bool, str]:
    found = _PLACE.fullmatch(message)
    return (found[1], bool(found[2]), found[3] or "") if found else (message, False, "")


def _field(found: re.Match[str], steps: list[str], root: str) -> InvalidInput:
    if not _NAME.fullmatch(found[2]):
        return InvalidInput(".".join(steps) or root, "has a field that is not known")
    field = ".".join([*steps, found[2]])
    missing = found[1] == "missing required"
    return InvalidInput(field, "is required" if missing else "is not a known field")


def _problem(what: str, types: list[Any]) -> str:
    if any(DECIMAL_PATTERN in map(_pattern, unwrap(tp)[1]) for tp in types):
        return _DECIMAL
    if _CHOICE.match(what):
        return _choice(types)
    if found := _LENGTH.fullmatch(what):
        bound = "at least " if found[2] else "exactly "
        return f"must have {bound}{found[3]} {_UNITS.get(found[1], 'items')}"
    if found := _GOT.fullmatch(what):
        return f"must be {_noun(found[1])}, not {_noun(found[2])}"
    for rule, problem in _COMPILED:
        if found := rule.fullmatch(what):
            return found.expand(problem).format_map(_NOUNS)
    return _OWN_CHECK


def _noun(names: str) -> str:
    return " or ".join(_NOUNS.get(name, f"a {name}") for name in names.split(" | "))


def _choice(types: Iterable[Any]) -> str:
    values = [value for tp in types for value in _values(unwrap(tp)[0])]
    if not values or len(values) > _MANY:
        return "is not one of the values that are accepted"
    return "must be one of " + ", ".join(map(str, values))


def _values(tp: Any) -> Iterable[Any]:
    if isinstance(tp, type) and issubclass(tp, Enum):
        return [member.value for member in tp]
    return get_args(tp) if get_origin(tp) is Literal else ()


def _pattern(meta: msgspec.Meta) -> str | None:
    return meta.pattern


def _types_at(mirror: Any, steps: list[str]) -> Iterable[Any]:
    """What the mirror has at the end of a path: several types where there are unions."""
    types = list(_members(mirror))
    for step in steps:
        types = [
            member for tp in types for inner in _inside(tp, step) for member in _members(inner)
        ]
    return types


def _members(tp: Any) -> Iterable[Any]:
    base = unwrap(tp)[0]
    return get_args(base) if is_union(base) else (tp,)


def _inside(tp: Any, step: str) -> Iterable[Any]:
    base = unwrap(tp)[0]
    if isinstance(base, type) and issubclass(base, msgspec.Struct):
        if step == base.__struct_config__.tag_field:
            return (Literal[base.__struct_config__.tag],)
        return [field.type for field in msgspec.structs.fields(base) if field.encode_name == step]
    args = [arg for arg in get_args(base) if arg is not ...]
    if get_origin(base) is tuple and len(args) > 1:
        return args[int(step) : int(step) + 1] if step.isdigit() else ()
    return args[-1:]
