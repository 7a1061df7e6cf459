"""The headers of the edge: consistency token, `ETag` and `If-Match`, `Idempotency-Key`; cookie."""

import re
from typing import Final
from uuid import UUID, uuid5

from starlette.datastructures import Headers
from starlette.types import Scope

from diptych.errors import InvalidInput, InvalidToken, LimitExceeded, TokenFromAnotherHistory
from diptych.store.limits import MAX_VERSION
from diptych.tokens import Token

TOKEN: Final = "Diptych-Token"  # noqa: S105 - the name of a header
LAST_EVENT_ID: Final = "Last-Event-ID"
STALE: Final = "Diptych-Stale"
AS_OF: Final = "Diptych-As-Of"
IF_MATCH: Final = "If-Match"
IDEMPOTENCY_KEY: Final = "Idempotency-Key"

RAW_TOKEN: Final = TOKEN.lower().encode()
RAW_STALE: Final = STALE.lower().encode()
RAW_AS_OF: Final = AS_OF.lower().encode()
COOKIE: Final = "diptych-token"

_LOOKED_AT: Final = frozenset(
    [RAW_TOKEN, b"idempotency-key", b"if-match", b"cookie", b"last-event-id"]
)
_KEYS: Final = UUID("6b1d7f5e-4a39-5d0c-9c55-8f1f0e7a2b64")
_MAX_KEY: Final = 255
_ETAG: Final = re.compile(r'"(0|[1-9][0-9]{0,18})"')


class Sent(Headers):
    """Those headers of a request that the edge looks at; and whether they came encrypted."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(raw=[pair for pair in scope["headers"] if pair[0] in _LOOKED_AT])
        self.secure: bool = scope["scheme"] == "https"


def token_of(headers: Headers) -> Token | None:
    """Raises: InvalidToken: what is there is no token."""
    text = only(headers, TOKEN)
    return None if text is None else Token.parse(text)


def resumed_token_of(headers: Headers) -> Token | None:
    """The id of the last event that a client of a live query has seen.

    Raises: InvalidToken: what is there is no token.
    """
    text = only(headers, LAST_EVENT_ID)
    return Token.parse(text) if text else None


def cookie_token_of(headers: Headers) -> Token | None:
    """The token that a browser carries; None if what it carries is none of ours."""
    for header in headers.getlist("cookie"):
        for pair in header.split(";"):
            name, _, text = pair.strip().partition("=")
            if name == COOKIE:
                try:
                    return Token.parse(text)
                except InvalidToken:
                    return None
    return None


def cookie_header(token: bytes, *, secure: bool) -> tuple[bytes, bytes]:
    """Until the browser is closed, for no script, not for requests that other sites begin."""
    value = b"%s=%s; Path=/; HttpOnly; SameSite=Lax" % (COOKIE.encode(), token)
    return b"set-cookie", value + b"; Secure" if secure else value


def command_id_of(headers: Headers) -> UUID | None:
    """The command id that an `Idempotency-Key` stands for: the same for the same key, always.

    Raises: InvalidInput, LimitExceeded: the key is not 1 to 255 visible ASCII characters.
    """
    key = only(headers, IDEMPOTENCY_KEY)
    if key is None:
        return None
    if len(key) > _MAX_KEY:
        raise LimitExceeded(IDEMPOTENCY_KEY, limit=_MAX_KEY, unit="characters")
    if not key or not all("!" <= character <= "~" for character in key):
        raise InvalidInput(IDEMPOTENCY_KEY, "must be visible ASCII characters")
    return uuid5(_KEYS, key)


def expected_version_of(headers: Headers) -> int | None:
    """The version that `If-Match` names; None for `*`, which any existing version matches.

    Raises: InvalidInput: it is not one strong entity tag that this service could have given out.
    """
    text = only(headers, IF_MATCH)
    if text is None or text == "*":
        return None
    found = _ETAG.fullmatch(text)
    if found is None or int(found[1]) > MAX_VERSION:
        raise InvalidInput(IF_MATCH, 'must be * or the ETag of an answer, such as "3"')
    return int(found[1])


def etag(version: int) -> str:
    return f'"{version}"'


def raw_etag(version: int) -> bytes:
    return b'"%d"' % version


def later(one: Token | None, other: Token) -> Token:
    """The token that proves more, so that a client never goes back.

    Raises: TokenFromAnotherHistory: they are of two logs.
    """
    if one is None:
        return other
    if one.log_id != other.log_id:
        raise TokenFromAnotherHistory
    return one if one.position > other.position else other


def only(headers: Headers, name: str) -> str | None:
    """The one value of a header. Raises: InvalidInput: it is there twice."""
    if not headers.raw:  # most requests send none of those that are looked at
        return None
    values = headers.getlist(name)
    if len(values) > 1:
        raise InvalidInput(name, "must not be repeated")
    return values[0].strip() if values else None
