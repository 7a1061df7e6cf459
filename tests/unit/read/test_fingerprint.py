"""A fingerprint changes when the rule does, wherever the change is, and only then."""

import importlib.util
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import diptych
from diptych.rules.fingerprint import fingerprint
from tests.unit.read import fingerprint_sample

SAMPLE = Path(fingerprint_sample.__file__)
Load = Callable[[str], ModuleType]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Makes a module of source code, each with a name of its own."""
    numbers = itertools.count()

    def loaded(source: str) -> ModuleType:
        file = tmp_path / f"shop_{next(numbers)}.py"
        file.write_text(source)
        spec = importlib.util.spec_from_file_location(file.stem, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, file.stem, module)
        spec.loader.exec_module(module)
        return module

    return loaded


def edited(*edits: str) -> str:
    """The sample with pairs of old and new text exchanged, each old one found exactly once."""
    source = SAMPLE.read_text()
    for old, new in zip(edits[::2], edits[1::2], strict=True):
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    return source


CHANGES = {
    "the function itself": ("return None if Right.READ", "return row if Right.READ"),
    "a guard": ("number > cached(3)", "number >= cached(3)"),
    "a helper": ("return n if n < 2", "return n if n < 3"),
    "a helper of a helper": ("return n % 2 == 1", "return n % 2 == -1"),
    "a decorated helper": ("total * (1 + RATES", "total * (2 + RATES"),
    "the decorator of a helper": ("return function(*args, **kwargs)", "return function(*args)"),
    "a function registered for a type": ('f"{value:,}"', 'f"{value:_}"'),
    "a context manager": ("yield Point(1, 2)", "yield Point(2, 2)"),
    "a constant": ('VAT = Decimal("0.19")', 'VAT = Decimal("0.16")'),
    "a constant of another type": ("RATES = {", 'RATES = {"at": (3, 3), '),
    "a set": ('"gift"', '"present"'),
    "a duration": ("timedelta(days=3)", "timedelta(days=4)"),
    "a moment": ("datetime(2026, 1, 1,", "datetime(2026, 1, 2,"),
    "an enum member's value": ('SHIPPED = "shipped"', 'SHIPPED = "sent"'),
    "an enum member more": ("OPEN = enum.auto()", "OPEN = enum.auto()\n    PAID = enum.auto()"),
    "an enum's property": ("return self in FINAL", "return self not in FINAL"),
    "a value that an enum's property uses": ("FINAL = {Status.SHIPPED}", "FINAL = {Status.OPEN}"),
    "a row's default": ('kind: Literal["a", "b"] = "a"', 'kind: Literal["a", "b"] = "b"'),
    "a row's field type": ("tags: list[str]", "tags: list[int]"),
    "what a field type's name stands for": ('Annotated[Decimal, "EUR"]', 'Annotated[Decimal, "$"]'),
    "a new field": ("value: T\n", "value: T\n    note: str = ''\n"),
    "a literal": ('Literal["a", "b"]', 'Literal["a", "c"]'),
    "a method of a row": ("return Row(0, None)", "return Row(1, None)"),
    "a method of a base": ("math.floor(4.5)", "math.ceil(4.5)"),
    "a base": ("class Row(Base[Any])", "class Row(Base[int])"),
    "options of a row": (
        "@dataclass(frozen=True, slots=True)\nclass Row",
        "@dataclass(frozen=True)\nclass Row",
    ),
    "an instance": ("DISCOUNT = Discount(5)", "DISCOUNT = Discount(6)"),
    "how an instance acts": ("(100 - self.percent)", "(99 - self.percent)"),
    "a closure's value": ("LIMITED = limited(9)", "LIMITED = limited(8)"),
    "a partial's argument": ("partial(max, 0.5)", "partial(max, 0.25)"),
    "a partial's function": ("partial(max, 0.5)", "partial(min, 0.5)"),
    "a default of a parameter": ('country: str = "de"', 'country: str = "fr"'),
    "an argument's order": ("cls(1, None", "cls(None, 1"),
    "the library that a name stands for": ("import math", "import cmath as math"),
    "a local variable's name": (
        "case [first, *_] if (n := LIMITED(len(first)))",
        "case [head, *_] if (n := LIMITED(len(head)))",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_what_the_rule_does_is_seen(change: str, load: Load) -> None:
    module = load(edited(*CHANGES[change]))
    assert fingerprint(module.project) != fingerprint(fingerprint_sample.project)


SAME = {
    "a comment": ("total: Decimal = sum(", "# the sum\n    total: Decimal = sum(  # here\n"),
    "formatting": (
        "return Row(0, None)",
        "return Row(\n            0,\n\n            None,\n        )",
    ),
    "quotes": ('SHIPPED = "shipped"', "SHIPPED = 'shipped'"),
    "a number's spelling": ("number > cached(3)", "number > cached(0x3)"),
    "parentheses": ("return self in FINAL", "return (self in (FINAL))"),
    "a docstring": ('"""What it does is of no importance."""', '"""Otherwise."""'),
    "a docstring more": (
        "def even(n: int) -> int:\n",
        'def even(n: int) -> int:\n    """Is it?"""\n',
    ),
    "a docstring of a class": (
        "class Right(enum.Flag):\n",
        'class Right(enum.Flag):\n    """May."""\n',
    ),
    "an annotation of a parameter": (
        "event: Any, recorded: object",
        "event: object, recorded: Any",
    ),
    "an annotation of a result": ("def noted() -> Any:", "def noted() -> object:"),
    "an annotation of a local variable": ("total: Decimal = sum(", "total = sum("),
    "a name in quotes": ("status: Status | None", 'status: "Status | None"'),
    "part of a name in quotes": ("status: Status | None", 'status: Status | "None"'),
    "a function that it does not use": (
        "if __name__",
        "def unused() -> None: ...\n\n\nif __name__",
    ),
    "a constant that it does not use": ("T = TypeVar", "UNUSED = 1\nT = TypeVar"),
    "lines before it": ("from __future__", "\n\n\n\nfrom __future__"),
    "a cut of a string": ('{self.value!r}{{}}"', '{self.value!r}" "{" f"}}"'),
}


@pytest.mark.parametrize("change", SAME)
def test_a_change_that_does_nothing_is_not_seen(change: str, load: Load) -> None:
    module = load(edited(*SAME[change]))
    assert fingerprint(module.project) == fingerprint(fingerprint_sample.project)


def test_definitions_may_change_their_order(load: Load) -> None:
    one = "def f(x): return g(x) + h(x)\ndef g(x): return 1\ndef h(x): return 2\n"
    two = "def h(x): return 2\ndef g(x): return 1\ndef f(x): return g(x) + h(x)\n"
    assert fingerprint(load(one).f) == fingerprint(load(two).f)


def test_a_helper_in_another_module_is_followed(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = set()
    for rate in ("1", "2", "1"):
        rates = load(f"RATE = {rate}\nclass Rates:\n    def rate(self): return RATE\n")
        monkeypatch.setitem(sys.modules, "rates", rates)
        for source in (
            "import rates\ndef project(row, event): return rates.Rates().rate()\n",
            "from rates import Rates\ndef project(row, event): return Rates().rate()\n",
        ):
            found.add(fingerprint(load(source).project))
    assert len(found) == 4


def test_equal_helpers_of_two_modules_have_values_of_their_own(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = "RATE = {}\ndef rate(): return RATE\n"
    found = set()
    for second in (2, 3):
        monkeypatch.setitem(sys.modules, "first", load(helper.format(1)))
        monkeypatch.setitem(sys.modules, "second", load(helper.format(second)))
        rule = "import first, second\ndef project(row, event): return first.rate(), second.rate()\n"
        found.add(fingerprint(load(rule).project))
    assert len(found) == 2


def test_where_a_helper_is_defined_does_not_matter(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = "def helper(x): return x + 1\n"
    monkeypatch.setitem(sys.modules, "elsewhere", load(helper))
    here = load(helper + "def project(row, event): return helper(row)\n")
    there = load("from elsewhere import helper\ndef project(row, event): return helper(row)\n")
    assert fingerprint(here.project) == fingerprint(there.project)


def test_the_variables_that_are_seen_are_those_of_the_function(load: Load) -> None:
    source = "total = {}\ndef project(row, event):\n    total = event.x\n    return total\n"
    one, two = (load(source.format(value)) for value in (1, 2))
    assert fingerprint(one.project) == fingerprint(two.project)


def test_parts_and_their_order_count() -> None:
    assert fingerprint("a", 1) != fingerprint(1, "a") != fingerprint((1, "a"))
    assert fingerprint(1) != fingerprint(True) != fingerprint(1.0)
    assert len(fingerprint()) == 16


def test_the_process_that_makes_it_does_not_matter() -> None:
    expected = fingerprint_sample.main()
    for seed in ("1", "2"):
        assert made_by(sys.executable, PYTHONHASHSEED=seed) == expected


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
def test_the_version_of_python_does_not_matter(version: str) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"Python {version} is not installed")
    assert made_by(python) == fingerprint_sample.main()


def interpreter(version: str) -> str | None:
    """One that starts: of a version that is not there a manager may leave a shim that does not."""
    managed = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    found = str(managed[-1]) if managed else shutil.which(f"python{version}")
    if found is None:
        return None
    started = subprocess.run([found, "--version"], check=False, capture_output=True)
    return found if started.returncode == 0 else None


def made_by(python: str, **environment: str) -> str:
    """Started as a script, so that the module's name is another too."""
    path = str(Path(diptych.__path__[0]).parent)
    done = subprocess.run(
        [python, "-B", str(SAMPLE)],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout.strip()
