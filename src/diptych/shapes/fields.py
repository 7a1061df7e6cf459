"""Looks at the types of an application: which classes are records, and what fields they have."""

import dataclasses
import re
import types
from collections.abc import Iterable
from dataclasses import MISSING, dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, Flag
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    Protocol,
    Self,
    TypeGuard,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    runtime_checkable,
)
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from diptych.errors import ConfigurationError
from diptych.shapes.shown import Shown

CONTAINERS: Final = frozenset({list, tuple, set, frozenset, dict})
_LEAVES: Final = frozenset(
    {str, bool, int, float, bytes, UUID, Decimal, datetime, date, time, timedelta, types.NoneType}
)
_KEYS: Final = frozenset({str, int, UUID, date})


@runtime_checkable
class Model(Protocol):
    """The part of a pydantic model that Diptych uses; pydantic itself is never imported."""

    @classmethod
    def model_validate_json(cls, json_data: bytes, **options: Any) -> Self: ...
    @classmethod
    def model_json_schema(cls, **options: Any) -> dict[str, Any]: ...
    def model_dump(self, **options: Any) -> dict[str, Any]: ...
    def model_dump_json(self, **options: Any) -> str: ...


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a record: its attribute, its key in JSON, its type, and how it is filled in."""

    name: str
    key: str
    type: Any
    default: Any = MISSING
    factory: Any = MISSING

    @property
    def required(self) -> bool:
        return self.default is MISSING and self.factory is MISSING

    def fill(self) -> Any:
        return self.default if self.factory is MISSING else self.factory()


def is_model(tp: Any) -> TypeGuard[type[Model]]:
    return isinstance(tp, type) and hasattr(tp, "model_validate_json") and hasattr(tp, "model_dump")


def is_record(tp: Any) -> bool:
    """Whether it is a dataclass or a msgspec Struct, with or without type arguments."""
    cls = get_origin(tp) or tp
    if not isinstance(cls, type) or cls is Struct:
        return False
    return dataclasses.is_dataclass(cls) or issubclass(cls, Struct)


def is_union(tp: Any) -> bool:
    return get_origin(tp) in (Union, types.UnionType)


def unwrap(tp: Any) -> tuple[Any, tuple[Meta, ...]]:
    """The type under `Annotated`, `NewType`, `Final` and type aliases, and what is said of it.

    Other metadata is for others and is passed over.
    """
    metas: tuple[Meta, ...] = ()
    while True:
        if get_origin(tp) is Annotated:
            tp, *extra = get_args(tp)
            shown = (each.meta if isinstance(each, Shown) else each for each in extra)
            metas += tuple(each for each in shown if isinstance(each, Meta))
        elif get_origin(tp) is Final:
            (tp,) = get_args(tp)
        elif type(tp).__name__ == "TypeAliasType":  # `type X = ...`, which 3.11 does not have
            tp = tp.__value__
        elif hasattr(tp, "__supertype__"):
            tp = tp.__supertype__
        else:
            return (None if tp is types.NoneType else tp), metas


def fields_of(tp: Any, at: str) -> list[Field]:
    """Raises: ConfigurationError for what cannot be stored or made again from its fields."""
    cls: Any = get_origin(tp) or tp
    if issubclass(cls, Struct):
        return _struct_fields(tp, cls, at)
    try:
        hints = get_type_hints(cls, include_extras=True)
    except NameError as error:
        raise ConfigurationError(
            f"{at}: {error}; write the types of its fields so that they can be found in its module"
        ) from None
    arguments = dict(zip(getattr(cls, "__parameters__", ()), get_args(tp), strict=False))
    found: list[Field] = []
    for field in dataclasses.fields(cls):
        if not field.init:
            raise ConfigurationError(
                f"{at}.{field.name}: a field with init=False cannot be read back; write a property"
            )
        kind = _substitute(hints[field.name], arguments)
        found.append(Field(field.name, field.name, kind, field.default, field.default_factory))
    return found


def attributes_of(value: object) -> Iterable[tuple[str, object]]:
    """The fields of a pydantic model or a dataclass, for those who look into values."""
    if isinstance(value, Model):
        return vars(value).items()
    if dataclasses.is_dataclass(value):
        return [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    return ()


def _struct_fields(tp: Any, cls: type[Struct], at: str) -> list[Field]:
    if cls.__struct_config__.array_like:
        raise ConfigurationError(f"{at}: stored events are JSON objects; leave out array_like=True")
    return [
        Field(
            field.name,
            field.encode_name,
            field.type,
            MISSING if field.default is msgspec.NODEFAULT else field.default,
            MISSING if field.default_factory is msgspec.NODEFAULT else field.default_factory,
        )
        for field in msgspec.structs.fields(tp)
    ]


def _substitute(tp: Any, arguments: dict[Any, Any]) -> Any:
    if isinstance(tp, TypeVar):
        return arguments.get(tp, tp)
    parameters = getattr(tp, "__parameters__", ())
    if not parameters or isinstance(tp, type):
        return tp
    return tp[tuple(arguments.get(parameter, parameter) for parameter in parameters)]


def name_of(tp: Any) -> str:
    """A type as it is written, without modules."""
    plain = isinstance(tp, type) and not get_args(tp)
    return tp.__name__ if plain else re.sub(r"[\w.]+\.", "", str(tp))


def advice(origin: Any) -> str:
    """What to write instead of a type that cannot be stored."""
    if origin in CONTAINERS:
        return "write what it holds, for example tuple[str, ...]"
    name = getattr(origin, "__name__", "")
    if any(part in name for part in ("Sequence", "Iterable", "Collection", "Set")):
        return "write tuple[X, ...], list[X] or frozenset[X]"
    if "Mapping" in name or "Dict" in name:
        return "write dict[str, X], or a dataclass"
    return "write one exact type: a plain value, an Enum, a dataclass, a Struct or a pydantic model"


def is_leaf(base: Any) -> bool:
    return base in _LEAVES or _is_enum(base)


def _is_enum(base: Any) -> bool:
    return isinstance(base, type) and issubclass(base, Enum) and not issubclass(base, Flag)


def check_key(base: Any, at: str) -> None:
    if get_origin(base) is not dict:
        return
    key = unwrap(get_args(base)[0])[0]
    if not (key in _KEYS or get_origin(key) is Literal or _is_enum(key)):
        raise ConfigurationError(
            f"{at}: {name_of(key)} cannot be the key of a JSON object; write str, int, UUID, date"
            " or an Enum, or a tuple of records"
        )


def documentation(cls: type) -> str | None:
    made_by_dataclass = (cls.__doc__ or "").startswith(f"{cls.__name__}(")
    return None if made_by_dataclass else cls.__doc__
