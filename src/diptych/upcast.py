"""Upcasters: from the shape in which an event was stored once to the shape it has today."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from diptych.errors import ConfigurationError, InvalidInput

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Upcast:
    """Changes the JSON object that is stored as `old` into what is stored as `new` today.

    `change` is a pure function of that object, which it may change in place; UUIDs, decimals and
    times in it are strings. Upcasters form chains: `new` may be the `old` of the next.
    """

    old: str
    new: str
    change: Callable[[dict[str, Any]], dict[str, Any]] = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class Chain:
    """The upcasters from one old stored name to `target`, a name of today."""

    target: str
    steps: tuple[Upcast, ...]

    def then(self, decode: Callable[[bytes], T]) -> Callable[[bytes], T]:
        def read(data: bytes) -> T:
            return decode(self._changed(data))

        return read

    def _changed(self, data: bytes) -> bytes:
        try:
            tree: Any = msgspec.json.decode(data)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise InvalidInput("value", "is not valid JSON") from None
        for step in self.steps:
            try:
                tree = step.change(tree)
            except Exception as error:
                raise _failed(step) from error
        try:
            return msgspec.json.encode(tree)
        except (TypeError, ValueError, RecursionError) as error:
            raise _failed(self.steps[-1]) from error


def chains(upcasters: Iterable[Upcast], known: Collection[str]) -> dict[str, Chain]:
    """For each old name the chain that ends at a known one.

    Raises: ConfigurationError: two begin at the same name, or at a known one; one leads nowhere,
        or round in a circle.
    """
    steps: dict[str, Upcast] = {}
    for step in upcasters:
        if step.old in known:
            raise ConfigurationError(
                f"an upcaster begins at {step.old!r}, which is the stored name of a type today;"
                f' give the new shape its own name: names={{...: "{step.old}.v2"}}'
            )
        if steps.setdefault(step.old, step) is not step:
            raise ConfigurationError(f"two upcasters begin at {step.old!r}; keep one")
    return {old: _chain(steps, old, known) for old in steps}


def _chain(steps: dict[str, Upcast], old: str, known: Collection[str]) -> Chain:
    taken: list[Upcast] = []
    name = old
    while name not in known:
        step = steps.get(name)
        if step is None:
            raise ConfigurationError(
                f"the upcaster from {taken[-1].old!r} leads to {name!r}, which no type has;"
                f' write names={{...: "{name}"}} or an Upcast("{name}", ...)'
            )
        if step in taken:
            raise ConfigurationError(f"the upcasters from {old!r} go round in a circle")
        taken.append(step)
        name = step.new
    return Chain(name, tuple(taken))


def _failed(step: Upcast) -> InvalidInput:
    return InvalidInput(f"upcaster {step.old} -> {step.new}", "failed")
