"""pydantic models as messages: their own JSON, held to the same rules.

pydantic is never imported: a model that comes in brings its methods along.
"""

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import msgspec

from diptych.errors import InvalidInput
from diptych.shapes.exact import exact
from diptych.shapes.fields import Model

M = TypeVar("M", bound=Model)

Schema = dict[str, Any]
"""JSON Schema, as OpenAPI 3.1 takes it."""

STRICT: Final[dict[str, Any]] = {"strict": True, "extra": "forbid"}


class NestedRefusal(ValueError):
    """A model inside another value is wrong; msgspec adds where that is."""

    def __init__(self, refused: InvalidInput) -> None:
        super().__init__("a model refused it")
        self.refused = refused


class ModelCodec(Generic[M]):
    """Encodes only what decodes to an equal model, so that what was written can be read."""

    def __init__(self, model: type[M]) -> None:
        self._model = model

    def encode(self, value: M) -> bytes:
        data = model_json(value)
        if self.decode(data) != value:
            raise InvalidInput(
                "value",
                f"{self._model.__name__} is not equal to itself after it was written as JSON and"
                " read back",
            )
        return data

    def canonical(self, value: M) -> bytes:
        return msgspec.json.encode(msgspec.json.decode(self.encode(value)), order="deterministic")

    def decode(self, data: bytes) -> M:
        return validated(self._model, data, root="value")

    read = decode


def model_json(value: Model) -> bytes:
    exact(value)
    try:
        return value.model_dump_json(by_alias=True, round_trip=True).encode()
    except ValueError:
        raise InvalidInput(
            "value",
            f"{type(value).__name__} cannot be written as JSON; for bytes, set ser_json_bytes and"
            " val_json_bytes to 'base64' in its model_config",
        ) from None


def validated(model: type[M], data: bytes, *, root: str, **options: Any) -> M:
    try:
        return model.model_validate_json(data, **options)
    except ValueError as error:
        errors: Callable[[], list[dict[str, Any]]] | None = getattr(error, "errors", None)
        first = errors()[0] if errors else {}
        field = ".".join(map(str, first.get("loc", ())))
        raise InvalidInput(field or root, _problem(first.get("type", ""))) from None


def dump_nested(value: object) -> object:
    """msgspec's hook for a model inside a dataclass or Struct."""
    if not isinstance(value, Model):
        raise TypeError(f"{type(value).__name__} cannot be stored")
    return msgspec.json.decode(model_json(value))


def load_nested(model: type[Any], value: object) -> object:
    """msgspec's hook for the way back, of what we stored."""
    return _nested(model, value)


def check_nested(model: type[Any], value: object) -> object:
    """msgspec's hook for what strangers sent."""
    return _nested(model, value, **STRICT)


def model_schema(model: type[Model], ref_template: str) -> tuple[Schema, dict[str, Schema]]:
    """Its schema as the edge checks it, and the components that it refers to."""
    whole = model.model_json_schema(ref_template=ref_template.replace("{name}", "{model}"))
    components: dict[str, Schema] = whole.pop("$defs", {})
    for schema in (whole, *components.values()):
        if schema.get("type") == "object":
            schema.setdefault("additionalProperties", False)
    return whole, components


def nested_schema(model: type[Any]) -> Schema:
    """msgspec's hook for the schema of a model inside another record."""
    schema: Schema = model.model_json_schema()
    return schema


def _nested(model: type[Any], value: object, **options: Any) -> object:
    try:
        return validated(model, msgspec.json.encode(value), root="", **options)
    except InvalidInput as error:
        raise NestedRefusal(error) from None


def _problem(kind: str) -> str:
    if kind == "missing":
        return "is required"
    if kind == "extra_forbidden":
        return "is not a known field"
    return "is refused by its model: " + (kind.replace("_", " ") or "invalid")
