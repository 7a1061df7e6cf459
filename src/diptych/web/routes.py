"""Routes as they are declared: `command_route("POST /orders", PlaceOrder)` and `query_route`."""

import re
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from diptych.errors import ConfigurationError
from diptych.read.hints import answer_hint
from diptych.read.page import Page
from diptych.read.query import Query, QueryType
from diptych.read.rows import Versioned
from diptych.shapes import edge_decoder
from diptych.shapes.fields import is_union
from diptych.web.identity import Allow
from diptych.write.outcome import Outcome

C = TypeVar("C")
Q = TypeVar("Q")
R = TypeVar("R")

PARAMETER: Final = re.compile(r"{(\w+)}")
_ADDRESS: Final = re.compile(r"([A-Z]+) (/(?:[^/{}?# ]+|{\w+})?(?:/(?:[^/{}?# ]+|{\w+}))*)")
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})

Convert = Callable[[Any], object]


@dataclass(frozen=True, kw_only=True)
class Route:
    """An address, the message that it stands for, and who may send that."""

    method: str
    path: str
    message: type[Any]
    shape: Any
    """The type of the answer's body; None if it has none."""
    allow: Allow[Any] | None


@dataclass(frozen=True, kw_only=True)
class CommandRoute(Route):
    """Made by `command_route`."""

    status: int
    answer: Callable[[Any, Outcome], object]
    location: str | None
    new_id: str | None
    versioned: bool

    @property
    def has_body(self) -> bool:
        """Whether the command is decoded from a body too."""
        return self.method in _WITH_BODY


@dataclass(frozen=True, kw_only=True)
class QueryRoute(Route):
    """Made by `query_route`."""

    show: Convert | None
    missing: Callable[[Any], Exception] | None
    unpack: Callable[[Any], tuple[Any, int | None]]
    """The value that is shown, and its version."""


@dataclass(frozen=True, kw_only=True)
class LiveRoute(QueryRoute):
    """Made by `live_route`."""


def command_route(
    address: str,
    command: type[C],
    *,
    answer: object | Callable[[C, Outcome], object] = None,
    status: int | None = None,
    location: str | None = None,
    new_id: str | None = None,
    versioned: bool = False,
    allow: Allow[C] | None = None,
) -> CommandRoute:
    """`"POST /orders/{order_id}/items"` dispatches a command, decoded from the path and the body;
    for DELETE from path and query string.

    `answer` is the body of the answer: a value, or `(command, outcome) -> value` with a hint;
    without it there is none: 204. `location` is the path of what was created, with fields of the
    command: 201. The client may leave out the field `new_id`: it is then a new id, the same again
    if the request is repeated under its `Idempotency-Key`. `versioned` demands `If-Match`. `allow`
    says who may, where the mount has an identity; without it nobody may.

    Raises: ConfigurationError: the parts do not fit.
    """
    method, path = _address(address, ("POST", "PUT", "PATCH", "DELETE"))
    _require(not issubclass(command, Query), f"{command!r} is a query: write query_route")
    _check_made(command, _check_path(path, command), new_id=new_id, location=location)
    shape, make = _answer(answer)
    return CommandRoute(
        method=method,
        path=path,
        message=command,
        status=status or (201 if location else 204 if shape is None else 200),
        shape=shape,
        answer=make,
        location=location,
        new_id=new_id,
        versioned=versioned,
        allow=allow,
    )


def query_route(
    address: str,
    query: QueryType[Q, R],
    *,
    show: type | Convert | None = None,
    missing: Callable[[Q], Exception] | None = None,
    version: str | None = None,
    allow: Allow[Q] | None = None,
) -> QueryRoute:
    """`"GET /orders/{order_id}"` answers a query, decoded from path and query string.

    `show` is what clients see of a value, or of each item of a `Page`: a dataclass or Struct with
    some of its fields, or a function with a hint. A value that is None is 404, or the error that
    `missing` makes. `version` is the field that holds the version of the stream, for the `ETag`; a
    `Versioned` row needs none. `allow` as for commands.

    Raises: ConfigurationError: the parts do not fit.
    """
    method, path = _address(address, ("GET",))
    if not (isinstance(query, type) and issubclass(query, Query)):
        raise ConfigurationError(f"{query!r} is not a query: write command_route")
    _check_path(path, query)
    hint = _present(answer_hint(query, Query))
    paged, inner = get_origin(hint) is Page, get_origin(hint) in (Page, Versioned)
    row = get_args(hint)[0] if inner else hint
    known = version is None or version in _attributes(row)
    _require(known, f"{row} has no field {version!r}")
    seen, convert = _shown(show, row)
    return QueryRoute(
        method=method,
        path=path,
        message=query,
        shape=_page_of(seen) if paged else seen,
        show=_of_each(convert) if paged and convert else convert,
        missing=missing,
        unpack=_unversioned if inner and not paged else _with_version(version),
        allow=allow,
    )


