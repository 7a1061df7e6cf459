"""Stored events of any shape, made at random: the same seed makes the same ones."""

import ast
import random
import re
from collections.abc import Callable, Iterator, Mapping
from math import inf
from typing import Any, Final
from uuid import UUID

from diptych.errors import ConfigurationError
from diptych.evolution.shape import AGAIN, OBJECT, OPTIONAL, WHOLE, Shape

_DEEP: Final = 2
_STEPS: Final = re.compile(r"[.\[{<]")
_LIMITED: Final = re.compile(r"(.*?) \{(.*)\}")
_LIMIT: Final = re.compile(r"(gt|ge|lt|le|min_length|max_length)=([-+.\de]+)")
_TEXTS: Final = ("", "a", "Zoë Ångström", "two\nlines", '"quoted" \\ back', "\U0001f4a1", "x" * 300)
_INTEGERS: Final = (0, 1, -1, 7, 2**31, -(2**63), 2**63 - 1)
_MADE: Final[Mapping[str, Callable[[random.Random], Any]]] = {
    "null": lambda _: None,
    "boolean": lambda chance: chance.random() < 0.5,
    "integer": lambda chance: chance.choice([*_INTEGERS, chance.randrange(10_000)]),
    "number": lambda chance: chance.choice([0.0, -1.5, 1e300, chance.random()]),
    "text": lambda chance: chance.choice(_TEXTS),
    "bytes": lambda chance: chance.choice(["", "AA==", "/////w=="]),
    "uuid": lambda chance: str(UUID(int=chance.getrandbits(128))),
    "decimal": lambda chance: chance.choice(["0", "-1.50", "19.90", "0.00000001", "1" * 25]),
    "datetime": lambda chance: chance.choice(
        ["1970-01-01T00:00:00Z", "2026-02-28T23:59:59.999999Z", "9999-12-31T00:00:00Z"]
    ),
    "date": lambda chance: chance.choice(["1970-01-01", "2024-02-29", "9999-12-31"]),
    "time": lambda chance: chance.choice(["00:00:00", "23:59:59.999999"]),
    "duration": lambda chance: chance.choice(["PT0S", "P1DT1.5S", "-PT0.000001S"]),
}


def sample(shape: Shape, chance: random.Random) -> dict[str, Any]:
    """What `Events` may have stored in this shape: everything may be at its edges.

    Raises: ConfigurationError: a field has a limit that is only known to who wrote it.
    """
    return _Sampler(shape, chance).fields("")


class _Sampler:
    def __init__(self, shape: Shape, chance: random.Random) -> None:
        self._shape, self._chance, self._depth = shape, chance, 0

    def fields(self, prefix: str) -> dict[str, Any]:
        """What stands directly under a prefix, now and then without what is optional."""
        found: dict[str, Any] = {}
        for path in self._under(prefix):
            kind = self._shape[path]
            if kind.endswith(OPTIONAL) and self._chance.random() < 0.3:
                continue
            found[path.removeprefix(prefix)] = self._value(path)
        return found

    def _under(self, prefix: str) -> Iterator[str]:
        for path in self._shape:
            rest = path.removeprefix(prefix)
            if path.startswith(prefix) and rest and not _STEPS.search(rest):
                yield path

    def _value(self, path: str) -> Any:
        kinds = self._shape[path].removesuffix(OPTIONAL).split(" | ")
        if self._depth > _DEEP:
            kinds = [kind for kind in kinds if not kind.startswith(AGAIN)] or kinds
        kind = self._chance.choice(kinds)
        if kind == OBJECT:
            return self._object(path)
        if kind.startswith(AGAIN):
            return self._again(kind.removeprefix(AGAIN))
        if kind == "list":
            count = 0 if self._depth > _DEEP else self._chance.randrange(3)
            return [self._value(f"{path}[]") for _ in range(count)]
        if kind.startswith("list of "):
            return [self._value(f"{path}[{n}]") for n in range(int(kind.rpartition(" ")[2]))]
        if kind.startswith("map from "):
            keys = {str(self._plain(kind.removeprefix("map from "), path)) for _ in range(2)}
            return {key: self._value(f"{path}{{}}") for key in sorted(keys)}
        return self._plain(kind, path)

    def _again(self, where: str) -> dict[str, Any]:
        """An object within one of its kind; the deepest ones have none."""
        self._depth += 1
        try:
            return self.fields("" if where == WHOLE else f"{where}.")
        finally:
            self._depth -= 1

    def _object(self, path: str) -> dict[str, Any]:
        """Of a union of several records, one, with its tag."""
        start = re.compile(rf"{re.escape(path)}<([^>]*)>\.")
        names = sorted({match[1] for each in self._shape if (match := start.match(each))})
        if not names:
            return self.fields(f"{path}.")
        name = self._chance.choice(names)
        return {"$type": name, **self.fields(f"{path}<{name}>.")}

    def _plain(self, kind: str, path: str) -> Any:
        if kind in _MADE:
            return _MADE[kind](self._chance)
        if limited := _LIMITED.fullmatch(kind):
            return self._limited(limited[1], limited[2], path)
        try:
            return ast.literal_eval(kind)
        except (ValueError, SyntaxError):
            raise _own(path, kind) from None

    def _limited(self, kind: str, said: str, path: str) -> Any:
        limits = {name: float(number) for name, number in _LIMIT.findall(said)}
        if len(limits) != said.count("=") or kind not in {"integer", "number", "text"}:
            raise _own(path, f"{kind} {{{said}}}")
        if kind == "text":
            shortest = int(limits.get("min_length", 0))
            longest = int(limits.get("max_length", shortest + 10))
            return "x" * self._chance.randint(shortest, longest)
        found = self._chance.uniform(*_range(limits, step=1 if kind == "integer" else 0.001))
        return int(found) if kind == "integer" else found


def _range(limits: Mapping[str, float], *, step: float) -> tuple[float, float]:
    low = max(limits.get("ge", -inf), limits.get("gt", -inf) + step)
    high = min(limits.get("le", inf), limits.get("lt", inf) - step)
    low = high - 1_000 if low == -inf else low
    return low, (low + 1_000 if high == inf else high)


def _own(path: str, kind: str) -> ConfigurationError:
    return ConfigurationError(f"no {kind} can be made up for {path}: give samples of your own")
