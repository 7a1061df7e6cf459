"""`Document`: what the routes say about themselves in OpenAPI, from the types that they decode."""

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from typing import Any, TypedDict

from fastapi import FastAPI
from fastapi.security.base import SecurityBase
from starlette.responses import Response

from diptych.errors import ConfigurationError
from diptych.web.headers import IDEMPOTENCY_KEY, IF_MATCH, TOKEN
from diptych.web.operation import (
    PROBLEM,
    Components,
    body_schema,
    from_text,
    headers,
    merge,
    operation,
    parameters,
    responses,
)
from diptych.web.routes import PARAMETER, Route


class RouteOptions(TypedDict):
    """What FastAPI's route decorators take from us."""

    response_class: type[Response]
    responses: dict[int | str, dict[str, Any]]
    openapi_extra: dict[str, Any]


class Document:
    """Describes routes: those of a mount, and for FastAPI
    `@api.post(path, **document.command(path, PlaceOrder, ...))`.

    The schemas that the descriptions refer to are merged into the document of the application by
    `install`. `security` is how who asks is told, on routes that are guarded.
    """

    def __init__(self, *, security: SecurityBase | None = None) -> None:
        self._security = security
        self._components: Components = {"Problem": PROBLEM}
        self._paths: dict[str, dict[str, Any]] = {}
        self._ids: set[str] = set()

    def add(self, path: str, routes: Sequence[Route], *, guarded: bool) -> None:
        """The declared routes of one path."""
        operations = self._paths.setdefault(path, {})
        for route in routes:
            described, components = operation(route, self._components, guarded=guarded)
            if described["operationId"] in self._ids:
                described["operationId"] += f" {route.method} {path}"
            self._ids.add(described["operationId"])
            if guarded and self._security is not None:
                described["security"] = [{self._security.scheme_name: []}]
            merge(self._components, components)
            operations[route.method.lower()] = described

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
        in_path = PARAMETER.findall(path)
        sent = headers(TOKEN, IDEMPOTENCY_KEY, IF_MATCH)
        extra: dict[str, Any] = {"parameters": [*parameters(body, in_path, "path"), *sent]}
        schema = body_schema(body, in_path, self._components)
        if schema is not None:
            extra["requestBody"] = {"required": True, "content": {"application/json": schema}}
        return self._options(extra, answer, status, problems)

    def query(
        self, path: str, query: type, answer: type, *, problems: Iterable[int] = ()
    ) -> RouteOptions:
        """A route that decodes `query` from the parameters of query string and path."""
        found = from_text(query, PARAMETER.findall(path), self._components)
        return self._options({"parameters": [*found, *headers(TOKEN)]}, answer, 200, problems)

    def deletion(
        self, path: str, command: type, answer: type, *, problems: Iterable[int] = ()
    ) -> RouteOptions:
        """A command without a body: it is decoded as a query is."""
        found = from_text(command, PARAMETER.findall(path), self._components)
        sent = headers(TOKEN, IDEMPOTENCY_KEY, IF_MATCH)
        return self._options({"parameters": [*found, *sent]}, answer, 200, problems)

    def install(self, api: FastAPI) -> None:
        """Merge paths and schemas into a copy of what `api.openapi()` makes.

        Raises from there: ConfigurationError: two different schemas have one name, or a route that
            came later has the address of a mounted one.
        """
        own = api.openapi

        def openapi() -> dict[str, Any]:
            made = deepcopy(own())
            components = made.setdefault("components", {})
            merge(components.setdefault("schemas", {}), self._components)
            if self._security is not None:
                merge(components.setdefault("securitySchemes", {}), _scheme(self._security))
            _merge_paths(made.setdefault("paths", {}), self._paths)
            return made

        api.openapi = _kept(own, openapi)  # type: ignore[method-assign]

    def _options(
        self, extra: dict[str, Any], answer: type, status: int, problems: Iterable[int]
    ) -> RouteOptions:
        found = responses(answer, status, problems, self._components)
        return RouteOptions(response_class=Response, responses=found, openapi_extra=extra)


def _scheme(security: SecurityBase) -> dict[str, Any]:
    described = security.model.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {security.scheme_name: described}


def _merge_paths(paths: dict[str, dict[str, Any]], more: dict[str, dict[str, Any]]) -> None:
    for path, operations in more.items():
        known = paths.setdefault(path, {})
        for method, described in operations.items():
            if method in known:
                raise ConfigurationError(f"two routes take {method.upper()} {path}: leave one out")
            known[method] = described


def _kept(
    own: Callable[[], dict[str, Any]], make: Callable[[], dict[str, Any]]
) -> Callable[[], dict[str, Any]]:
    """Made again only when the app's own document is another one."""
    found: list[dict[str, Any]] = []

    def get() -> dict[str, Any]:
        given = own()
        if not found or found[0] is not given:
            found[:] = [given, make()]
        return found[1]

    return get
