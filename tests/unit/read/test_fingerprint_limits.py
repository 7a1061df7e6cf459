"""What a fingerprint follows no further, and what it refuses because it cannot see inside."""

import functools
import importlib
import sys
import threading
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from dataclasses import make_dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import Path, PurePosixPath
from re import IGNORECASE
from re import compile as pattern
from types import FunctionType, MappingProxyType, ModuleType
from typing import Annotated, Any, Literal, TypeVar, Union
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pydantic
import pytest

from diptych.errors import ConfigurationError
from diptych.read.columns import Places
from diptych.rules.fingerprint import fingerprint

Import = Callable[..., ModuleType]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Import:
    """Puts modules into a folder of installed packages, or beside it, and imports the last."""

    def imported(**sources: str) -> ModuleType:
        for place in ("site-packages", "project"):
            monkeypatch.syspath_prepend(str(tmp_path / place))
            (tmp_path / place).mkdir(exist_ok=True)
        for name, source in sources.items():
            place = "site-packages" if name.startswith("lib_") else "project"
            (tmp_path / place / f"{name}.py").write_text(source)
            monkeypatch.delitem(sys.modules, name, raising=False)
        importlib.invalidate_caches()
        return [importlib.import_module(name) for name in sources][-1]

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return imported


def test_an_installed_package_is_taken_by_name(installed: Import) -> None:
    shop = "import lib_tax\ndef project(row, event): return lib_tax.rate(event)\n"
    one = fingerprint(installed(lib_tax="def rate(x): return 1\n", shop=shop).project)
    two = fingerprint(installed(lib_tax="def rate(x): return 2\n", shop=shop).project)
    assert one == two


def test_a_service_that_is_installed_is_followed_all_the_same(installed: Import) -> None:
    source = "RATE = {}\ndef project(row, event): return RATE\n"
    one = fingerprint(installed(lib_shop=source.format(1)).project)
    two = fingerprint(installed(lib_shop=source.format(2)).project)
    assert one != two


def test_what_a_decorator_of_a_package_wraps_is_followed(installed: Import) -> None:
    tax = (
        "import functools\n"
        "def traced(f):\n"
        "    @functools.wraps(f)\n"
        "    def call(*args): return f(*args)\n"
        "    return call\n"
    )
    shop = "import lib_tax\n@lib_tax.traced\ndef project(row, event): return {}\n"
    one = fingerprint(installed(lib_tax=tax, shop=shop.format(1)).project)
    two = fingerprint(installed(lib_tax=tax, shop=shop.format(2)).project)
    assert one != two


def test_the_same_code_around_other_values_is_another_rule() -> None:
    def at(rate: int) -> Callable[[], int]:
        def rule() -> int:
            return rate

        return rule

    assert fingerprint(at(1)) == fingerprint(at(1)) != fingerprint(at(2))


def test_functions_that_call_each_other_have_one_fingerprint_each() -> None:
    def ping(n: int) -> int:
        return pong(n - 1)

    def pong(n: int) -> int:
        return ping(n - 1)

    assert len({fingerprint(ping), fingerprint(pong), fingerprint(ping, pong)}) == 3


class Struct(msgspec.Struct, frozen=True):
    total: Annotated[Decimal, Places(2)]
    note: str | msgspec.UnsetType = msgspec.UNSET


class Model(pydantic.BaseModel, frozen=True):
    total: Annotated[Decimal, Places(2)] = pydantic.Field(gt=0)

    @pydantic.field_validator("total")
    @classmethod
    def check(cls, total: Decimal) -> Decimal:
        return helped(total)

    @pydantic.computed_field
    @property
    def twice(self) -> Decimal:
        return 2 * self.total


def helped(total: Decimal) -> Decimal:
    return total


@pytest.mark.parametrize("row", [Struct, Model])
def test_rows_of_every_sort_are_followed(row: type[Any]) -> None:
    assert len(fingerprint(row)) == 16


def test_a_validator_of_a_model_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint(Model)
    monkeypatch.setitem(globals(), "helped", Places(2))
    assert fingerprint(Model) != before


T = TypeVar("T")
Pair = namedtuple("Pair", "a b")  # noqa: PYI024 - a class without a definition


class Colour(Enum):
    RED = 1
    BLUE = 2


