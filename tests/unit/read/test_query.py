"""Registering queries: the types of message, handler and answer must agree."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Optional, TypeVar, Union
from uuid import UUID

import msgspec
import pydantic
import pytest

from diptych.codec import Events
from diptych.errors import ConfigurationError
from diptych.messages import RecordedEvent
from diptych.read.hints import answer_hint, fits
from diptych.read.page import Page
from diptych.read.query import Query, answer
from diptych.read.rows import Rows
from diptych.read.view import View

T = TypeVar("T")


@dataclass(frozen=True)
class Happened:
    a: int


@dataclass(frozen=True)
class Row:
    a: int


def project(row: Row | None, event: Happened, recorded: RecordedEvent) -> Row | None:
    return row


view = View("rows", events=[Events("x", Happened)], row=Row, key="a", project=project)


@dataclass(frozen=True)
class Get(Query[Row | None]):
    a: int


class Find(msgspec.Struct, Query[str], frozen=True):
    a: int


class Model(pydantic.BaseModel, Query[list[int]], frozen=True):
    a: int


class Paged(Query[Page[T]], Generic[T]):
    pass


class PagedRows(Paged[Row]):
    pass


class Narrowed(PagedRows):
    pass


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        (Get, Row | None),
        (Find, str),
        (Model, list[int]),
        (PagedRows, Page[Row]),
        (Narrowed, Page[Row]),
    ],
)
def test_a_query_type_says_what_it_is_answered_with(query: type, hint: Any) -> None:
    assert answer_hint(query, Query) == hint


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (int, int),
        (int, int | None),
        (None, int | None),
        (Optional[int], int | None),  # noqa: UP045
        (int | str, Union[str, int, None]),  # noqa: UP007
        (bool, int),
        (list[int], Sequence[int]),
        (list[int], list),
        (Page[Row], Page[Row]),
        (Any, str),
        (str, Any),
    ],
)
def test_a_hint_that_fits(found: Any, wanted: Any) -> None:
    found = type(None) if found is None else found
    assert fits(found, wanted)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (int, str),
        (int | None, int),
        (list[int], list[str]),
        (Page[Row], Page[Happened]),
        (Page[Row], Row),
        (Sequence[int], list[int]),
        (UUID, str | None),
    ],
)
def test_a_hint_that_does_not(found: Any, wanted: Any) -> None:
    assert not fits(found, wanted)


async def get(query: Get, rows: Rows) -> Row | None:
    return None


async def narrower(query: Get, rows: Rows) -> Row:
    return Row(1)


async def with_extra(query: Get, rows: Rows, *, extra: int) -> Row | None:
    return None


async def first_extra(extra: int, query: Get, rows: Rows) -> Row | None:
    return None


class Handler:
    async def handle(self, query: Get, rows: Rows) -> Row | None:
        return None


class Callable_:  # noqa: N801
    async def __call__(self, query: Get, rows: Rows) -> Row | None:
        return None


@pytest.mark.parametrize(
    "handler",
    [get, narrower, partial(with_extra, extra=1), partial(first_extra, 1), Handler(), Callable_()],
)
def test_every_kind_of_handler_is_taken(handler: Any) -> None:
    assert answer(Get, handler, reads=[view]).query is Get


async def wrong_answer(query: Get, rows: Rows) -> str:
    return ""


async def wrong_query(query: Find, rows: Rows) -> Row | None:
    return None


async def no_hint(query: Get, rows: Rows):  # type: ignore[no-untyped-def]
    return None


async def one_parameter(query: Get) -> Row | None:
    return None


async def lost_hint(query: Get, rows: Rows) -> "Missing":  # type: ignore[name-defined]  # noqa: F821
    return None


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        (wrong_answer, "returns str, but Get is answered with"),
        (wrong_query, "takes Find, not Get"),
        (no_hint, "does not say what it returns"),
        (one_parameter, r"takes 1 parameters: write \(query, rows\)"),
        (lost_hint, "cannot be read"),
    ],
)
def test_a_handler_that_does_not_fit_is_refused(handler: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        answer(Get, handler, reads=[view])


def test_what_is_no_query_is_refused() -> None:
    class Bare(Query):  # type: ignore[type-arg]
        pass

    with pytest.raises(ConfigurationError, match="is not a query"):
        answer(Row, get, reads=[view])  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="does not say what it is answered with"):
        answer(Bare, get, reads=[view])
    with pytest.raises(ConfigurationError, match="reads="):
        answer(Get, get, reads=[])
