"""What a row type is made of: its fields in order, and how a row is built from their values."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, Protocol, TypeVar, cast, get_type_hints

import msgspec

from diptych.errors import ConfigurationError

Row = TypeVar("Row")

_MAX_NAME_BYTES = 63
"""PostgreSQL cuts off the rest of a longer name."""


class _FieldInfo(Protocol):
    annotation: Any
    metadata: list[Any]
    alias: str | None


class _Model(Protocol):
    """What is used of a pydantic model; pydantic itself is an extra and is not imported."""

    model_fields: Mapping[str, _FieldInfo]
    model_config: Mapping[str, object]

    @classmethod
    def model_construct(cls, **values: object) -> Any: ...


def row_fields(row_type: type[object]) -> dict[str, Any]:
    """The type hint of each field, in the order of the constructor.

    Raises:
        ConfigurationError: it is no type that can be a row, a hint cannot be resolved, or a name
            cannot be a column on both databases.
    """
    named = row_type.__name__ if isinstance(row_type, type) else repr(row_type)
    try:
        found = _hints(row_type)
    except NameError as error:
        raise ConfigurationError(
            f"row {named}: the name {error.name!r} of a type hint cannot be found; define it in"
            " the module, not in a function or under TYPE_CHECKING"
        ) from error
    _check_names(named, found)
    return found


def _hints(row_type: type[object]) -> dict[str, Any]:
    if _is_model(row_type):
        return {name: _hint(info) for name, info in _model(row_type).model_fields.items()}
    if isinstance(row_type, type) and is_dataclass(row_type):
        names = [field.name for field in fields(row_type)]
    elif isinstance(row_type, type) and issubclass(row_type, msgspec.Struct):
        names = [field.name for field in msgspec.structs.fields(row_type)]
    else:
        raise ConfigurationError(
            f"row {row_type!r}: write a dataclass, a msgspec.Struct or a pydantic model"
        )
    hints = get_type_hints(row_type, include_extras=True)
    return {name: hints[name] for name in names}


def _hint(info: _FieldInfo) -> Any:
    if not info.metadata:
        return info.annotation
    return Annotated[(info.annotation, *info.metadata)]


def _check_names(row: str, names: Mapping[str, object]) -> None:
    if not names:
        raise ConfigurationError(f"row {row} has no fields")
    seen: dict[str, str] = {}
    for name in names:
        if name.startswith("_"):
            raise ConfigurationError(f"row {row}: names with _ in front are ours, rename {name!r}")
        if len(name.encode()) > _MAX_NAME_BYTES:
            raise ConfigurationError(f"row {row}: {name!r} is longer than {_MAX_NAME_BYTES} bytes")
        twin = seen.setdefault(name.lower(), name)
        if twin != name:
            raise ConfigurationError(f"row {row}: {twin!r} and {name!r} are one column in SQL")


def constructor(row_type: type[Row], names: Sequence[str]) -> Callable[[Sequence[object]], Row]:
    """What builds a row from the values of `names`, in that order; pydantic does not validate.

    Raises:
        ConfigurationError: the constructor does not take exactly these fields.
    """
    if _is_model(row_type):
        return _model_constructor(row_type, names)
    parameters = inspect.signature(row_type).parameters
    if set(parameters) != set(names):
        raise ConfigurationError(
            f"row {row_type.__name__}: the constructor must take exactly the fields: no InitVar,"
            " no init=False, no __init__ of its own"
        )
    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    if list(parameters) == list(names) and all(p.kind is positional for p in parameters.values()):
        return lambda values: row_type(*values)
    return lambda values: row_type(**dict(zip(names, values, strict=True)))


def _model_constructor(
    row_type: type[Row], names: Sequence[str]
) -> Callable[[Sequence[object]], Row]:
    model = _model(row_type)
    if model.model_config.get("extra") == "allow":
        raise ConfigurationError(f"row {row_type.__name__}: extra='allow' has no columns")
    aliases = {info.alias for name, info in model.model_fields.items() if info.alias != name}
    if aliases & set(names):
        raise ConfigurationError(f"row {row_type.__name__}: an alias is another field's name")
    construct = cast("Callable[..., Row]", model.model_construct)
    return lambda values: construct(**dict(zip(names, values, strict=True)))


def _is_model(row_type: object) -> bool:
    return isinstance(row_type, type) and hasattr(row_type, "__pydantic_core_schema__")


def _model(row_type: type[object]) -> _Model:
    return cast("_Model", row_type)
