"""From errors to `application/problem+json` (RFC 9457), the one place of HTTP status codes.

`type` is `urn:problem:` and a code that clients may rely on: the name of the error's class in kebab
case, or one of the codes of HTTP itself (`not-found`, `content-too-large`). What is ours to mend
(5xx) carries an `instance` that is also in the log, with everything that the answer leaves out.
"""

import logging
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import msgspec
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from diptych.clock import uuid7
from diptych.errors import (
    CommandIdReused,
    ConcurrencyError,
    DiptychError,
    InvalidInput,
    LimitExceeded,
    OutcomeUnknown,
    Overloaded,
    Rejected,
    StoreError,
    TryAgain,
    ViewNotReady,
)
from diptych.web.identity import Forbidden, Unauthorized
from diptych.web.origins import CrossSiteRequest

MEDIA_TYPE: Final = "application/problem+json"

_log = logging.getLogger("diptych.web")
_MAX_TEXT: Final = 300
_STATUS: Final[dict[type[Exception], int]] = {
    Unauthorized: 401,
    Forbidden: 403,
    CrossSiteRequest: 403,
    InvalidInput: 422,
    CommandIdReused: 422,
    Rejected: 409,
    OutcomeUnknown: 504,
    TryAgain: 503,
    StoreError: 503,
}
_HTTP_CODES: Final = {
    400: "bad-request",
    401: "unauthorized",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    406: "not-acceptable",
    408: "request-timeout",
    412: "precondition-failed",
    413: "content-too-large",
    414: "uri-too-long",
    415: "unsupported-media-type",
    428: "precondition-required",
    429: "too-many-requests",
    431: "header-fields-too-large",
    503: "service-unavailable",
}
_INTERNAL: Final = "internal-error"
_DETAILS: Final = {
    404: "There is nothing at this path.",
    405: "This path does not know this method; the Allow header lists those that it does.",
    500: "The service failed; its log has more under this instance.",
    503: "A database of the service cannot do its work; its log has more under this instance.",
}


class RequestRefused(InvalidInput):
    """HTTP itself forbids the request: too large, of the wrong kind, too slow."""

    def __init__(self, status: int, field: str, problem: str, *, limit: int | None = None) -> None:
        super().__init__(field, problem)
        self.status, self.limit = status, limit


