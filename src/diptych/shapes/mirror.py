"""Mirrors: Structs made from the classes of an application, to check and write their values.

Theory of operation. msgspec is fast because it compiles a type once, but on a dataclass it is too
kind: it writes a field whatever is in it, writes NaN as null, drops the seconds of a time zone,
passes over unknown fields, and cannot tell the members of a union of dataclasses apart. So each
record (dataclass or Struct) gets a mirror: a Struct with the same fields, on which all of this is
said in msgspec's own terms. A value is first converted to its mirror, which checks every field and
names the one that is wrong, and the mirror is written. Both are done by msgspec's compiled code.

Two kinds: the `stored` mirror takes what Python holds; the `edge` mirror takes JSON from outside:
no unknown fields, decimals as strings. Where a union has several records, its members carry
`$type`, the name of their class, wherever they stand in that type: they are the `choices`. Then
msgspec cannot make the user's objects itself, and `lower` and `lift` walk between the two.
"""

import re
import sys
from collections.abc import Mapping
from dataclasses import MISSING
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, NamedTuple, Union, get_args, get_origin
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from diptych.errors import ConfigurationError
from diptych.shapes.fields import (
    CONTAINERS,
    Field,
    advice,
    check_key,
    documentation,
    fields_of,
    is_leaf,
    is_model,
    is_record,
    is_union,
    name_of,
    unwrap,
)
from diptych.shapes.times import Timed, timed_fields

TAG_FIELD: Final = "$type"
"""No Python attribute can have this name, so no field is ever in its way."""
DECIMAL_DIGITS: Final = 30
DECIMAL_PATTERN: Final = r"^-?[0-9]+(\.[0-9]+)?(?!\n)$"
_DECIMAL: Final = Annotated[
    str,
    Meta(
        pattern=DECIMAL_PATTERN, max_length=DECIMAL_DIGITS, extra_json_schema={"format": "decimal"}
    ),
]
NATIVE: Final = (bytes, bytearray, datetime, date, time, timedelta, UUID, Decimal)
"""What msgspec must take as it is, and must not make from a string."""
_LOWEST: Final[Mapping[type, float]] = {int: -(2**63), float: -sys.float_info.max}
_HIGHEST: Final[Mapping[type, float]] = {int: 2**63 - 1, float: sys.float_info.max}


class _AnyRecord(Struct):
    """Stands for a record where msgspec is asked whether a type makes sense."""


class Tag(NamedTuple):
    field: str
    value: str | int


def mirrors_of(root: Any, *, edge: bool) -> "Mirrors":
    """Raises: ConfigurationError names a field whose type cannot be stored, and says what to write.

    Made twice if there are choices: only the first time tells which they are.
    """
    first = Mirrors(root, edge=edge, choices={})
    return Mirrors(root, edge=edge, choices=first.found) if first.found else first


