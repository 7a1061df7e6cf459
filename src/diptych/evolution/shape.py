"""The shape of an event type: what its stored JSON looks like, a line for each field."""

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Final, Literal, get_args, get_origin

from msgspec import Meta

from diptych.shapes.fields import Field, fields_of, is_model, is_record, is_union, name_of, unwrap

Shape = Mapping[str, str]
"""From the path of each field, `items[].unit_price`, to what it holds, `decimal`.

`a | b` is either of them; what may be left out, because it has a default, ends with `OPTIONAL`.
"""

OPTIONAL: Final = ", optional"
OBJECT: Final = "object"
AGAIN: Final = "object as at "
"""Within itself: what follows is the path of the one that it is like, or `WHOLE`."""
WHOLE: Final = "the top"

_TEXT: Final = {
    "str": "text", "bool": "boolean", "int": "integer", "float": "number", "bytes": "bytes",
    "UUID": "uuid", "Decimal": "decimal", "datetime": "datetime", "date": "date", "time": "time",
    "timedelta": "duration",
}  # fmt: skip
_LISTS: Final = (list, set, frozenset)


def shape_of(tp: type[Any]) -> Shape:
    """The shape of an event type that `Events` accepts."""
    if is_model(tp):
        schema = tp.model_json_schema()
        return dict(_model_fields("", schema, schema.get("$defs", {})))
    return dict(_fields(tp, "", within={}))


def _fields(tp: Any, at: str, *, within: Mapping[Any, str]) -> Iterator[tuple[str, str]]:
    inside = {**within, tp: at.removesuffix(".") or WHOLE}
    for field in fields_of(tp, name_of(tp)):
        yield from _field(field, f"{at}{field.key}", within=inside)


def _field(field: Field, path: str, *, within: Mapping[Any, str]) -> Iterator[tuple[str, str]]:
    yield path, _placed(field.type, within) + ("" if field.required else OPTIONAL)
    yield from _inner(field.type, path, within=within)


def _inner(tp: Any, path: str, *, within: Mapping[Any, str]) -> Iterator[tuple[str, str]]:
    """The fields of the records that are in a value."""
    base, _ = unwrap(tp)
    if is_union(base):
        several = sum(is_record(unwrap(each)[0]) for each in get_args(base)) > 1
        for each in get_args(base):
            name = f"<{name_of(unwrap(each)[0])}>" if several else ""
            yield from _inner(each, f"{path}{name}", within=within)
    elif is_model(base):
        schema = base.model_json_schema()
        yield from _model_fields(f"{path}.", schema, schema.get("$defs", {}))
    elif is_record(base):
        if base not in within:
            yield from _fields(base, f"{path}.", within=within)
    else:
        for element, each in _elements(base):
            yield f"{path}{element}", _placed(each, within)
            yield from _inner(each, f"{path}{element}", within=within)


def _elements(base: Any) -> list[tuple[str, Any]]:
    """What a container holds, and how the path goes on to there."""
    origin, arguments = get_origin(base), get_args(base)
    if _is_list(origin, arguments):
        return [("[]", arguments[0])]
    if origin is tuple:
        return [(f"[{place}]", each) for place, each in enumerate(arguments)]
    return [("{}", arguments[1])] if origin is dict else []


def _is_list(origin: Any, arguments: tuple[Any, ...]) -> bool:
    return origin in _LISTS or (origin is tuple and arguments[1:] == (Ellipsis,))


def _placed(tp: Any, within: Mapping[Any, str]) -> str:
    """With where it is described, if it stands inside itself."""
    base, _ = unwrap(tp)
    for each in get_args(base) if is_union(base) else (base,):
        if (outer := unwrap(each)[0]) in within:
            parts = [AGAIN + within[outer] if part == OBJECT else part
                     for part in _named(tp).split(" | ")]  # fmt: skip
            return _either(set(parts))
    return _named(tp)


