"""What answers a declared route: decoded, allowed, dispatched or asked, answered.

In this order, so that a stranger learns nothing: who asks comes before what they sent, and whether
they may comes before anything is looked up.
"""

import asyncio
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from diptych.errors import OutcomeUnknown
from diptych.web.decode import from_body, from_parameters
from diptych.web.edge import Edge
from diptych.web.headers import command_id_of
from diptych.web.identity import Actor, Policy
from diptych.web.problems import TimeLimit
from diptych.web.reply import RawHeaders, Reply, json_reply
from diptych.web.routes import PARAMETER, CommandRoute, QueryRoute

_DISPATCHED: Final = "diptych.dispatched"


class Endpoint(ABC):
    """Answers requests of one route within `seconds`."""

    def __init__(self, edge: Edge, policy: Policy, *, seconds: float) -> None:
        self._edge, self._policy, self._seconds = edge, policy, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, limit = Request(scope, receive), asyncio.timeout(self._seconds)
        try:
            async with limit:
                reply = await self._reply(request, await self._policy.actor(request))
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise self._late(request) from error
        await reply.send(send)

    @abstractmethod
    async def _reply(self, request: Request, actor: Actor) -> Reply: ...

    def _late(self, request: Request) -> Exception:
        """A command that was under way may yet be committed."""
        if _DISPATCHED in request.scope:
            return OutcomeUnknown(command_id_of(request.headers))
        return TimeLimit(self._seconds)


class CommandEndpoint(Endpoint):
    """Answers a `CommandRoute`."""

    def __init__(
        self, route: CommandRoute, edge: Edge, policy: Policy, *, seconds: float, prefix: str
    ) -> None:
        super().__init__(edge, policy, seconds=seconds)
        self._route = route
        self._location = None if route.location is None else prefix + route.location

    async def _reply(self, request: Request, actor: Actor) -> Reply:
        route, scope = self._route, request.scope
        command = await self._decode(request, actor)
        await self._policy.check(actor, command)
        scope[_DISPATCHED] = True
        outcome = await self._edge.dispatch(
            request.headers, command, actor=actor, versioned=route.versioned
        )
        headers = self._edge.outcome_headers(scope, outcome) + self._located(scope, command)
        if route.shape is None:
            return Reply(route.status, headers)
        return json_reply(route.answer(command, outcome), status=route.status, headers=headers)

    async def _decode(self, request: Request, actor: Actor) -> object:
        kind, new_id = self._route.message, self._route.new_id
        if not self._route.has_body:
            return await from_parameters(request, kind)
        if new_id is None:
            return await from_body(request, kind)
        fill = {new_id: self._edge.new_id(request.headers, actor)}
        return await from_body(request, kind, fill=fill)

    def _located(self, scope: Scope, command: object) -> RawHeaders:
        if self._location is None:
            return ()

        def value(name: re.Match[str]) -> str:
            return quote(str(getattr(command, name[1])), safe="")

        path = scope.get("root_path", "") + PARAMETER.sub(value, self._location)
        return ((b"location", path.encode("ascii", errors="replace")),)


class QueryEndpoint(Endpoint):
    """Answers a `QueryRoute`."""

    def __init__(self, route: QueryRoute, edge: Edge, policy: Policy, *, seconds: float) -> None:
        super().__init__(edge, policy, seconds=seconds)
        self._route = route

    async def _reply(self, request: Request, actor: Actor) -> Reply:
        route = self._route
        query: Any = await from_parameters(request, route.message)
        await self._policy.check(actor, query)
        answer = await self._edge.ask(request.headers, query, actor=actor)
        if answer.value is None:
            raise route.missing(query) if route.missing else HTTPException(404)
        value, version = route.unpack(answer.value)
        headers = self._edge.answer_headers(request.scope, answer, version=version)
        shown = value if route.show is None else route.show(value)
        return json_reply(shown, status=200, headers=headers)


class Methods:
    """The endpoints of one path."""

    def __init__(self, endpoints: Mapping[str, ASGIApp]) -> None:
        self._endpoints = dict(endpoints)
        self._allow = {"Allow": ", ".join(sorted(endpoints))}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._endpoints.get(scope["method"])
        if endpoint is None:
            raise HTTPException(405, headers=self._allow)
        await endpoint(scope, receive, send)
