"""`Edge`: between HTTP and an application.

It carries what HTTP knows into a dispatch or a query (token, `Idempotency-Key`, `If-Match`) and
what came of it back (token, `ETag`, staleness). A client that sends no token still reads its own
writes from the process that it wrote to: such a read is held to the newest token that this process
has given out. Tokens that clients send are never taken for that, they could claim any position.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final, TypeVar
from uuid import UUID, uuid5

import msgspec
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from diptych.app import Application
from diptych.clock import uuid7
from diptych.errors import (
    ConsistencyTimeout,
    DiptychError,
    InvalidInput,
    StoreError,
    TokenFromAnotherHistory,
)
from diptych.read.query import Answer, Query
from diptych.tokens import Token
from diptych.web.guard import Guard, Limits, RawHeaders
from diptych.web.headers import (
    IF_MATCH,
    STALE,
    TOKEN,
    command_id_of,
    etag,
    expected_version_of,
    later,
    token_of,
)
from diptych.web.problems import Problems

R = TypeVar("R")
_TOKEN: Final = TOKEN.lower().encode()


class Edge:
    """The HTTP side of one application. `wait` bounds how long a read waits for its token."""

    def __init__(
        self,
        app: Application,
        *,
        problems: Problems | None = None,
        limits: Limits | None = None,
        wait: timedelta = timedelta(seconds=2),
    ) -> None:
        self.app = app
        self._problems, self._limits, self._wait = problems or Problems(), limits, wait
        self._newest: Token | None = None

    def install(self, api: FastAPI) -> None:
        """Put the guard around `api` and let every error be answered as a problem."""
        api.add_middleware(Guard, problems=self._problems, finish=self._finish, limits=self._limits)
        for kind in (DiptychError, HTTPException, RequestValidationError):
            api.add_exception_handler(kind, self._answer_error)

    def new_id(self, request: Request) -> UUID:
        """An id for what a request creates: the same again when it is repeated under its key.

        Raises: InvalidInput, LimitExceeded: the `Idempotency-Key` is not acceptable.
        """
        command_id = command_id_of(request.headers)
        return uuid7() if command_id is None else uuid5(command_id, "created")

    async def dispatch(
        self,
        request: Request,
        command: object,
        body: object,
        *,
        status: int = 200,
        location: str | None = None,
    ) -> Response:
        """Dispatch `command` as the headers say, and answer with `body`, `ETag` and token.

        Raises: what `Application.dispatch` raises; InvalidInput for a header.
        """
        seen = token_of(request.headers)
        if seen is not None and seen.log_id != self.app.log.id:
            raise TokenFromAnotherHistory
        outcome = await self.app.dispatch(
            command,
            command_id=command_id_of(request.headers),
            expected_version=expected_version_of(request.headers),
        )
        self._newest = later(self._newest, outcome.token)
        headers = {TOKEN: str(later(seen, outcome.token)), "ETag": etag(outcome.version)}
        if location is not None:
            headers["Location"] = location
        return json_response(body, status=status, headers=headers)

    async def ask(self, request: Request, query: Query[R]) -> Answer[R]:
        """Ask for an answer that has seen the request's token, or the newest one given out here.

        It is marked `stale` if the view does not get there in time; that something is not there is
        never said of a stale view.

        Raises: what `Application.ask` raises; ConsistencyTimeout: stale, and nothing found.
        """
        at_least = token_of(request.headers) or self._newest
        answer = await self.app.ask(
            query, at_least=at_least, on_timeout="stale", timeout=self._wait
        )
        self._newest = later(self._newest, answer.as_of)
        if answer.value is None and answer.stale and at_least is not None:
            raise ConsistencyTimeout(
                type(query).__name__,
                wanted=at_least.position,
                reached=answer.as_of.position,
                timeout=self._wait,
            )
        return answer

    def answer(self, answer: Answer[R], body: object, *, version: int | None = None) -> Response:
        """Answer with `body`, made from `answer.value`; the `version` of a stream is its `ETag`."""
        headers = {TOKEN: str(answer.token)}
        if answer.stale:
            headers[STALE] = "true"
        if version is not None:
            headers["ETag"] = etag(version)
        return json_response(body, headers=headers)

    async def _answer_error(self, request: Request, error: Exception) -> Response:
        problem = self._problems.of(error, conditional=IF_MATCH in request.headers)
        if problem.status == 405:
            problem = replace(problem, headers={"Allow": ", ".join(_methods(request))})
        return problem.response()

    async def _finish(self, scope: Scope) -> RawHeaders:
        """The token of an answer whose route gave none: that of the request, or a newer one."""
        try:
            newest = self._newest or await self._head()
            token = later(token_of(Headers(scope=scope)), newest)
        except (InvalidInput, StoreError):
            return () if self._newest is None else ((_TOKEN, str(self._newest).encode()),)
        return ((_TOKEN, str(token).encode()),)

    async def _head(self) -> Token:
        head = await self.app.log.head()
        self._newest = later(self._newest, Token(self.app.log.id, head.position, head.event_id))
        return self._newest


def _methods(request: Request) -> list[str]:
    """Those of all routes of this path; Starlette lists those of the first one only."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    matched = (route.path for route in routes if route.matches(request.scope)[0] is Match.PARTIAL)
    path = next(matched, None)
    return sorted({name for route in routes if route.path == path for name in route.methods or ()})


def json_response(
    body: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """JSON by msgspec: decimals are strings, times UTC, ids and enums their text."""
    return Response(msgspec.json.encode(body), status, headers, media_type="application/json")
