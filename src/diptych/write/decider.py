"""`Decider`: what one kind of aggregate decides, and how its state follows from its events."""

import inspect
import types
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import (
    Annotated,
    Any,
    Generic,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

from diptych.codec import Events
from diptych.errors import ConfigurationError
from diptych.messages import Envelope
from diptych.store.limits import check_name
from diptych.write.state import StateCodec

C = TypeVar("C")
S = TypeVar("S")
E = TypeVar("E")

Decide = Callable[[C, S, Envelope], Sequence[E]]


class Decider(Generic[C, S, E]):
    """Binds the pure functions of a write model to the category of their events.

    Args:
        events: the family of events; its category begins the stream names.
        key: names the field of every command that tells which aggregate is meant, or is a function
            that takes it from a command. The stream is `category-key`.
        initial: makes the state before the first event (`Order`, or `lambda: None`).
        decide: `(command, state) -> events`, or `(command, state, envelope) -> events` where a rule
            needs the actor or the time. No events mean "already so"; a refusal is a raised
            `Rejected`. It must be pure: it runs again when another process was faster.
        evolve: `(state, event) -> state`, pure and total over the family. The state must be
            immutable: it is kept and shared between commands.
        commands: the command types, where the hint of `decide`'s first parameter does not say.
        snapshot_every: keep the state of a stream beside the log each time that it has grown by so
            many events, so that a long stream is not read from its beginning. For streams of
            thousands of events; nothing depends on it. `evolve` must be annotated with the state
            that it returns.

    Raises:
        ConfigurationError: the command types cannot be read, or one lacks the key field.

    The shape is Chassaing's (thinkbeforecoding.com, "Functional Event Sourcing Decider").
    """

    @overload
    def __init__(
        self,
        events: Events[E],
        *,
        key: str | Callable[[C], object],
        initial: Callable[[], S],
        decide: Callable[[C, S], Sequence[E]],
        evolve: Callable[[S, E], S],
        commands: Sequence[type[C]] | None = None,
        snapshot_every: int | None = None,
    ) -> None: ...

    @overload
    def __init__(
        self,
        events: Events[E],
        *,
        key: str | Callable[[C], object],
        initial: Callable[[], S],
        decide: Callable[[C, S, Envelope], Sequence[E]],
        evolve: Callable[[S, E], S],
        commands: Sequence[type[C]] | None = None,
        snapshot_every: int | None = None,
    ) -> None: ...

    def __init__(
        self,
        events: Events[E],
        *,
        key: str | Callable[[C], object],
        initial: Callable[[], S],
        decide: Callable[..., Sequence[E]],
        evolve: Callable[[S, E], S],
        commands: Sequence[type[C]] | None = None,
        snapshot_every: int | None = None,
    ) -> None:
        if not isinstance(events, Events):
            raise ConfigurationError("Decider takes a family: write Decider(Events(...), ...)")
        self.events = events
        if not callable(initial):
            raise ConfigurationError(f"{self!r}: initial= makes a state: write initial=lambda: ...")
        self.initial = initial
        self.evolve = evolve
        self.decide: Decide[C, S, E] = _with_envelope(decide)
        self.commands: tuple[type[C], ...] = tuple(commands or _commands_of(decide))
        self._key = key
        if snapshot_every is not None and snapshot_every < 1:
            raise ConfigurationError(f"{self!r}: snapshot_every= is a number of events, 1 or more")
        self.snapshot_every = snapshot_every
        if isinstance(key, str):
            for command in self.commands:
                _require_field(command, key)

    def __repr__(self) -> str:
        return f"Decider({self.events.category!r})"

    @cached_property
    def states(self) -> StateCodec[S]:
        """How states are kept with `snapshot_every`.

        Raises: ConfigurationError: they cannot be stored, or `evolve` cannot be followed.
        """
        try:
            return StateCodec(self.events, initial=self.initial, evolve=self.evolve)
        except ConfigurationError as error:
            raise ConfigurationError(f"{self!r} has snapshot_every=, but {error}") from error

    def stream(self, key: object) -> str:
        """The name of the stream of one aggregate; raises as `stream_name`."""
        return stream_name(self.events.category, key)

    def stream_of(self, command: C) -> str:
        """The stream that a command is about.

        Raises:
            InvalidInput, LimitExceeded: the key is empty, too long or unprintable.
        """
        category, key = self.events.category, self._key
        if isinstance(key, str):
            return stream_name(category, getattr(command, key), field_name=key)
        return stream_name(category, key(command))

    def fold(self, events: Iterable[E], *state: S) -> S:
        """The state after `events`, beginning with the `state` that is given or the initial one."""
        folded = state[0] if state else self.initial()
        for event in events:
            folded = self.evolve(folded, event)
        return folded


def stream_name(category: str, key: object, *, field_name: str = "key") -> str:
    """The name of the stream of one aggregate of a category.

    Raises: InvalidInput, LimitExceeded: the key is empty, too long or unprintable.
    """
    text = str(key)
    check_name(field_name, text)
    return f"{category}-{text}"


def required(function: Callable[..., object]) -> int:
    """How many arguments a call must give by position."""
    return sum(
        parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and parameter.default is parameter.empty
        for parameter in inspect.signature(function).parameters.values()
    )


def _with_envelope(decide: Callable[..., Sequence[E]]) -> Decide[Any, Any, E]:
    count = required(decide)
    if count == 3:
        return decide
    if count != 2:
        raise ConfigurationError(
            f"{_name(decide)} takes {count} parameters: write decide(command, state) or"
            " decide(command, state, envelope)"
        )
    return lambda command, state, _: decide(command, state)


def _commands_of(decide: Callable[..., object]) -> tuple[type[Any], ...]:
    function = inspect.unwrap(decide)
    first = next(iter(inspect.signature(function).parameters))
    try:
        hint = get_type_hints(function)[first]
    except (KeyError, NameError, TypeError) as error:
        raise _no_commands(decide, first) from error
    found = tuple(_flatten(hint))
    if not found or not all(isinstance(command, type) and command is not Any for command in found):
        raise _no_commands(decide, first)
    return found


def _flatten(hint: Any) -> Iterable[Any]:
    if get_origin(hint) is Annotated:
        return _flatten(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        return [member for part in get_args(hint) for member in _flatten(part)]
    return [hint]


def _no_commands(decide: Callable[..., object], parameter: str) -> ConfigurationError:
    return ConfigurationError(
        f"the command types cannot be read from {_name(decide)}: annotate {parameter!r} with the"
        " union of them at module level, or give Decider(commands=[...])"
    )


def _require_field(command: type[Any], key: str) -> None:
    if not any(key in vars(base).get("__annotations__", {}) for base in command.__mro__):
        raise ConfigurationError(
            f"{command.__qualname__} has no field {key!r}, the key of its decider: add the field,"
            " or give Decider(key=) a function"
        )


def _name(function: Callable[..., object]) -> str:
    return getattr(function, "__qualname__", repr(function))
