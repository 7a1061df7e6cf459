"""Upcasters: from the shape in which an event was stored once to the shapes it has today."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, overload

import msgspec

from diptych.errors import ConfigurationError, InvalidInput

T = TypeVar("T")

Json = dict[str, Any]
Several = Iterable[tuple[str, Json]]


class Upcast:
    """Changes the JSON object that is stored as `old` into what is stored as `new` today.

    `change` is a pure function of that object, which it may change in place; UUIDs, decimals and
    times in it are strings. Upcasters form chains: `new` may be the `old` of the next.

        Upcast("OrderCreated", "OrderCreated.v2", change=add_currency)
        Upcast("OrderMade", "OrderCreated")  # only its name is another today
        Upcast("OrderPaidAndShipped", ("OrderPaid", "OrderShipped"), change=split)
        Upcast("OrderTouched", ())  # it means nothing any more

    With several names, `change` gives the objects in their order, each with the name that it is
    stored under, `[("OrderPaid", {...}), ("OrderShipped", {...})]`: as many as there are today, or
    none. They are one event of the log still, with one position and one id.
    """

    __slots__ = ("change", "new", "old")

    @overload
    def __init__(
        self, old: str, new: str, *, change: Callable[[Json], Json] | None = None
    ) -> None: ...
    @overload
    def __init__(
        self, old: str, new: tuple[str, ...], *, change: Callable[[Json], Several] | None = None
    ) -> None: ...
    def __init__(
        self, old: str, new: str | tuple[str, ...], *, change: Callable[[Json], Any] | None = None
    ) -> None:
        """Raises: ConfigurationError: several names, and nothing that chooses between them."""
        self.old, self.new, self.change = old, new, change
        if isinstance(new, tuple) and new and change is None:
            raise ConfigurationError(f"{self!r} leads to several names: give it change=")

    def __repr__(self) -> str:
        return f"Upcast({self.old!r}, {self.new!r})"

    @property
    def leads_to(self) -> tuple[str, ...]:
        """Every stored name that may come of it."""
        return (self.new,) if isinstance(self.new, str) else self.new


Read = Callable[[bytes], T]


@dataclass(frozen=True, slots=True)
class Upcasters:
    """The upcasters of a family, whose types of today are stored as `known`.

    Raises: ConfigurationError: two begin at the same name, or at a known one; one leads nowhere,
        or round in a circle.
    """

    steps: Mapping[str, Upcast]
    known: Collection[str]

    @classmethod
    def of(cls, upcasters: Iterable[Upcast], known: Collection[str]) -> "Upcasters":
        steps: dict[str, Upcast] = {}
        for step in upcasters:
            if step.old in known:
                raise ConfigurationError(
                    f"an upcaster begins at {step.old!r}, which is the stored name of a type today;"
                    f' give the new shape its own name: names={{...: "{step.old}.v2"}}'
                )
            if steps.setdefault(step.old, step) is not step:
                raise ConfigurationError(f"two upcasters begin at {step.old!r}; keep one")
        for old in steps:
            _check(steps, known, (old,))
        return cls(steps, known)

    def readers(self, known: Mapping[str, Read[T]]) -> dict[str, Read[T]]:
        """For each old name that becomes one event, what decodes it, by what decodes those."""
        return {
            old: self._reader(*chain, known[chain[0]])
            for old in self.steps
            if (chain := self._chain(old)) is not None
        }

    def splitters(self, known: Mapping[str, Read[T]]) -> dict[str, Read[tuple[T, ...]]]:
        """For each old name that may become several events, or none, what decodes it."""
        return {old: self._splitter(old, known) for old in self.steps if self._chain(old) is None}

    def _chain(self, old: str) -> tuple[str, tuple[Upcast, ...]] | None:
        """The name of today at its end, and the steps to there; None: there may be several."""
        taken: list[Upcast] = []
        while old not in self.known:
            step = self.steps[old]
            if not isinstance(step.new, str):
                return None
            taken.append(step)
            old = step.new
        return old, tuple(taken)

    @staticmethod
    def _reader(_: str, steps: tuple[Upcast, ...], decode: Read[T]) -> Read[T]:
        changing = [step for step in steps if step.change is not None]
        if not changing:
            return decode

        def read(data: bytes) -> T:
            tree = _tree(data)
            for step in changing:
                tree = _object(step, _changed(step, tree))
            return decode(_bytes(changing[-1], tree))

        return read

    def _splitter(self, old: str, known: Mapping[str, Read[T]]) -> Read[tuple[T, ...]]:
        def read(data: bytes) -> tuple[T, ...]:
            return tuple(known[name](found) for name, found in self._split(old, data))

        return read

    def _split(self, name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
        """Each part goes on as bytes: what it shares with the others must not change with it."""
        if name in self.known:
            yield name, data
            return
        step = self.steps[name]
        for new, part in _parts(step, data):
            yield from self._split(new, part)


def _check(steps: Mapping[str, Upcast], known: Collection[str], way: tuple[str, ...]) -> None:
    """Follow every way from the last name of `way`."""
    for name in steps[way[-1]].leads_to:
        if name in way:
            raise ConfigurationError(f"the upcasters from {way[0]!r} go round in a circle")
        if name in known:
            continue
        if name not in steps:
            raise ConfigurationError(
                f"the upcaster from {way[-1]!r} leads to {name!r}, which no type has;"
                f' write names={{...: "{name}"}} or an Upcast("{name}", ...)'
            )
        _check(steps, known, (*way, name))


def _parts(step: Upcast, data: bytes) -> list[tuple[str, bytes]]:
    if step.change is None:
        return [(name, data) for name in step.leads_to]
    changed = _changed(step, _tree(data))
    pairs = [(step.new, changed)] if isinstance(step.new, str) else changed
    try:
        parts = [(name, _bytes(step, _object(step, tree))) for name, tree in pairs]
    except (TypeError, ValueError) as error:
        raise _failed(step, "did not give pairs of a name and an object") from error
    for name, _ in parts:
        if name not in step.leads_to:
            raise _failed(step, f"gave {name!r}, which it does not declare")
    return parts


def _tree(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise InvalidInput("value", "is not valid JSON") from None


def _changed(step: Upcast, tree: Any) -> Any:
    if step.change is None:
        return tree
    try:
        changed = step.change(tree)
        return changed if isinstance(step.new, str) else list(changed)
    except Exception as error:
        raise _failed(step) from error


def _object(step: Upcast, tree: Any) -> Json:
    if not isinstance(tree, dict):
        raise _failed(step, "did not give an object")
    return tree


def _bytes(step: Upcast, tree: Json) -> bytes:
    try:
        return msgspec.json.encode(tree)
    except (TypeError, ValueError, RecursionError) as error:
        raise _failed(step) from error


def _failed(step: Upcast, problem: str = "failed") -> InvalidInput:
    new = step.new if isinstance(step.new, str) else ", ".join(step.new) or "nothing"
    return InvalidInput(f"upcaster {step.old} -> {new}", problem)