DIFFERENT = [
    *(None, ..., True, 1, 1.0, 1j, "1", b"1", 2**70, (), [], {}, set(), (1,), [1], {1: 1}, {1}),
    *((1, (2,)), ((1,), 2), frozenset({1}), MappingProxyType({1: 1}), range(3), range(1, 3)),
    *({"a": 1, "b": 2}, {"b": 2, "a": 1}, OrderedDict(a=1), defaultdict(int), defaultdict(list)),
    *(deque([1]), deque([1], maxlen=1), Decimal("1.0"), Decimal("1.00"), UUID(int=1)),
    *(date(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC), time(1), timedelta(1)),
    *(ZoneInfo("UTC"), PurePosixPath("a"), Colour.RED, Colour.BLUE, Colour, Places(2), Places(3)),
    *(pattern("a"), pattern("a", IGNORECASE), pattern("b"), len, "a".join, "b".join, str.upper),
    *(functools.partial(max, 1), functools.partial(max, 2), functools.partial(min, 1)),
    *(functools.partial(max, key=len), int, list[int], list[str], int | None, int | str),
    *(Annotated[int, 1], Annotated[int, 2], Literal["a"], Literal["b"], Any, Callable[[int], int]),
    *(pydantic.Field(gt=1), pydantic.Field(gt=2), pydantic.Field(default=1)),
    *(T, helped, Model.check, Struct, msgspec.UNSET, msgspec.Meta(gt=1), msgspec.Meta(gt=2)),
]


def test_different_values_have_different_fingerprints() -> None:
    found = [fingerprint(each) for each in DIFFERENT]
    twins = {(a, b) for a, x in enumerate(found) for b, y in enumerate(found) if x == y and a < b}
    assert [(DIFFERENT[a], DIFFERENT[b]) for a, b in twins] == []


@pytest.mark.parametrize("value", DIFFERENT, ids=[str(n) for n in range(len(DIFFERENT))])
def test_an_equal_value_has_the_same_fingerprint(value: Any) -> None:
    assert fingerprint(value) == fingerprint(value)


def test_both_ways_to_write_a_union_are_one() -> None:
    assert fingerprint(Union[int, None]) == fingerprint(int | None)  # noqa: UP007


def test_a_method_that_calls_its_base_class_follows_it() -> None:
    def under(rate: int) -> FunctionType:
        class Base:
            def rule(self) -> int:
                return rate

        class Derived(Base):
            def rule(self) -> int:
                return super().rule()

        return Derived.rule

    assert fingerprint(under(1)) == fingerprint(under(1)) != fingerprint(under(2))


def test_a_value_that_contains_itself_has_a_fingerprint() -> None:
    endless: list[Any] = [1]
    endless.append(endless)
    assert len(fingerprint(endless)) == 16


def local_import() -> object:
    from tests.unit.read import rows

    return rows


def relative_import() -> object:
    from . import rows

    return rows


def library_import() -> object:
    import math

    return math.pi


def undefined() -> object:
    return nowhere_defined  # type: ignore[name-defined]  # noqa: F821


def uses_a_lambda() -> object:
    return double(1)


double = lambda x: 2 * x  # noqa: E731
lock = threading.Lock()


def uses_a_lock() -> object:
    return lock


def uses_a_module() -> object:
    return getattr(own_module, "x" + "y")


own_module = sys.modules[__name__]


def uses_what_a_module_lacks() -> object:
    return own_module.lacking


def with_an_empty_cell() -> FunctionType:
    def rule() -> int:
        return later

    for later in ():  # noqa: B007 - never given a value
        pass
    return rule


without_source: dict[str, Any] = {"__name__": __name__}
exec("def typed_in(): return 1", without_source)


@pytest.mark.parametrize(
    ("part", "says"),
    [
        (lambda: 1, "lambda"),
        (uses_a_lambda, "lambda"),
        (functools.partial(lambda: 1), "lambda"),
        (without_source["typed_in"], "typed_in.*without the source"),
        (make_dataclass("Made", [("a", int)]), "class Made .*without source"),
        (Pair, "class Pair .*without source"),
        (uses_a_lock, "an object of type lock"),
        (uses_a_module, "used as a value"),
        (uses_what_a_module_lacks, "own_module.lacking, which its module does not define"),
        (undefined, "the name nowhere_defined, which its module does not define"),
        (with_an_empty_cell(), "no value yet"),
        (local_import, "an import inside local_import"),
        (relative_import, "an import inside relative_import"),
    ],
)
def test_what_cannot_be_followed_is_refused(part: object, says: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{says}.* avoid it"):
        fingerprint(part)


def captures(event: object) -> list[object]:
    """Its own names, each of which is the name of an attribute too."""
    try:
        match event:
            case Fraction(numerator=real):
                return [real, event.real]  # type: ignore[attr-defined]
            case [first, *rest]:
                return [first, rest, event.first, event.rest]  # type: ignore[attr-defined]
            case {"a": 1, **others}:
                return [others, event.others]  # type: ignore[attr-defined]
    except ValueError as refusal:
        return [refusal, event.refusal]  # type: ignore[attr-defined]
    return []


def test_a_name_that_a_pattern_captures_is_the_functions_own() -> None:
    assert len(fingerprint(captures)) == 16


def test_an_import_of_a_library_inside_a_function_is_no_matter() -> None:
    assert len(fingerprint(library_import)) == 16


def test_code_that_changed_since_it_was_loaded_is_refused(installed: Import) -> None:
    module = installed(shop="def project(row, event): return 1\n")
    Path(str(module.__file__)).write_text("\ndef project(row, event): return 1\n")
    with pytest.raises(ConfigurationError, match="source that it runs from"):
        fingerprint(module.project)
