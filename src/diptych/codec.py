"""`Events`: the event types of one category, from objects to stored bytes and back."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Generic, TypedDict, TypeVar, Unpack, overload
from uuid import UUID

from diptych.errors import (
    ConfigurationError,
    InvalidInput,
    LimitExceeded,
    UndecodableEvent,
    UnknownEventType,
)
from diptych.messages import EventData, RecordedEvent
from diptych.shapes import json_codec
from diptych.shapes.fields import is_model, is_record
from diptych.store.limits import MAX_EVENT_BYTES, check_name
from diptych.upcast import Read, Upcast, Upcasters

E_co = TypeVar("E_co", covariant=True)
T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
F = TypeVar("F")
G = TypeVar("G")
H = TypeVar("H")
J = TypeVar("J")

_NO_NAMES: Mapping[type, str] = MappingProxyType({})


class _Options(TypedDict, Generic[T], total=False):
    names: Mapping[type, str]
    upcasters: Sequence[Upcast]
    tags: Callable[[T], Iterable[str]] | None
    ignore: Iterable[str]


class Events(Generic[E_co]):
    """The event types of one category, under the names by which they are stored.

    A stored name stands for one shape of an event for ever. It is the name of the class unless
    `names` says otherwise, so a class can be renamed, and a new shape gets a new name and an
    upcaster from the old one:

        order_events = Events(
            "order",
            OrderCreated,
            OrderShipped,
            names={OrderCreated: "OrderCreated.v2"},
            upcasters=[Upcast("OrderCreated", "OrderCreated.v2", change=add_currency)],
        )

    Arguments:
        category: the part of the stream names before the first `-`.
        types: dataclasses, msgspec Structs or pydantic models.
        names: stored names that are not the class name.
        upcasters: from old stored shapes to newer ones; applied wherever events are decoded.
        tags: what append conditions can ask for, from the event.
        ignore: stored names that are passed over when they are read.

    Type checkers infer the union of up to eight types; for more, write
    `Events[OrderEvent]("order", ...)`.

    Raises: ConfigurationError says what to write.
    """

    # fmt: off
    @overload
    def __init__(self: "Events[A]", category: str, *types: *tuple[type[A]],
                 **options: Unpack[_Options[A]]) -> None: ...
    @overload
    def __init__(self: "Events[A | B]", category: str, *types: *tuple[type[A], type[B]],
                 **options: Unpack[_Options[A | B]]) -> None: ...
    @overload
    def __init__(self: "Events[A | B | C]", category: str,
                 *types: *tuple[type[A], type[B], type[C]],
                 **options: Unpack[_Options[A | B | C]]) -> None: ...
    @overload
    def __init__(self: "Events[A | B | C | D]", category: str,
                 *types: *tuple[type[A], type[B], type[C], type[D]],
                 **options: Unpack[_Options[A | B | C | D]]) -> None: ...
    @overload
    def __init__(self: "Events[A | B | C | D | F]", category: str,
                 *types: *tuple[type[A], type[B], type[C], type[D], type[F]],
                 **options: Unpack[_Options[A | B | C | D | F]]) -> None: ...
    @overload
    def __init__(self: "Events[A | B | C | D | F | G]", category: str,
                 *types: *tuple[type[A], type[B], type[C], type[D], type[F], type[G]],
                 **options: Unpack[_Options[A | B | C | D | F | G]]) -> None: ...
    @overload
    def __init__(self: "Events[A | B | C | D | F | G | H]", category: str,
                 *types: *tuple[type[A], type[B], type[C], type[D], type[F], type[G], type[H]],
                 **options: Unpack[_Options[A | B | C | D | F | G | H]]) -> None: ...
    @overload
    def __init__(self: "Events[A | B | C | D | F | G | H | J]", category: str,
                 *types: *tuple[type[A], type[B], type[C], type[D],
                                type[F], type[G], type[H], type[J]],
                 **options: Unpack[_Options[A | B | C | D | F | G | H | J]]) -> None: ...
    @overload
    def __init__(self, category: str, *types: type[E_co],
                 **options: Unpack[_Options[E_co]]) -> None: ...
    # fmt: on

    def __init__(
        self,
        category: str,
        *types: type[Any],
        names: Mapping[type, str] = _NO_NAMES,
        upcasters: Sequence[Upcast] = (),
        tags: Callable[[Any], Iterable[str]] | None = None,
        ignore: Iterable[str] = (),
    ) -> None:
        _check_category(category)
        self.category = category
        self.types: tuple[type[E_co], ...] = types
        self.names: Mapping[type, str] = _stored_names(category, types, names)
        self.upcasters = tuple(upcasters)
        self.ignored = frozenset(ignore)
        self._tags = tags
        self._encoders = {tp: (self.names[tp], json_codec(tp).encode) for tp in types}
        known: dict[str, Read[E_co]] = {
            name: json_codec(tp).decode for tp, name in self.names.items()
        }
        old = Upcasters.of(self.upcasters, known.keys())
        self._several = old.splitters(known)
        self._decoders = self._readers({**known, **old.readers(known)})
        quick: dict[str, Read[E_co]] = {n: json_codec(t).read for t, n in self.names.items()}
        self._quick = {**quick, **old.readers(quick)}

    def __repr__(self) -> str:
        return f"Events({self.category!r})"

    @property
    def parts(self) -> list[object]:
        """What decides which objects stored events become: a part of the fingerprint of each rule
        that is given them."""
        upcasters = [(each.old, each.new, each.change) for each in self.upcasters]
        return [self.category, *self.names.items(), *upcasters, sorted(self.ignored)]

    def encode(
        self, event: object, *, event_id: UUID, occurred_at: datetime | None = None
    ) -> EventData:
        """The event as it is appended. `occurred_at` (aware) is for imports.

        Raises:
            ConfigurationError: its type is not declared here.
            InvalidInput: a field does not hold what its type says, or cannot be stored exactly.
            LimitExceeded: it has more than 1 MB.
        """
        found = self._encoders.get(type(event))
        if found is None:
            raise self._undeclared(type(event))
        name, encode = found
        data = encode(event)
        if len(data) > MAX_EVENT_BYTES:
            raise LimitExceeded("event", limit=MAX_EVENT_BYTES, unit="bytes an event")
        tags = () if self._tags is None else tuple(dict.fromkeys(self._tags(event)))
        return EventData(name, data, event_id, tags, occurred_at and _utc(occurred_at))

    def knows(self, name: str) -> bool:
        """Whether events stored under this name are read, or ignored on purpose."""
        return name in self._decoders or name in self._several

    @property
    def skips(self) -> bool:
        """Whether some stored events stand for nothing: their types are ignored, or dropped."""
        return bool(self.ignored or self._several)

    def decode_all(self, recorded: RecordedEvent) -> tuple[E_co, ...]:
        """What a recorded event stands for today: one object, unless its upcaster makes several of
        it; none if it drops it, or the type is ignored.

        Raises: UnknownEventType, UndecodableEvent; both name the position.
        """
        several = self._several.get(recorded.type)
        if several is None:
            event = self._one(recorded)
            return () if event is None else (event,)
        try:
            return several(recorded.data)
        except Exception as error:  # as in `_one`
            raise _undecodable(recorded, error) from error

    async def decode(self, batch: Sequence[RecordedEvent]) -> list[tuple[RecordedEvent, E_co]]:
        """The events with their objects, in order: an event that stands for several objects comes
        with each of them, one that stands for none is left out.

        Raises: UnknownEventType, UndecodableEvent, for the first that cannot be decoded.
        """
        if self._several:
            every = self.decode_all
            return [(recorded, event) for recorded in batch for event in every(recorded)]
        if not self.ignored:
            quick = self._quick
            with suppress(Exception):  # what it is, is found out below
                return [(recorded, quick[recorded.type](recorded.data)) for recorded in batch]
        one = self._one
        return [(recorded, event) for recorded in batch if (event := one(recorded)) is not None]

    def _one(self, recorded: RecordedEvent) -> E_co | None:
        try:
            decode = self._decoders[recorded.type]
        except KeyError:
            raise UnknownEventType(
                recorded.type, category=self.category, position=recorded.position
            ) from None
        if decode is None:
            return None
        try:
            return decode(recorded.data)
        except Exception as error:  # whatever a class does when it is made, it names the position
            raise _undecodable(recorded, error) from error

    def _readers(self, known: Mapping[str, Read[E_co]]) -> Mapping[str, Read[E_co] | None]:
        """With those that read nothing."""
        readers: dict[str, Read[E_co] | None] = {**known}
        for name in self.ignored:
            if name in readers or name in self._several:
                raise ConfigurationError(
                    f"{self!r} both ignores and reads {name!r}; take it out of ignore="
                )
            readers[name] = None
        return readers

    def _undeclared(self, tp: type) -> ConfigurationError:
        return ConfigurationError(
            f"{tp.__name__} is not an event of category {self.category!r};"
            f" write Events({self.category!r}, ..., {tp.__name__})"
        )


def _undecodable(recorded: RecordedEvent, error: Exception) -> UndecodableEvent:
    path = error.field if isinstance(error, InvalidInput) else "value"
    return UndecodableEvent(recorded.type, path=path, position=recorded.position)


def _check_category(category: str) -> None:
    _check_name("category", category)
    if "-" in category:
        raise ConfigurationError(
            f"category {category!r} contains '-', which ends the category in a stream name;"
            f" write {category.replace('-', '_')!r}"
        )


def _check_name(kind: str, name: str) -> None:
    try:
        check_name(kind, name)
    except InvalidInput as error:
        raise ConfigurationError(f"{kind} {name!r} {error.problem}") from None


def _stored_names(
    category: str, types: Sequence[type], names: Mapping[type, str]
) -> dict[type, str]:
    if not types:
        raise ConfigurationError(f"write the event types: Events({category!r}, OrderCreated, ...)")
    stored: dict[type, str] = {}
    for tp in types:
        if not (isinstance(tp, type) and (is_record(tp) or is_model(tp))):
            raise ConfigurationError(
                f"{tp!r} in Events({category!r}) is not an event type; write dataclasses, Structs"
                " or pydantic models, one by one"
            )
        if tp in stored:
            raise ConfigurationError(f"{tp.__name__} is twice in Events({category!r})")
        stored[tp] = names.get(tp, tp.__name__)
    _check_stored_names(category, stored, names)
    return stored


def _check_stored_names(
    category: str, stored: Mapping[type, str], names: Mapping[type, str]
) -> None:
    for tp in names.keys() - stored.keys():
        raise ConfigurationError(
            f"names= of Events({category!r}) has {tp!r}, which is not among its types; add it"
        )
    owners: dict[str, type] = {}
    for tp, name in stored.items():
        _check_name("stored name", name)
        other = owners.setdefault(name, tp)
        if other is not tp:
            raise ConfigurationError(
                f"{other.__qualname__} and {tp.__qualname__} are both stored as {name!r};"
                f' write names={{{tp.__name__}: "another name"}}'
            )


def _utc(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise InvalidInput("occurred_at", "must have a time zone")
    return at.astimezone(UTC)