def live_route(
    address: str,
    query: QueryType[Q, R],
    *,
    show: type | Convert | None = None,
    missing: Callable[[Q], Exception] | None = None,
    allow: Allow[Q] | None = None,
) -> LiveRoute:
    """`"GET /orders/{order_id}/events"` answers a query as server-sent events: what `query_route`
    answers, and that again whenever it changes.

    `answer` has that body as data and a token as id, with which the client goes on where it was;
    `stale` says that the last answer is older than it should be, until the next; `problem` is the
    last one. A policy for the type of the query, on whichever route, is for all of its routes.

    Raises: ConfigurationError: the parts do not fit.
    """
    made = query_route(address, query, show=show, missing=missing, allow=allow)
    return LiveRoute(**vars(made))


def _unversioned(value: Versioned[Any]) -> tuple[Any, int | None]:
    return value.row, value.version


def _with_version(name: str | None) -> Callable[[Any], tuple[Any, int | None]]:
    if name is None:
        return lambda value: (value, None)
    return lambda value: (value, getattr(value, name))


def _address(text: str, methods: tuple[str, ...]) -> tuple[str, str]:
    found = _ADDRESS.fullmatch(text)
    if found is None or found[1] not in methods:
        raise ConfigurationError(
            f"{text!r} is no address: write one of {', '.join(methods)}, a space, and a path such"
            " as /orders/{order_id}"
        )
    return found[1], found[2]


def _check_path(path: str, message: type[Any]) -> frozenset[str]:
    edge_decoder(message)  # raises ConfigurationError for what cannot be decoded strictly
    names, given = _names(message), PARAMETER.findall(path)
    _require(len(given) == len(set(given)), f"{path} has a parameter twice")
    for name in given:
        _require(name in names, f"{message.__qualname__} has no field {name!r}, as in {path}")
    return names


def _check_made(
    command: type[Any], names: frozenset[str], *, new_id: str | None, location: str | None
) -> None:
    """The location is made from attributes, which may have other names than the JSON."""
    lacking = set(PARAMETER.findall(location or "")).difference(_attributes(command))
    lacking |= {new_id} - names if new_id else set()
    _require(not lacking, f"{command.__qualname__} has no field {', '.join(lacking)}")


def _names(record: Any) -> frozenset[str]:
    """The fields of a record, by the names that JSON has for them."""
    record = get_origin(record) or record
    if is_dataclass(record):
        return frozenset(field.name for field in fields(record))
    if isinstance(record, type) and issubclass(record, msgspec.Struct):
        return frozenset(record.__struct_encode_fields__)
    model: dict[str, Any] = getattr(record, "model_fields", {})
    return frozenset(field.alias or name for name, field in model.items())


def _answer(answer: Any) -> tuple[Any, Callable[[Any, Outcome], object]]:
    if callable(answer) and not isinstance(answer, type):
        return _returned(answer, "answer="), answer
    _require(not isinstance(answer, type), "answer= takes a value or a function, not a class")
    return (None if answer is None else type(answer)), lambda _command, _outcome: answer


def _shown(show: Any, row: Any) -> tuple[Any, Convert | None]:
    if show is None:
        return row, None
    if not isinstance(show, type):
        return _returned(show, "show="), show
    wanted = tuple(_attributes(show))
    lacking = set(wanted) - set(_attributes(row))
    _require(not lacking, f"{row} lacks {', '.join(sorted(lacking))}, which {show} shows")
    return show, _Fields(show, wanted)


def _attributes(record: Any) -> tuple[str, ...]:
    record = get_origin(record) or record
    if is_dataclass(record):
        return tuple(field.name for field in fields(record))
    return tuple(getattr(record, "__struct_fields__", ())) or tuple(
        getattr(record, "model_fields", ())
    )


class _Fields(Generic[R]):
    """Makes a record from the fields of the same names of another."""

    def __init__(self, kind: Callable[..., R], names: tuple[str, ...]) -> None:
        _require(len(names) > 1, "show= takes a class of at least two fields, or a function")
        self._kind, self._names, self._take = kind, names, attrgetter(*names)

    def __call__(self, value: object) -> R:
        return self._kind(**dict(zip(self._names, self._take(value), strict=True)))


def _page_of(item: Any) -> Any:
    return Page[item]


def _of_each(convert: Convert) -> Convert:
    def convert_page(page: Page[Any]) -> Page[object]:
        items = tuple(map(convert, page.items))
        return Page(
            items, page.total, page.page, page.page_size, page.total_pages, page.next_cursor
        )

    return convert_page


def _returned(function: Callable[..., object], what: str) -> Any:
    hints = get_type_hints(function) if hasattr(function, "__annotations__") else {}
    _require("return" in hints, f"{what} takes a function that says what it returns: annotate it")
    return hints["return"]


def _present(hint: Any) -> Any:
    """A hint without its None."""
    if not is_union(hint):
        return hint
    return Union[tuple(each for each in get_args(hint) if each is not type(None))]  # noqa: UP007


def _require(condition: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not condition:
        raise ConfigurationError(otherwise)
