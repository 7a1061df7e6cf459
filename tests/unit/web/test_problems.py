"""Every error has one status and one code, and shows nothing that it should not."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from diptych import errors
from diptych.errors import (
    CommandIdReused,
    ConcurrencyError,
    ConditionFailed,
    ConfigurationError,
    ConsistencyTimeout,
    DiptychError,
    HistoryDiverged,
    InvalidCursor,
    InvalidInput,
    InvalidToken,
    LimitExceeded,
    OutcomeUnknown,
    Overloaded,
    Rejected,
    StorageFull,
    StoreError,
    TokenFromAnotherHistory,
    ViewNotReady,
)
from diptych.web.problems import Problem, Problems, RequestRefused

ID = UUID(int=7)


class TeapotRefused(Rejected):
    pass


class NoSuchTeapot(Rejected):
    pass


class NoSuchSmallTeapot(NoSuchTeapot):
    pass


class _Private(NoSuchTeapot):
    pass


CODES: list[tuple[Exception, int, str]] = [
    (InvalidInput("a.b", "must be there"), 422, "invalid-input"),
    (LimitExceeded("a", limit=3, unit="bytes"), 422, "limit-exceeded"),
    (InvalidToken(), 422, "invalid-token"),
    (TokenFromAnotherHistory(), 422, "token-from-another-history"),
    (InvalidCursor(), 422, "invalid-cursor"),
    (CommandIdReused(ID), 422, "command-id-reused"),
    (TeapotRefused("no"), 409, "teapot-refused"),
    (NoSuchTeapot("no"), 404, "no-such-teapot"),
    (NoSuchSmallTeapot("no"), 404, "no-such-small-teapot"),
    (_Private("no"), 404, "no-such-teapot"),
    (ConcurrencyError("s-1", expected=1, actual=2), 503, "concurrency-error"),
    (ConditionFailed(after=1, position=2), 503, "condition-failed"),
    (OutcomeUnknown(ID), 504, "outcome-unknown"),
    (Overloaded(waiting=9, limit=9), 503, "overloaded"),
    (
        ConsistencyTimeout("v", wanted=2, reached=1, timeout=timedelta(seconds=1)),
        503,
        "consistency-timeout",
    ),
    (ViewNotReady("v", position=1, head=9), 503, "view-not-ready"),
    (StorageFull("disk"), 503, "storage-full"),
    (HistoryDiverged("view", position=3), 503, "history-diverged"),
    (ConfigurationError("wrong"), 500, "internal-error"),
    (DiptychError("odd"), 500, "internal-error"),
    (RuntimeError("bug"), 500, "internal-error"),
    (RequestRefused(413, "body", "too large", limit=5), 413, "content-too-large"),
    (HTTPException(404), 404, "not-found"),
    (HTTPException(405), 405, "method-not-allowed"),
    (HTTPException(418), 418, "http-418"),
]


def members(problem: Problem) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bytes(problem.response().body))
    return found


@pytest.mark.parametrize(("error", "status", "code"), CODES, ids=[code for _, _, code in CODES])
def test_each_error_has_its_status_and_code(error: Exception, status: int, code: str) -> None:
    problem = Problems({NoSuchTeapot: 404}).of(error)
    assert (problem.status, problem.code) == (status, code)
    assert members(problem)["type"] == f"urn:problem:{code}"


def test_every_public_error_has_a_status() -> None:
    kinds = [each for each in vars(errors).values() if isinstance(each, type)]
    known = {InvalidInput, CommandIdReused, Rejected, OutcomeUnknown, errors.TryAgain, StoreError}
    programmers = {DiptychError, ConfigurationError, errors.NoHandler}
    for kind in kinds:
        if issubclass(kind, DiptychError) and kind not in programmers:
            assert known & set(kind.__mro__), kind


def test_with_if_match_a_conflict_is_a_failed_precondition() -> None:
    error = ConcurrencyError("order-1", expected=3, actual=5)
    problem = Problems().of(error, conditional=True)
    assert (problem.status, problem.code) == (412, "version-mismatch")
    assert problem.detail == "It is at version 5, not 3."


def test_a_refused_value_names_field_and_limit() -> None:
    found = members(Problems().of(LimitExceeded("items.0.quantity", limit=9, unit="pieces")))
    error = {"field": "items.0.quantity", "detail": "at most 9 pieces", "limit": 9}
    assert found["errors"] == [error]


@pytest.mark.parametrize(("retry_after", "header"), [(0.2, "1"), (1.0, "1"), (2.5, "3")])
def test_overload_says_when_to_come_back(retry_after: float, header: str) -> None:
    problem = Problems().of(Overloaded(waiting=1, limit=1, retry_after=retry_after))
    assert problem.headers["Retry-After"] == header


def test_an_unknown_outcome_does_not_invite_a_blind_repeat() -> None:
    assert "Retry-After" not in Problems().of(OutcomeUnknown(ID)).headers


def test_a_view_that_is_being_built_shows_its_progress() -> None:
    found = members(Problems().of(ViewNotReady("summaries", position=3, head=9)))
    assert (found["view"], found["position"], found["head"]) == ("summaries", 3, 9)


def test_a_store_error_shows_nothing_of_its_cause(caplog: Any) -> None:
    found = Problems().of(StoreError("disk I/O error at /secret/path: SELECT"))
    text = json.dumps(members(found))
    assert "secret" not in text
    assert "SELECT" not in text
    assert str(found.instance) in caplog.text


def test_a_validation_error_of_fastapi_does_not_repeat_the_input() -> None:
    error = RequestValidationError(
        [{"type": "int", "loc": ("body", "a", 0), "msg": "should be int", "input": "s3cret"}]
    )
    found = members(Problems().of(error))
    assert found["errors"] == [{"field": "a.0", "detail": "should be int"}]
    assert "s3cret" not in json.dumps(found)


def test_a_field_made_up_by_the_client_is_cut_and_made_printable() -> None:
    found = members(Problems().of(InvalidInput("\ud800" + "x" * 1_000_000, "is unknown")))
    assert len(json.dumps(found)) < 2_000
