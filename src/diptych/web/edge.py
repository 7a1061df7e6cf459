"""`Edge`: between HTTP and an application.

It carries what HTTP knows into a dispatch or a query (token, `Idempotency-Key`, `If-Match`) and
what came of it back (token, `ETag`, staleness). A client that sends no token still reads its own
writes from the process that it wrote to: such a read is held to the newest token that this process
has given out. Tokens that clients send are never taken for that, they could claim any position.

Where there is an identity, only answers to who was allowed what they asked carry a token: it tells
how much has happened, and that is nothing for strangers.

With `cookie`, browsers carry the token by themselves. A cookie outlives databases, so one that does
not fit this log is passed over and replaced, while a header that does not fit is refused.
"""

from collections.abc import Awaitable, Callable, Collection
from datetime import timedelta
from functools import partial
from typing import Any, Final, TypeVar
from uuid import UUID, uuid5

from starlette.types import Scope

from diptych.app import Application
from diptych.clock import uuid7
from diptych.errors import (
    ConsistencyTimeout,
    InvalidInput,
    StoreError,
    TokenFromAnotherHistory,
)
from diptych.read.query import Answer, Query
from diptych.read.watching import Watching
from diptych.tokens import Token
from diptych.web.headers import (
    IF_MATCH,
    RAW_AS_OF,
    RAW_STALE,
    RAW_TOKEN,
    Sent,
    command_id_of,
    cookie_header,
    cookie_token_of,
    expected_version_of,
    later,
    raw_etag,
    resumed_token_of,
    token_of,
)
from diptych.web.identity import NOBODY, Actor, Policy
from diptych.web.problems import RequestRefused
from diptych.web.reply import RawHeaders
from diptych.write.outcome import Outcome

R = TypeVar("R")
T = TypeVar("T")


_ALLOWED: Final = "diptych.allowed"