def _named(tp: Any) -> str:
    base, metas = unwrap(tp)
    return "".join([_base(base), *map(_limits, metas)])


def _base(base: Any) -> str:
    if base is None:
        return "null"
    if is_model(base) or is_record(base):
        return OBJECT
    if is_union(base):
        return _either({_named(each) for each in get_args(base)})
    if choices := _choices(base):
        return _either(set(map(repr, choices)))
    return _container(base) or _TEXT.get(getattr(base, "__name__", ""), name_of(base))


def _choices(base: Any) -> list[Any]:
    if isinstance(base, type) and issubclass(base, Enum):
        return [each.value for each in base]
    return list(get_args(base)) if get_origin(base) is Literal else []


def _container(base: Any) -> str:
    origin, arguments = get_origin(base), get_args(base)
    if _is_list(origin, arguments):
        return "list"
    if origin is tuple:
        return f"list of {len(arguments)}"
    return f"map from {_named(arguments[0])}" if origin is dict else ""


def _either(alternatives: set[str]) -> str:
    return " | ".join(sorted({part for each in alternatives for part in each.split(" | ")}))


def _limits(meta: Meta) -> str:
    names = ("gt", "ge", "lt", "le", "multiple_of", "pattern", "min_length", "max_length")
    given = ((name, getattr(meta, name)) for name in names)
    shown = [f"{name}={value!r}" for name, value in given if value is not None]
    return f" {{{', '.join(shown)}}}" if shown else ""


# Pydantic models describe themselves as JSON schemas

_KINDS: Final = {"string": "text", "array": "list", "object": "map from text"}
_PLAIN: Final = frozenset(
    {"title", "description", "default", "examples", "type", "format"}
    | {"items", "prefixItems", "additionalProperties", "propertyNames", "enum", "const"}
)


def _model_fields(
    at: str, schema: dict[str, Any], models: dict[str, Any], *, within: tuple[str, ...] = ()
) -> Iterator[tuple[str, str]]:
    required = schema.get("required", ())
    for key, field in schema.get("properties", {}).items():
        path = f"{at}{key}"
        yield path, _described(field, models) + ("" if key in required else OPTIONAL)
        yield from _within_model(field, path, models, within=within)


def _within_model(
    field: dict[str, Any], path: str, models: dict[str, Any], *, within: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    name = field.get("$ref", "").rpartition("/")[2]
    if name and name not in within:
        yield from _model_fields(f"{path}.", models.get(name, {}), models, within=(*within, name))
    for each in (*field.get("anyOf", ()), *field.get("oneOf", ())):
        yield from _within_model(each, path, models, within=within)
    for element, each in _model_elements(field):
        yield f"{path}{element}", _described(each, models)
        yield from _within_model(each, f"{path}{element}", models, within=within)


def _model_elements(field: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    found = [(f"[{place}]", each) for place, each in enumerate(field.get("prefixItems", ()))]
    inner = (("[]", field.get("items")), ("{}", field.get("additionalProperties")))
    return [*found, *((element, each) for element, each in inner if isinstance(each, dict))]


def _described(field: dict[str, Any], models: dict[str, Any]) -> str:
    if "$ref" in field:
        named = models.get(field["$ref"].rpartition("/")[2], {})
        return _described(named, models) if "enum" in named else OBJECT
    choices = (*field.get("anyOf", ()), *field.get("oneOf", ()))
    if choices:
        return _either({_described(each, models) for each in choices})
    if "enum" in field or "const" in field:
        return _either({repr(each) for each in field.get("enum", [field.get("const")])})
    plain = str(field.get("type", "anything"))
    kind = str(field.get("format") or _KINDS.get(plain, plain))
    limits = sorted(field.keys() - _PLAIN)
    shown = ", ".join(f"{name}={field[name]!r}" for name in limits)
    return f"{kind} {{{shown}}}" if shown else kind