class TimeLimit(TryAgain):
    """An answer took longer than a request may; nothing was written."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"it took longer than the {seconds:g} s that a request may take")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong where: `field` is a path (`items.0.quantity`) or the name of a header."""

    field: str
    detail: str
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem, ready to be answered."""

    status: int
    code: str
    detail: str
    errors: tuple[FieldError, ...] = ()
    instance: UUID | None = None
    more: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        """As `application/problem+json`."""
        members: dict[str, object] = {
            "type": f"urn:problem:{self.code}",
            "title": self.code.replace("-", " ").capitalize(),
            "status": self.status,
            "detail": _printable(self.detail),
            **self.more,
        }
        if self.errors:
            members["errors"] = [_error_members(error) for error in self.errors]
        if self.instance:
            members["instance"] = f"urn:uuid:{self.instance}"
        body = msgspec.json.encode(members)
        return Response(body, self.status, dict(self.headers), media_type=MEDIA_TYPE)


Answered = int | Callable[[Any], Problem]
"""A status, or a function that makes the problem of an error."""


class Problems:
    """Which status and code an error has. Refusals of your domain are 409 unless `answered` says
    otherwise, for a class and the classes derived from it: `Problems({OrderNotFound: 404})`.

    Errors that are not Diptych's may be given a status too; their messages are never shown. A
    function makes the problem of an error: what it puts there is shown.
    """

    def __init__(self, answered: Mapping[type[Exception], Answered] | None = None) -> None:
        self._answered: dict[type[Exception], Answered] = {**_STATUS, **(answered or {})}

    def of(self, error: Exception, *, conditional: bool = False) -> Problem:
        """The problem for any error; `conditional` says that the request had an `If-Match`.

        What is not a `DiptychError`, not an `HTTPException` and has no status is a bug: 500, and
        nothing of it is shown.
        """
        known = (self._answered[kind] for kind in type(error).__mro__ if kind in self._answered)
        answered = next(known, 500)
        if not isinstance(answered, int):
            return answered(error)
        if isinstance(error, DiptychError):
            return _of_ours(error, answered, conditional=conditional)
        return _of_others(error, answered)


def _of_others(error: Exception, status: int) -> Problem:
    match error:
        case HTTPException():
            return _of_http(error)
        case RequestValidationError():
            return _of_validation(error)
        case _:
            return _of_refusal(error, status)


def _of_ours(error: DiptychError, status: int, *, conditional: bool) -> Problem:
    match error:
        case ConcurrencyError() if conditional:
            detail = f"It is at version {error.actual}, not {error.expected}."
            return Problem(status=412, code="version-mismatch", detail=detail)
        case InvalidInput():
            return _of_input(error, status)
        case TryAgain():
            return _of_delay(error, status, _code_of(type(error)))
        case _:
            return _of_refusal(error, status)


def _of_refusal(error: Exception, status: int) -> Problem:
    code = _code_of(type(error))
    if status >= 500:
        ours = isinstance(error, DiptychError) and status == 503
        return _of_failure(error, status, code if ours else _HTTP_CODES.get(status, _INTERNAL))
    shown = str(error) if isinstance(error, DiptychError) else "The request is refused."
    challenge = getattr(error, "challenge", "") if status == 401 else ""
    headers = {"WWW-Authenticate": challenge} if challenge else {}
    return Problem(status=status, code=code, detail=shown, headers=headers)


def _of_input(error: InvalidInput, status: int) -> Problem:
    code, limit = _code_of(type(error)), None
    if isinstance(error, RequestRefused):
        status, code, limit = error.status, _HTTP_CODES[error.status], error.limit
    elif isinstance(error, LimitExceeded):
        limit = error.limit
    found = FieldError(error.field, error.problem, limit)
    close = {"Connection": "close"} if status in (408, 413) else {}
    return Problem(status=status, code=code, detail=str(error), errors=(found,), headers=close)


def _of_delay(error: TryAgain, status: int, code: str) -> Problem:
    """A time-out of the commit gets no `Retry-After`: only the same command id makes it safe."""
    more: dict[str, object] = {}
    headers: dict[str, str] = {}
    if status == 503:
        seconds = error.retry_after if isinstance(error, Overloaded) else 1
        headers = {"Retry-After": str(max(1, math.ceil(seconds)))}
    if isinstance(error, ViewNotReady):
        more = {"view": error.view, "position": error.position, "head": error.head}
    instance = uuid7()
    _log.warning("%d %s, instance %s: %s", status, code, instance, error)
    return Problem(
        status=status,
        code=code,
        detail=str(error),
        instance=instance,
        more=more,
        headers=headers,
    )


def _of_failure(error: Exception, status: int, code: str) -> Problem:
    instance = uuid7()
    _log.error("%d %s, instance %s", status, code, instance, exc_info=error)
    detail = _DETAILS.get(status, _DETAILS[500])
    return Problem(status=status, code=code, detail=detail, instance=instance)


def _of_http(error: HTTPException) -> Problem:
    status = error.status_code
    code = _HTTP_CODES.get(status, f"http-{status}")
    return Problem(
        status=status,
        code=code,
        detail=_DETAILS.get(status) or str(error.detail),
        headers=dict(error.headers or {}),
    )


def _of_validation(error: RequestValidationError) -> Problem:
    """FastAPI's own answer would repeat the input, which may hold secrets."""
    found: list[dict[str, Any]] = list(error.errors())
    errors = tuple(FieldError(_path(each["loc"]), each["msg"]) for each in found)
    detail = f"{errors[0].field}: {errors[0].detail}" if errors else "The input is not valid."
    return Problem(status=422, code="invalid-input", detail=detail, errors=errors)


def _path(location: tuple[object, ...]) -> str:
    return ".".join(str(part) for part in location[1:]) or str(location[0])


def _error_members(error: FieldError) -> dict[str, object]:
    members: dict[str, object] = {
        "field": _printable(error.field),
        "detail": _printable(error.detail),
    }
    return members if error.limit is None else {**members, "limit": error.limit}


def _printable(text: str) -> str:
    """A field may be named by a key that the client made up, of any length, with any character."""
    short = text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}…"
    return short.encode(errors="replace").decode()


def _code_of(kind: type[Exception]) -> str:
    """That of the class itself, or of the first above it that is not private to us."""
    names = (each.__name__ for each in kind.__mro__)
    return _kebab(next(name for name in names if not name.startswith("_")))


def _kebab(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()
