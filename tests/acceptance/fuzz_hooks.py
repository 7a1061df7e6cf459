"""Schemathesis' hooks: what a schema cannot say of valid requests. Wrong ones are sent as they are.

A token must be one that was given out, an `Idempotency-Key` new, a cursor one of the same query,
and a page number so small that the pages up to it are at most 100,000 rows. To JSON Schema 1.0 is
an integer; here it is refused.
"""

from typing import Any
from uuid import uuid4

import schemathesis

TOKEN = "Diptych-Token"
_newest: dict[str, str] = {}


@schemathesis.hook
def before_call(_: Any, case: Any, __: Any) -> None:
    if case.meta is not None and not case.meta.generation.mode.is_positive:
        return
    _acceptable_headers(case.headers or {})
    query = case.query or {}
    query.pop("cursor", None)
    if "page" in query:
        query["page"] = min(int(query["page"]), 200)
    case.body = _with_integers(case.body)


def _acceptable_headers(headers: Any) -> None:
    if headers.pop(TOKEN, None) is not None:
        headers.update(_newest)
    if "Idempotency-Key" in headers:
        headers["Idempotency-Key"] = str(uuid4())
    if "If-Match" in headers:  # quotes of what the pattern says are lost on the way
        headers["If-Match"] = '"1"'


def _with_integers(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_integers(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_with_integers(each) for each in value]
    return int(value) if isinstance(value, float) else value


@schemathesis.hook
def after_call(_: Any, __: Any, response: Any) -> None:
    for value in response.headers.get(TOKEN.lower(), []):
        _newest[TOKEN] = value
