"""`Document`: what the routes say about themselves in OpenAPI, from the types that they decode."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any, Final, TypedDict

import msgspec
from fastapi import FastAPI
from starlette.responses import Response

from diptych.errors import ConfigurationError
from diptych.shapes import edge_decoder
from diptych.web.headers import IDEMPOTENCY_KEY, IF_MATCH, STALE, TOKEN
from diptych.web.problems import MEDIA_TYPE

Schema = dict[str, Any]

_TEMPLATE: Final = "#/components/schemas/{name}"
_PATH_PARAMETER: Final = re.compile(r"{(\w+)}")
_PROBLEM: Final[Schema] = {
    "type": "object",
    "description": "RFC 9457. `errors` names the fields; `instance` is also in the service's log.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string", "format": "uri"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "detail"],
                "properties": {
                    "field": {"type": "string"},
                    "detail": {"type": "string"},
                    "limit": {"type": "integer"},
                },
            },
        },
    },
}
_TEXT: Final[Schema] = {"type": "string"}
_REQUEST_HEADERS: Final[Mapping[str, tuple[str, str]]] = {
    TOKEN: (
        r"^[A-Za-z0-9_-]{64}$",
        "From an earlier answer: this one sees at least what that one saw.",
    ),
    IDEMPOTENCY_KEY: (
        r"^[!-~]{1,255}$",
        "Sent again with the same request, it takes effect once and answers the same.",
    ),
    IF_MATCH: (
        r'^(\*|"(0|[1-9][0-9]{0,17})")$',
        "The ETag that the client has seen; 412 if there is a newer version.",
    ),
}


class RouteOptions(TypedDict):
    """What FastAPI's route decorators take from us."""

    response_class: type[Response]
    responses: dict[int | str, dict[str, Any]]
    openapi_extra: dict[str, Any]


class Document:
    """Describes routes: `@api.post(path, **document.command(path, PlaceOrder, ...))`.

    The schemas that the descriptions refer to are merged into the document of the application by
    `install`.
    """

    def __init__(self) -> None:
        self._components: dict[str, Schema] = {"Problem": _PROBLEM}

    def command(
        self,
        path: str,
        body: type,
        answer: type,
        *,
        status: int = 200,
        problems: Iterable[int] = (),
    ) -> RouteOptions:
        """A route that decodes `body` from the JSON body and the parameters of the path."""
        in_path = _PATH_PARAMETER.findall(path)
        parameters = _parameters(body, in_path, within="path")
        extra: dict[str, Any] = {
            "parameters": [*parameters, *_headers(TOKEN, IDEMPOTENCY_KEY, IF_MATCH)]
        }
        schema, components = edge_decoder(body).schema(ref_template=_TEMPLATE, exclude=in_path)
        if _resolve(schema, components).get("properties"):
            _merge(self._components, components)
            content = {"application/json": {"schema": schema}}
            extra["requestBody"] = {"required": True, "content": content}
        return self._options(extra, answer, status, problems)

    def query(
        self, path: str, query: type, answer: type, *, problems: Iterable[int] = ()
    ) -> RouteOptions:
        """A route that decodes `query` from the parameters of query string and path."""
        parameters = [*self._from_text(path, query), *_headers(TOKEN)]
        return self._options({"parameters": parameters}, answer, 200, problems)

    def deletion(
        self, path: str, command: type, answer: type, *, problems: Iterable[int] = ()
    ) -> RouteOptions:
        """A command without a body: it is decoded as a query is."""
        headers = _headers(TOKEN, IDEMPOTENCY_KEY, IF_MATCH)
        parameters = [*self._from_text(path, command), *headers]
        return self._options({"parameters": parameters}, answer, 200, problems)

    def install(self, api: FastAPI) -> None:
        """Merge the schemas into `api.openapi()`.

        Raises from there: ConfigurationError: two different schemas have one name.
        """
        own = api.openapi

        def openapi() -> dict[str, Any]:
            made = deepcopy(own())
            schemas: dict[str, Schema] = made.setdefault("components", {}).setdefault("schemas", {})
            _merge(schemas, self._components)
            return made

        api.openapi = _once(openapi)  # type: ignore[method-assign]

    def _from_text(self, path: str, tp: type) -> list[Schema]:
        _, components = edge_decoder(tp).schema(ref_template=_TEMPLATE)
        components.pop(tp.__name__, None)
        _merge(self._components, components)
        in_path = _PATH_PARAMETER.findall(path)
        return [
            *_parameters(tp, in_path, within="path"),
            *_parameters(tp, in_path, within="query"),
        ]

    def _options(
        self, extra: dict[str, Any], answer: type, status: int, problems: Iterable[int]
    ) -> RouteOptions:
        (schema,), components = msgspec.json.schema_components([answer], ref_template=_TEMPLATE)
        _merge(self._components, components)
        headers = {TOKEN: {"schema": _TEXT}, STALE: {"schema": _TEXT}, "ETag": {"schema": _TEXT}}
        content = {"application/json": {"schema": schema}}
        responses: dict[int | str, dict[str, Any]] = {
            status: {"description": "Done", "headers": headers, "content": content}
        }
        reference = {"schema": {"$ref": _TEMPLATE.format(name="Problem")}}
        codes: tuple[int | str, ...] = (*problems, 422, "default")
        for code in codes:
            responses[code] = {"description": "A problem", "content": {MEDIA_TYPE: reference}}
        return RouteOptions(response_class=Response, responses=responses, openapi_extra=extra)


def _parameters(tp: type, in_path: Sequence[str], *, within: str) -> list[Schema]:
    """The fields of a type as parameters: those in the path, or the others, in the query string."""
    schema, components = edge_decoder(tp).schema(ref_template=_TEMPLATE)
    record = _resolve(schema, components)
    return [
        _parameter(name, within, its_schema, required=name in record.get("required", ()))
        for name, its_schema in record.get("properties", {}).items()
        if (name in in_path) == (within == "path")
    ]


def _headers(*names: str) -> list[Schema]:
    found: list[Schema] = []
    for name in names:
        pattern, description = _REQUEST_HEADERS[name]
        schema = {"type": "string", "pattern": pattern}
        parameter = _parameter(name, "header", schema, required=False)
        found.append({**parameter, "description": description})
    return found


def _parameter(name: str, where: str, schema: Schema, *, required: bool) -> Schema:
    return {"name": name, "in": where, "required": required, "schema": schema}


def _resolve(schema: Schema, components: Mapping[str, Schema]) -> Schema:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    return components.get(name, schema)


def _merge(schemas: dict[str, Schema], more: Mapping[str, Schema]) -> None:
    for name, schema in more.items():
        if schemas.setdefault(name, schema) != schema:
            raise ConfigurationError(f"two schemas are named {name}: rename one of the classes")


def _once(make: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    made: dict[str, Any] = {}

    def get() -> dict[str, Any]:
        if not made:
            made.update(make())
        return made

    return get