class Mirrors:
    """The mirrors of one root type; `root` is the mirror of that itself.

    `choices` are the records to be told apart, with field and value of their tags; `found` is
    what they are found to be. `unordered` tells that there are sets or dicts somewhere, `models`
    that there are pydantic models.
    """

    def __init__(self, root: Any, *, edge: bool, choices: Mapping[type, Tag]) -> None:
        self.choices = choices
        self.found: dict[type, Tag] = {}
        self.unordered = self.models = False
        self._edge = edge
        self._made: dict[Any, type[Struct]] = {}
        self._fields: dict[type, dict[str, str]] = {}
        self._classes: dict[type[Struct], type] = {}
        self.root: Any = self._mirror(root, name_of(root))
        self.timed: Timed = timed_fields(self._classes)

    def lower(self, value: Any) -> Any:
        """From the user's object to what its mirror can be converted from."""
        fields = self._fields.get(type(value))
        if fields is not None:
            tree = {key: self.lower(getattr(value, name)) for name, key in fields.items()}
            tag = self.choices.get(type(value))
            return {tag.field: tag.value} | tree if tag else tree
        if isinstance(value, list | tuple | set | frozenset):
            return [self.lower(item) for item in value]
        if isinstance(value, dict):
            return {key: self.lower(item) for key, item in value.items()}
        return value

    def lift(self, value: Any) -> Any:
        """From a mirror to the user's object."""
        cls = self._classes.get(type(value))
        if cls is not None:
            return cls(**{name: self.lift(getattr(value, name)) for name in self._fields[cls]})
        if isinstance(value, list | tuple | set | frozenset):
            return type(value)([self.lift(item) for item in value])
        if isinstance(value, dict):
            return {key: self.lift(item) for key, item in value.items()}
        return value

    def _mirror(self, tp: Any, at: str) -> Any:
        base, metas = unwrap(tp)
        made = self._bare(base, at)
        _ask_msgspec(_annotated(_stand_in(base), metas), at)
        return _annotated(made, metas + self._limits(base, metas))

    def _bare(self, base: Any, at: str) -> Any:
        origin = get_origin(base) or base
        if is_record(base):
            return self._record(base, at)
        if is_union(base):
            return self._union(base, at)
        if get_args(base) and origin in CONTAINERS:
            return self._container(base, origin, at)
        if base is Decimal and self._edge:
            return _DECIMAL
        if is_model(base):
            self.models = True
            return base
        if base is None or origin is Literal or is_leaf(base):
            return base
        raise ConfigurationError(
            f"{at}: {name_of(base)} cannot be stored exactly; {advice(origin)}"
        )

    def _container(self, base: Any, origin: Any, at: str) -> Any:
        check_key(base, at)
        self.unordered |= origin not in {list, tuple}
        inner = (arg if arg is ... else self._mirror(arg, at) for arg in get_args(base))
        return origin[tuple(inner)]

    def _union(self, base: Any, at: str) -> Any:
        members = [unwrap(member)[0] for member in get_args(base)]
        records = [get_origin(member) or member for member in members if is_record(member)]
        if len(records) > 1:
            self.found.update(_tags(records, at))
        return Union[tuple(self._mirror(member, at) for member in get_args(base))]  # noqa: UP007

    def _record(self, tp: Any, at: str) -> type[Struct]:
        if tp in self._made:
            return self._made[tp]
        cls: type = get_origin(tp) or tp
        fields, tag = fields_of(tp, at), self.choices.get(cls)
        mirror = msgspec.defstruct(
            re.sub(r"\W+", "_", name_of(tp)),
            [self._definition(field) for field in fields],
            module=cls.__module__,
            namespace={"__doc__": documentation(cls)},
            rename={field.name: field.key for field in fields},
            frozen=True,
            kw_only=True,
            gc=False,
            forbid_unknown_fields=self._edge,
            tag=tag and tag.value,
            tag_field=tag and tag.field,
        )
        self._made[tp], self._classes[mirror] = mirror, cls
        self._fields[cls] = {field.name: field.key for field in fields}
        # Types go in last, so that a record may hold records of its own kind; msgspec looks at
        # them when the mirror is first used.
        mirror.__annotations__ = {
            field.name: self._mirror(field.type, f"{at}.{field.key}") for field in fields
        }
        return mirror

    def _definition(self, field: Field) -> tuple[str, Any] | tuple[str, Any, Any]:
        if field.required:
            return field.name, Any
        if self.choices and self._edge:  # it will be written as it is: with `$type`
            return field.name, Any, msgspec.field(default_factory=lambda: self.lower(field.fill()))
        if field.factory is not MISSING:
            return field.name, Any, msgspec.field(default_factory=field.factory)
        return field.name, Any, field.default

    def _limits(self, base: Any, metas: tuple[Meta, ...]) -> tuple[Meta, ...]:
        """What the user's own limits leave open; msgspec refuses a limit that is set twice."""
        if base is datetime or base is time:
            return (Meta(tz=base is datetime),)
        if base not in _LOWEST or (base is float and self._edge):
            return ()
        low = any(meta.ge is not None or meta.gt is not None for meta in metas)
        high = any(meta.le is not None or meta.lt is not None for meta in metas)
        lowest, highest = Meta(ge=_LOWEST[base]), Meta(le=_HIGHEST[base])
        return (() if low else (lowest,)) + (() if high else (highest,))


def _annotated(tp: Any, metas: tuple[Meta, ...]) -> Any:
    return Annotated[(tp, *metas)] if metas else tp


def _tags(records: list[type], at: str) -> dict[type, Tag]:
    """The tags that Structs were given by their author, if all have one; else names of classes."""
    configs = [getattr(record, "__struct_config__", None) for record in records]
    if all(config and config.tag for config in configs):
        return {
            record: Tag(config.tag_field, config.tag)
            for record, config in zip(records, configs, strict=True)
            if config
        }
    if len({record.__name__ for record in records}) < len(records):
        raise ConfigurationError(
            f"{at}: two classes of this union have the same name; give each its own name"
        )
    return {record: Tag(TAG_FIELD, record.__name__) for record in records}


def _stand_in(base: Any) -> Any:
    """The same kind of type without what is inside: mirrors may be unfinished here."""
    if is_union(base):
        parts = {_stand_in(unwrap(member)[0]) for member in get_args(base)}
        return Union[tuple(parts)]  # noqa: UP007
    origin = get_origin(base) or base
    return _AnyRecord if is_record(base) else origin if origin in CONTAINERS else base


def _ask_msgspec(tp: Any, at: str) -> None:
    try:
        msgspec.json.Decoder(tp)
    except TypeError as error:
        reason = str(error).partition(" - type ")[0].partition(", type ")[0]
        raise ConfigurationError(f"{at}: {reason}") from None
