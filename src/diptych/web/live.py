"""`LiveEndpoint`: answers a `LiveRoute`; what precedes the stream is as for any query."""

from functools import partial
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

from diptych.read.query import Answer
from diptych.web.decode import from_parameters
from diptych.web.edge import Edge
from diptych.web.endpoint import Endpoint
from diptych.web.headers import Sent
from diptych.web.identity import Actor, Policy
from diptych.web.reply import encoded
from diptych.web.routes import LiveRoute
from diptych.web.stream import Stream, Streams


class LiveEndpoint(Endpoint):
    """`seconds` are what the first answer may take; it and all before it are answered as for a
    `QueryEndpoint`, problems too.
    """

    def __init__(
        self, route: LiveRoute, edge: Edge, policy: Policy, *, seconds: float, streams: Streams
    ) -> None:
        super().__init__(edge, policy, seconds=seconds)
        self._route, self._streams = route, streams

    async def _reply(self, request: Request, sent: Sent, actor: Actor) -> Stream:
        query: Any = await from_parameters(request, self._route.message)
        await self._edge.check(request.scope, actor, query)
        self._streams.enter(actor)
        try:
            return await self._stream(request, sent, actor, query)
        except BaseException:
            self._streams.leave(actor)
            raise

    async def _stream(self, request: Request, sent: Sent, actor: Actor, query: Any) -> Stream:
        first, watching = await self._edge.watch(sent, query, actor=actor)
        try:
            return Stream(
                first,
                watching,
                show=partial(self._body, query),
                leave=partial(self._streams.leave, actor),
                streams=self._streams,
                headers=self._edge.answer_headers(sent, first),
                request=(request.scope, request.receive),
            )
        except BaseException:
            watching.close()
            raise

    def _body(self, query: Any, answer: Answer[Any]) -> bytes:
        """Raises: what there is to say if nothing is there."""
        route = self._route
        self._edge.shown(answer)
        if answer.value is None:
            raise route.missing(query) if route.missing else HTTPException(404)
        value, _ = route.unpack(answer.value)
        return encoded(value if route.show is None else route.show(value))
