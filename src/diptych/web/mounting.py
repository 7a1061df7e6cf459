"""What a mount must not do: go past dependencies, stand in the way, let in whom nobody allowed."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from fastapi import FastAPI
from starlette.routing import BaseRoute, Match
from starlette.routing import Route as StarletteRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from diptych.app import Application
from diptych.errors import ConfigurationError
from diptych.listed import listed
from diptych.web.identity import Allow
from diptych.web.routes import PARAMETER, Route

_log: Final = logging.getLogger("diptych.web")


class MountedRoute(StarletteRoute):
    """One path of a mount, with all of its methods: another one is refused inside of the guard."""

    def __init__(
        self, path: str, endpoint: ASGIApp, *, api: FastAPI, methods: Iterable[str]
    ) -> None:
        super().__init__(path, endpoint, include_in_schema=False, name=path)
        self.methods, self._api = set(methods), api

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """A method that this path does not know is refused here: what would take the path next
        has a parameter where this one has a fixed part (`DELETE /orders/search`).
        """
        match, child = super().matches(scope)
        if match is Match.PARTIAL and not self._elsewhere(scope["method"]):
            return Match.FULL, child
        return match, child

    def _elsewhere(self, method: str) -> bool:
        """Whether a route of the app, such as one that was added later, takes it on this path."""
        own = PARAMETER.sub("{}", self.path)
        return any(
            isinstance(route, StarletteRoute)
            and method in (route.methods or ())
            and PARAMETER.sub("{}", route.path) == own
            for route in self._api.router.routes
        )

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        refuse_bypass(self._api)
        await self.app(scope, receive, send)


def refuse_bypass(api: FastAPI) -> None:
    """Raises: ConfigurationError: the app has dependencies, which mounted routes do not solve."""
    if api.router.dependencies:
        raise ConfigurationError(
            "FastAPI(dependencies=...) guards all routes, but would not run for mounted ones: give"
            " mount(identity=..., allow=...) and move the dependencies to the routers that need"
            " them, or write FastAPI routes with Depends(mounted.caller)"
        )


def policies(
    routes: Sequence[Route], others: Mapping[type, Allow[Any]], *, asked: bool
) -> dict[type, Allow[Any]]:
    """One policy for each type of message, however it comes.

    Raises: ConfigurationError: a type has two, or something else is among the routes.
    """
    found = dict(others)
    for route in listed("routes", routes, Route, write="command_route(...) or query_route(...)"):
        if route.allow is not None and found.setdefault(route.message, route.allow) != route.allow:
            name = route.message.__qualname__
            raise ConfigurationError(f"two policies for {name}: give allow= once for each type")
    for route in routes:
        if asked and route.message not in found:
            _log.warning("nobody may %s %s: it has no allow=", route.method, route.path)
    return found


def by_path(
    api: FastAPI, app: Application, routes: Sequence[Route], *, prefix: str
) -> dict[str, list[Route]]:
    """The routes of each path; paths with fixed parts before those that would take any part.

    Raises: ConfigurationError: an address twice, in the way of each other, or without a handler.
    """
    refuse_bypass(api)
    found: dict[str, list[Route]] = {}
    for route in routes:
        if not app.handles(route.message):
            name = route.message.__qualname__
            raise ConfigurationError(f"nothing handles {name}: add it to write= or queries=")
        found.setdefault(prefix + route.path, []).append(route)
    for path, those in found.items():
        _check(api, path, [route.method for route in those])
    shapes = [PARAMETER.sub("{}", path) for path in found]
    for path in found:
        if shapes.count(PARAMETER.sub("{}", path)) > 1:
            raise ConfigurationError(f"{path} is there with other names too: use the same names")
    return {path: found[path] for path in sorted(found, key=_fixed_first)}


def _check(api: FastAPI, path: str, methods: Sequence[str]) -> None:
    for method in methods:
        if methods.count(method) > 1:
            raise ConfigurationError(f"{method} {path} is there twice: leave one out")
        scope: Scope = {
            "type": "http",
            "method": method,
            "path": PARAMETER.sub("x", path),
            "root_path": "",
            "headers": [],
        }
        if any(_takes(route, scope) for route in api.router.routes):
            raise ConfigurationError(
                f"a route of the app takes {method} {path}, and was there first: mount before it,"
                " or under a prefix="
            )


def _takes(route: BaseRoute, scope: Scope) -> bool:
    if isinstance(route, MountedRoute):
        return StarletteRoute.matches(route, scope)[0] is Match.FULL
    return route.matches(scope)[0] is Match.FULL


def _fixed_first(path: str) -> tuple[bool, ...]:
    return tuple("{" in part for part in path.split("/"))
