"""`Caller`: for FastAPI routes of your own, who asks, with what HTTP knows already filled in."""

from typing import Final, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from diptych.errors import ConfigurationError
from diptych.read.query import Answer, Query
from diptych.tokens import Token
from diptych.web.edge import Edge
from diptych.web.headers import COOKIE, Sent
from diptych.web.identity import Actor
from diptych.web.reply import RawHeaders
from diptych.write.outcome import Outcome

R = TypeVar("R")

_COOKIE: Final = f"{COOKIE}=".encode()


class Caller:
    """Dispatches and asks for the actor of one request, under the policies of the mount.

    Tokens, `Idempotency-Key` and `If-Match` are taken from the request; token, `ETag` and staleness
    go into the response, unless the route returns a `Response` of its own.
    """

    def __init__(self, actor: Actor, *, edge: Edge, exchange: tuple[Request, Response]) -> None:
        self.actor = actor
        self._edge = edge
        request, self._response = exchange
        self._scope, self._sent = request.scope, Sent(request.scope)
        self._token: Token | None = None

    async def dispatch(self, command: object, *, versioned: bool = False) -> Outcome:
        """Have the one command of this request decided; `versioned` demands an `If-Match`.

        Raises: Forbidden; what `Application.dispatch` raises. ConfigurationError: it is the second.
        """
        if self._token is not None:
            raise ConfigurationError("a request dispatches one command: its key stands for one")
        await self._edge.check(self._scope, self.actor, command)
        outcome = await self._edge.dispatch(
            self._sent, command, actor=self.actor, versioned=versioned
        )
        self._token = outcome.token
        self._tell(self._edge.outcome_headers(self._sent, outcome))
        return outcome

    async def ask(self, query: Query[R]) -> Answer[R]:
        """An answer that shows the command of this request, or is marked `stale`.

        Raises: Forbidden; what `Application.ask` raises. ConsistencyTimeout: stale, and nothing
            there.
        """
        await self._edge.check(self._scope, self.actor, query)
        answer = await self._edge.ask(self._sent, query, actor=self.actor, at_least=self._token)
        self._tell(self._edge.answer_headers(self._sent, answer))
        return answer

    async def query(self, query: Query[R]) -> R:
        """The value of `ask`; the response says whether it is stale."""
        return (await self.ask(query)).value

    def _tell(self, headers: RawHeaders) -> None:
        given = self._response.headers
        for name, value in headers:
            if name == b"set-cookie":  # the route may have set cookies of its own
                kept = [each for each in given.raw if not _is_token_cookie(*each)]
                given.raw[:] = [*kept, (name, value)]
            else:
                given[name.decode()] = value.decode()


def _is_token_cookie(name: bytes, value: bytes) -> bool:
    return name == b"set-cookie" and value.startswith(_COOKIE)