class Edge:
    """The HTTP side of one application, for those whom `policy` lets in. `wait` bounds how long a
    read waits for its token.
    """

    def __init__(
        self,
        app: Application,
        policy: Policy,
        *,
        wait: timedelta = timedelta(seconds=2),
        cookie: bool = False,
    ) -> None:
        self.app = app
        self._policy, self._wait, self._cookie = policy, wait, cookie
        self._newest: Token | None = None

    async def check(self, scope: Scope, actor: Actor, message: object) -> None:
        """Raises: Forbidden."""
        if self._policy.asks:
            await self._policy.check(actor, message)
            scope[_ALLOWED] = True

    def new_id(self, sent: Sent, actor: Actor = NOBODY) -> UUID:
        """An id for what a request creates: the same again when its actor repeats it under its key.

        Raises: InvalidInput, LimitExceeded: the `Idempotency-Key` is not acceptable.
        """
        command_id = command_id_of(sent)
        if command_id is None:
            return uuid7()
        owner = f"\0{actor.tenant}\0{actor.name}" if actor != NOBODY else ""
        return uuid5(command_id, f"created{owner}")

    async def dispatch(
        self, sent: Sent, command: object, *, actor: Actor = NOBODY, versioned: bool = False
    ) -> Outcome:
        """Dispatch `command` as the headers say.

        Raises: what `Application.dispatch` raises; InvalidInput for a header; RequestRefused:
            it is `versioned`, and there is no `If-Match`.
        """
        self._seen(sent)
        expected_version = expected_version_of(sent)
        if versioned and expected_version is None:
            raise RequestRefused(428, IF_MATCH, "is required: the ETag that you have seen")
        outcome = await self.app.dispatch(
            command,
            command_id=command_id_of(sent),
            actor=actor.name,
            tenant=actor.tenant,
            expected_version=expected_version,
        )
        self._newest = later(self._newest, outcome.token)
        return outcome

    async def ask(
        self,
        sent: Sent,
        query: Query[R],
        *,
        actor: Actor = NOBODY,
        at_least: Token | None = None,
    ) -> Answer[R]:
        """Ask for an answer that has seen `at_least`, or the request's token, or the newest one
        that was given out here.

        It is marked `stale` if the view does not get there in time; that something is not there is
        never said of a stale view.

        Raises: what `Application.ask` raises; ConsistencyTimeout: stale, and nothing found.
        """
        seen = at_least or self._seen(sent)
        try:
            answer = await self._ask(query, actor, seen or self._newest)
        except TokenFromAnotherHistory:
            if at_least is not None or token_of(sent) is not None:
                raise
            answer = await self._anew(partial(self._ask, query, actor))
        return answer

    async def watch(
        self, sent: Sent, query: Query[R], *, actor: Actor = NOBODY
    ) -> tuple[Answer[R], Watching[R]]:
        """The first answer, as `ask` gives it, and those that follow.

        The newest of the tokens that the request brings counts; a `Last-Event-ID` of another log
        is passed over as a cookie is: browsers would send it for ever.

        Raises: as `ask`.
        """
        seen = self._resumed(sent)
        try:
            return await self._begin(query, actor, seen or self._newest)
        except TokenFromAnotherHistory:
            if token_of(sent) is not None:
                raise
            return await self._anew(partial(self._begin, query, actor))

    def shown(self, answer: Answer[Any]) -> None:
        """An answer was given out that came by itself."""
        self._newest = later(self._newest, answer.as_of)

    def outcome_headers(self, sent: Sent, outcome: Outcome) -> RawHeaders:
        """`ETag` and the token that the client should send next."""
        token = later(self._seen(sent), outcome.token)
        return (*self.token_headers(sent, token), (b"etag", raw_etag(outcome.version)))

    def answer_headers(
        self, sent: Sent, answer: Answer[Any], *, version: int | None = None
    ) -> RawHeaders:
        """Token, how new the answer is, and the `version` of a stream as its `ETag`."""
        headers = list(self.token_headers(sent, answer.token))
        headers.append((RAW_AS_OF, b"%d" % answer.as_of.position))
        if answer.stale:
            headers.append((RAW_STALE, b"true"))
        if version is not None:
            headers.append((b"etag", raw_etag(version)))
        return tuple(headers)

    def token_headers(self, sent: Sent, token: Token) -> RawHeaders:
        """What hands a token to the client: the header, and the cookie if it is switched on."""
        text = str(token).encode()
        if not self._cookie:
            return ((RAW_TOKEN, text),)
        return ((RAW_TOKEN, text), cookie_header(text, secure=sent.secure))

    async def finish(self, scope: Scope, given: Collection[bytes]) -> RawHeaders:
        """The token of an answer whose route gave none: that of the request, or a newer one."""
        if RAW_TOKEN in given or (self._policy.asks and _ALLOWED not in scope):
            return ()
        sent = Sent(scope)
        try:
            newest = self._newest or await self._head()
            token = later(self._seen(sent), newest)
        except (InvalidInput, StoreError):
            return () if self._newest is None else self.token_headers(sent, self._newest)
        return self.token_headers(sent, token)

    async def _ask(self, query: Query[R], actor: Actor, at_least: Token | None) -> Answer[R]:
        answer = await self.app.ask(
            query, at_least=at_least, tenant=actor.tenant, on_timeout="stale", timeout=self._wait
        )
        return self._checked(answer, query, at_least)

    async def _begin(
        self, query: Query[R], actor: Actor, at_least: Token | None
    ) -> tuple[Answer[R], Watching[R]]:
        watching = self.app.watch(query, at_least=at_least, tenant=actor.tenant, timeout=self._wait)
        try:
            return self._checked(await anext(watching), query, at_least), watching
        except BaseException:
            watching.close()
            raise

    def _checked(self, answer: Answer[R], query: Query[R], at_least: Token | None) -> Answer[R]:
        """Raises: ConsistencyTimeout: stale, and nothing found."""
        self.shown(answer)
        if answer.value is None and answer.stale and at_least is not None:
            raise ConsistencyTimeout(
                type(query).__name__,
                wanted=at_least.position,
                reached=answer.as_of.position,
                timeout=self._wait,
            )
        return answer

    def _resumed(self, sent: Sent) -> Token | None:
        """Raises: InvalidToken, TokenFromAnotherHistory."""
        seen, resumed = self._seen(sent), resumed_token_of(sent)
        if resumed is None or resumed.log_id != self.app.log.id:
            return seen
        return later(seen, resumed)

    async def _anew(self, ask: Callable[[Token | None], Awaitable[T]]) -> T:
        """Without the cookie; and without what was given out here, if the log has lost that too:
        it was restored from a backup while this process runs."""
        try:
            return await ask(self._newest)
        except TokenFromAnotherHistory:
            self._newest = None
            return await ask(None)

    def _seen(self, sent: Sent) -> Token | None:
        """What the client has seen. Raises: InvalidToken, TokenFromAnotherHistory."""
        token, log_id = token_of(sent), self.app.log.id
        if token is not None:
            if token.log_id != log_id:
                raise TokenFromAnotherHistory
            return token
        if not self._cookie:
            return None
        carried = cookie_token_of(sent)
        if carried is None or carried.log_id != log_id:
            return None
        # Answers that cross each other may leave the older one's cookie
        return carried if self._newest is None else later(carried, self._newest)

    async def _head(self) -> Token:
        head = await self.app.log.head()
        self._newest = later(self._newest, Token(self.app.log.id, head.position, head.event_id))
        return self._newest
