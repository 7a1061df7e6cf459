"""From requests to commands and queries, strictly: nothing unknown, twice or coerced."""

import re
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeVar
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope

from diptych.errors import InvalidInput, LimitExceeded
from diptych.shapes import edge_decoder
from diptych.web.problems import RequestRefused

T = TypeVar("T")

MAX_PARAMETERS: Final = 50
_JSON: Final = re.compile(r'application/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?', re.IGNORECASE)


_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})


async def from_body(request: Request, kind: type[T], *, fill: Mapping[str, object] = _NOTHING) -> T:
    """A command, or any other type, from the JSON body and the parameters of the path.

    A body may repeat a parameter of the path, with the same value. No body is an empty object.
    Fields that it lacks are taken from `fill`.

    Raises:
        RequestRefused: the body is not declared as JSON in UTF-8, or is too large.
        InvalidInput, LimitExceeded: it does not fit the type; the field is named.
    """
    return decoded(await request.body(), kind, request.scope, fill=fill)


def decoded(
    body: bytes, kind: type[T], scope: Scope, *, fill: Mapping[str, object] = _NOTHING
) -> T:
    """`from_body`, with the body that was read."""
    if scope["query_string"]:
        raise InvalidInput("query", "takes no query parameters")
    if body and not _is_json(scope):
        raise RequestRefused(415, "content-type", "must be application/json, in UTF-8")
    return edge_decoder(kind).decode(body or b"{}", extra=scope["path_params"], fill=fill)


async def from_parameters(request: Request, kind: type[T]) -> T:
    """A query, or any other type, from the parameters of query string and path.

    Raises: InvalidInput, LimitExceeded: they do not fit the type, or there is a body.
    """
    if not _has_no_body(request) and await request.body():
        raise InvalidInput("body", "must be empty")
    given = parameters_of(request.scope["query_string"])
    return edge_decoder(kind).decode_text(given, extra=request.path_params)


def in_body(kind: type[T]) -> Callable[[Request], Awaitable[T]]:
    """`from_body` for routes of your own: `command: Annotated[Pack, Depends(in_body(Pack))]`."""

    async def command(request: Request) -> T:
        return await from_body(request, kind)

    return command


def in_parameters(kind: type[T]) -> Callable[[Request], Awaitable[T]]:
    """`from_parameters` for routes of your own, in the same way."""

    async def query(request: Request) -> T:
        return await from_parameters(request, kind)

    return query


async def body_of(receive: Receive) -> bytes:
    """As `Request.body()`, which costs several times that; afterwards the request has none.

    Raises: ClientDisconnect.
    """
    chunks: list[bytes] = []
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _is_json(scope: Scope) -> bool:
    given = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    return given == b"application/json" or bool(_JSON.fullmatch(given.decode("latin-1").strip()))


def _has_no_body(request: Request) -> bool:
    """HTTP/1.1 says so by the absence of both; with others one has to look."""
    names = {name for name, _ in request.scope["headers"]}
    told = request.scope["http_version"].startswith("1.")
    return told and names.isdisjoint((b"content-length", b"transfer-encoding"))


def parameters_of(query_string: bytes) -> dict[str, str]:
    """The parameters of a query string.

    Raises: InvalidInput, LimitExceeded: one comes twice, more than 50, not UTF-8 after decoding.
    """
    if not query_string:
        return {}
    if query_string.count(b"&") >= MAX_PARAMETERS:
        raise LimitExceeded("query", limit=MAX_PARAMETERS, unit="parameters")
    try:
        text = query_string.decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        raise InvalidInput("query", "must be name=value pairs in percent-encoded UTF-8") from None
    given = dict(pairs)
    if len(given) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidInput(twice, "must not be repeated")
    return given
