"""What answers a declared route: decoded, allowed, dispatched or asked, answered.

In this order, so that a stranger learns nothing: who asks comes before what they sent, and whether
they may comes before anything is looked up.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from diptych.errors import OutcomeUnknown
from diptych.web.deadline import Deadline
from diptych.web.decode import body_of, decoded, from_parameters
from diptych.web.edge import Edge
from diptych.web.headers import Sent, command_id_of
from diptych.web.identity import Actor, Policy
from diptych.web.problems import TimeLimit
from diptych.web.reply import RawHeaders, Reply, Sendable, json_reply
from diptych.web.routes import PARAMETER, CommandRoute, QueryRoute

_PLAIN: Final = re.compile(r"[0-9a-f-]+")  # ids are mostly UUIDs
_DISPATCHED: Final = "diptych.dispatched"


class Endpoint(ABC):
    """Answers requests of one route within `seconds`."""

    def __init__(self, edge: Edge, policy: Policy, *, seconds: float) -> None:
        self._edge, self._policy, self._deadline = edge, policy, Deadline(seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, sent, limit = Request(scope, receive), Sent(scope), self._deadline.limit()
        try:
            with limit:
                reply = await self._reply(request, sent, await self._policy.actor(request))
        except TimeoutError as error:
            if not limit.over:
                raise
            raise self._late(scope, sent) from error
        await reply.send(send)

    @abstractmethod
    async def _reply(self, request: Request, sent: Sent, actor: Actor) -> Sendable: ...

    def _late(self, scope: Scope, sent: Sent) -> Exception:
        """A command that was under way may yet be committed."""
        if _DISPATCHED in scope:
            return OutcomeUnknown(command_id_of(sent))
        return TimeLimit(self._deadline.seconds)


class CommandEndpoint(Endpoint):
    """Answers a `CommandRoute`."""

    def __init__(
        self, route: CommandRoute, edge: Edge, policy: Policy, *, seconds: float, prefix: str
    ) -> None:
        super().__init__(edge, policy, seconds=seconds)
        self._route = route
        self._location = None if route.location is None else prefix + route.location

    async def _reply(self, request: Request, sent: Sent, actor: Actor) -> Reply:
        route, scope = self._route, request.scope
        command = await self._decode(request, sent, actor)
        await self._edge.check(scope, actor, command)
        scope[_DISPATCHED] = True
        outcome = await self._edge.dispatch(sent, command, actor=actor, versioned=route.versioned)
        headers = self._edge.outcome_headers(sent, outcome) + self._located(scope, command)
        if route.shape is None:
            return Reply(route.status, headers)
        return json_reply(route.answer(command, outcome), status=route.status, headers=headers)

    async def _decode(self, request: Request, sent: Sent, actor: Actor) -> object:
        kind, new_id = self._route.message, self._route.new_id
        if not self._route.has_body:
            return await from_parameters(request, kind)
        looked_at = self._policy.asks  # by an identity, which may have read the body
        body = await request.body() if looked_at else await body_of(request.receive)
        fill = {new_id: self._edge.new_id(sent, actor)} if new_id else {}
        return decoded(body, kind, request.scope, fill=fill)

    def _located(self, scope: Scope, command: object) -> RawHeaders:
        if self._location is None:
            return ()

        def value(name: re.Match[str]) -> str:
            text = str(getattr(command, name[1]))
            return text if _PLAIN.fullmatch(text) else quote(text, safe="")

        path = scope.get("root_path", "") + PARAMETER.sub(value, self._location)
        return ((b"location", path.encode("ascii", errors="replace")),)


class QueryEndpoint(Endpoint):
    """Answers a `QueryRoute`."""

    def __init__(self, route: QueryRoute, edge: Edge, policy: Policy, *, seconds: float) -> None:
        super().__init__(edge, policy, seconds=seconds)
        self._route = route

    async def _reply(self, request: Request, sent: Sent, actor: Actor) -> Reply:
        route = self._route
        query: Any = await from_parameters(request, route.message)
        await self._edge.check(request.scope, actor, query)
        answer = await self._edge.ask(sent, query, actor=actor)
        if answer.value is None:
            raise route.missing(query) if route.missing else HTTPException(404)
        value, version = route.unpack(answer.value)
        headers = self._edge.answer_headers(sent, answer, version=version)
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
