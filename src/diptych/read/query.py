"""Queries: a message that carries the type of its answer, and what answers it."""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, Self, TypeVar, get_type_hints

from diptych.errors import ConfigurationError
from diptych.listed import listed
from diptych.read.hints import answer_hint, fits, shown
from diptych.read.model import ReadModel
from diptych.read.rows import Rows
from diptych.tokens import Token

Q = TypeVar("Q")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
Q_contra = TypeVar("Q_contra", contravariant=True)


class Asks(Generic[Q, R]):
    """What a query type and the type of its answer are to a type checker, exactly."""


class Query(Generic[R_co]):
    """Base of queries: `class GetOrder(Query[OrderSummary | None])`, a frozen dataclass, msgspec
    Struct or pydantic model (there the model comes first). `R` is what it is answered with.
    """

    __slots__ = ()

    @classmethod
    def _asks(cls) -> Asks[Self, R_co]:
        """For type checkers only: `answer` compares the handler with it."""
        return Asks()


class QueryType(Protocol[Q, R]):
    """A class derived from `Query[R]`."""

    def _asks(self) -> Asks[Q, R]: ...


@dataclass(frozen=True, slots=True)
class Answer(Generic[R]):
    """The value, and how new it is.

    `as_of` is the place in the log that the value shows. `stale` says that it is older than what
    was asked for. `token` is what the client should send next time, so that it never sees an older
    answer: the newer of `as_of` and what it sent.
    """

    value: R
    as_of: Token
    stale: bool
    token: Token


@dataclass(frozen=True, slots=True)
class QueryHandler:
    """A query type, what answers it and the views that are read for it; made by `answer`."""

    query: type
    call: Callable[[Any, Rows], Awaitable[Any]]
    reads: tuple[ReadModel, ...]


class HandlerObject(Protocol[Q_contra, R_co]):
    """Any object with an async `handle`."""

    async def handle(self, query: Q_contra, rows: Rows, /) -> R_co: ...


def answer(
    query: QueryType[Q, R],
    handler: Callable[[Q, Rows], Awaitable[R]] | HandlerObject[Q, R],
    *,
    reads: Sequence[ReadModel],
) -> QueryHandler:
    """Let `async handler(query, rows)`, or an object with such a `handle`, answer a query type.

    `reads` lists every view and projection that it reads: the query waits for these, and for no
    other.

    Raises:
        ConfigurationError: the handler's hints say that it takes another query or returns another
            type than the query is answered with, or are missing; nothing is read.
    """
    if not isinstance(query, type) or not issubclass(query, Query):
        raise ConfigurationError(f"{query!r} is not a query: write class X(Query[Answer])")
    call: Callable[[Any, Rows], Awaitable[Any]] = handler if callable(handler) else handler.handle
    _check(query, call)
    models = listed("reads", reads, ReadModel, write="view")
    if not models:
        raise ConfigurationError(f"answer({query.__qualname__}): reads= lists views, at least one")
    return QueryHandler(query, call, models)


def _check(query: type, handler: Callable[..., object]) -> None:
    wanted = answer_hint(query, Query)
    if wanted is None:
        raise ConfigurationError(
            f"{query.__qualname__} does not say what it is answered with: write"
            f" class {query.__name__}(Query[Answer])"
        )
    named = getattr(handler, "__qualname__", repr(handler))
    parameters, returned = _hints(handler, named)
    if len(parameters) != 2:
        raise ConfigurationError(f"{named} takes {len(parameters)} parameters: write (query, rows)")
    taken = parameters[0]
    if isinstance(taken, type) and not issubclass(query, taken):
        raise ConfigurationError(f"{named} takes {shown(taken)}, not {query.__qualname__}")
    if not fits(returned, wanted):
        raise ConfigurationError(
            f"{named} returns {shown(returned)}, but {query.__qualname__} is answered with"
            f" {shown(wanted)}: make them agree"
        )


def _hints(handler: Callable[..., object], named: str) -> tuple[list[Any], Any]:
    """The hints of the parameters that a call gives, None where there is none; and the result's."""
    function = handler.func if isinstance(handler, partial) else handler
    if not inspect.isroutine(function):
        function = type(function).__call__
    try:
        found = get_type_hints(function)
    except (NameError, TypeError) as error:
        raise ConfigurationError(
            f"the hints of {named} cannot be read: its types must be found in its module"
        ) from error
    if "return" not in found:
        raise ConfigurationError(f"{named} does not say what it returns: annotate it")
    empty = inspect.Parameter.empty
    names = [
        parameter.name
        for parameter in inspect.signature(handler).parameters.values()
        if parameter.default is empty and parameter.kind is not parameter.KEYWORD_ONLY
    ]
    return [found.get(name) for name in names], found["return"]
