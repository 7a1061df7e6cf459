"""`mount`: an application into a FastAPI app that is there already.

Theory of operation. Each path is a Starlette route of the FastAPI app, with ASGI endpoints of ours
instead of functions that FastAPI would solve: decoding by msgspec costs a fraction of that. So what
FastAPI does for its own routes does not happen for these, and above all its dependencies do not
run. An app whose dependencies guard all of its routes is therefore refused: at once, and if they
are added later, at each request. Middleware of the app is around the mount as it is around
everything else.

Our guard (limits, problems, headers) is around our routes only, unless the `whole_app` is ours.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from fastapi import FastAPI
from fastapi.security.base import SecurityBase
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from diptych.app import Application
from diptych.errors import ConfigurationError
from diptych.web.caller import Caller
from diptych.web.edge import Edge
from diptych.web.endpoint import CommandEndpoint, Methods, QueryEndpoint
from diptych.web.guard import Guard, Limits
from diptych.web.identity import Allow, Identity, Policy
from diptych.web.live import LiveEndpoint
from diptych.web.mounting import MountedRoute, by_path, policies
from diptych.web.openapi import Document
from diptych.web.origins import Origins
from diptych.web.problems import Answered, Problems
from diptych.web.refusing import Refusing
from diptych.web.routes import CommandRoute, LiveRoute, QueryRoute, Route
from diptych.web.stopping import Stopping
from diptych.web.stream import Streams

_NONE: Final[Mapping[type, Any]] = MappingProxyType({})


class Mount:
    """What `mount` made of a FastAPI app, for routes of your own beside the mounted ones."""

    def __init__(self, edge: Edge, policy: Policy, document: Document, *, origins: Origins) -> None:
        self.document = document
        self._edge, self._policy, self._origins = edge, policy, origins

    async def caller(self, request: Request, response: Response) -> Caller:
        """A dependency: `caller: Annotated[Caller, Depends(mounted.caller)]`.

        Raises: CrossSiteRequest; what the identity raises.
        """
        self._origins.check(request.method, dict(request.scope["headers"]))
        actor = await self._policy.actor(request)
        return Caller(actor, edge=self._edge, exchange=(request, response))


def mount(
    api: FastAPI,
    app: Application,
    *,
    routes: Sequence[Route] = (),
    prefix: str = "",
    identity: Identity | None = None,
    security: SecurityBase | None = None,
    allow: Mapping[type, Allow[Any]] = _NONE,
    problems: Mapping[type[Exception], Answered] = _NONE,
    limits: Limits | None = None,
    hosts: Sequence[str] = (),
    origins: Sequence[str] = (),
    wait: timedelta = timedelta(seconds=2),
    cookie: bool = False,
    whole_app: bool = False,
    lifespan: bool = True,
) -> Mount:
    """Answer `routes` in `api` from `app`, which is opened and closed with it.

    `identity` tells who asks, by what `security` (FastAPI's `HTTPBearer()`) says in OpenAPI; then
    nothing is allowed that no `allow` of a route, or of this mapping for messages of your own
    routes, allows. `problems` gives errors a status (`{OrderNotFound: 404}`), `hosts` are the names
    that requests may be for, `origins` other sites whose pages may change something, `wait` is how
    long a read waits for the write that it is to see, for which `cookie` lets browsers carry the
    token. With `whole_app` all of `api` is guarded; without `lifespan` you open and close `app`.
    """
    policy = Policy(identity, policies(routes, allow, asked=identity is not None))
    edge, limits = Edge(app, policy, wait=wait, cookie=cookie), limits or Limits()
    document = _document(security, policy)
    trusted = Origins(origins)
    guard = partial(Guard, finish=edge.finish, limits=limits, hosts=hosts, origins=trusted)
    shell = _Shell(Problems(problems), guard, whole_app=whole_app)
    endpoints = _Endpoints(edge, policy, Problems(problems), limits=limits, prefix=prefix)
    for path, found in by_path(api, app, routes, prefix=prefix).items():
        shell.add(api, path, {each.method: endpoints.of(each) for each in found})
        document.add(path, found, guarded=policy.asks)
    shell.install(api, document)
    _compose_lifespan(api, app if lifespan else None, endpoints.stopping)
    return Mount(edge, policy, document, origins=trusted)


def _document(security: SecurityBase | None, policy: Policy) -> Document:
    if security is not None and not policy.asks:
        raise ConfigurationError("security= describes an identity: give identity= as well")
    return Document(security=security)


class _Shell:
    """What is around the endpoints: the guard, and problems for what FastAPI answers."""

    def __init__(self, problems: Problems, guard: Callable[..., Guard], *, whole_app: bool) -> None:
        self._problems, self._whole = problems, whole_app
        self._guard = partial(guard, problems=problems)

    def add(self, api: FastAPI, path: str, methods: Mapping[str, ASGIApp]) -> None:
        each = Methods(methods)
        inner = each if self._whole else self._guard(each)
        api.router.routes.append(MountedRoute(path, inner, api=api, methods=methods))

    def install(self, api: FastAPI, document: Document) -> None:
        document.install(api)
        Refusing(self._problems).install(api, whole_app=self._whole)
        if self._whole:
            api.add_middleware(self._guard)


class _Endpoints:
    """Makes the endpoints of one mount."""

    def __init__(
        self, edge: Edge, policy: Policy, problems: Problems, *, limits: Limits, prefix: str
    ) -> None:
        self._edge, self._policy, self._prefix = edge, policy, prefix
        self._seconds = limits.seconds
        self._streams = Streams(limits, problems, known=policy.asks)
        self.stopping: Stopping | None = None
        """Of streams, if there are any."""

    def of(self, route: Route) -> ASGIApp:
        edge, policy, seconds = self._edge, self._policy, self._seconds
        if isinstance(route, LiveRoute):
            self.stopping = self._streams.stopping
            return LiveEndpoint(route, edge, policy, seconds=seconds, streams=self._streams)
        if isinstance(route, CommandRoute):
            return CommandEndpoint(route, edge, policy, seconds=seconds, prefix=self._prefix)
        if isinstance(route, QueryRoute):
            return QueryEndpoint(route, edge, policy, seconds=seconds)
        raise ConfigurationError(
            f"{route!r}: write command_route(...), query_route(...) or live_route(...)"
        )


def _compose_lifespan(api: FastAPI, app: Application | None, stopping: Stopping | None) -> None:
    """The application is there before the app's own lifespan begins, and until it has ended."""
    own = api.router.lifespan_context

    @asynccontextmanager
    async def both(served: Any) -> AsyncGenerator[Any]:
        async with AsyncExitStack() as stack:
            if app is not None:
                await stack.enter_async_context(app)
            if stopping is not None:
                stack.enter_context(stopping.begun_by_signals())
            state = await stack.enter_async_context(own(served))
            if api.openapi_url:
                api.openapi()  # so that names that clash are told now, and not to a visitor
            yield state

    api.router.lifespan_context = both
