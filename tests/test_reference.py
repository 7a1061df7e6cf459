"""The reference is made of docstrings: every public name has one, and is where a reader looks."""

import inspect
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import FunctionType

import pytest

import diptych
from diptych import Clock, EventStore
from diptych.store.cursors import KeepsCursors
from diptych.telemetry import Telemetry

ROOT = Path(__file__).parent.parent
MODULES = (ROOT / "Makefile").read_text().partition("REFERENCE := ")[2].splitlines()[0].split()
CONTRACTS = (EventStore, KeepsCursors, Clock, Telemetry)
"""What implements these says no more than they do."""


def own_docstring(value: object) -> str:
    """Not what a dataclass makes up, or a base class says of itself."""
    text = vars(value).get("__doc__") if isinstance(value, type) else value.__doc__
    name = getattr(value, "__name__", "")
    return "" if not text or text.startswith(f"{name}(") else text


def undocumented(kind: type) -> list[str]:
    """The public methods and properties of a class of ours that say nothing."""
    bases = {base for each in CONTRACTS for base in each.__mro__}
    contract = {name for base in bases for name in (*vars(base), *inspect.get_annotations(base))}
    found = []
    for name, member in vars(kind).items():
        plain = getattr(member, "__func__", member)  # of a class method
        function = member.fget if isinstance(member, property) else plain
        if name.startswith("_") or not inspect.isfunction(function):
            continue
        said = inspect.getdoc(getattr(kind, name))  # or by the class that it implements
        if not said and (kind in bases or name not in contract):
            found.append(name)
    return found


def test_the_reference_is_of_all_that_is_public() -> None:
    assert MODULES == [
        "diptych",
        "diptych.errors",
        "diptych.telemetry",
        "diptych.testing",
        "diptych.testing.conformance",
        "diptych.web",
    ]


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_says_what_it_is(module: str) -> None:
    public = import_module(module)
    for name in public.__all__:
        value = getattr(public, name)
        if isinstance(value, type | FunctionType):
            assert own_docstring(value), name
        if isinstance(value, type) and not module.endswith("conformance"):
            assert undocumented(value) == [], name


def test_the_overview_names_every_public_name_once() -> None:
    assert diptych.__doc__ is not None
    listed = diptych.__doc__.partition("All of them are imported")[0]
    named = [name for name in re.findall(r"`(\w+)`", listed) if name in diptych.__all__]
    kinds = {"Rejected", "InvalidInput", "LimitExceeded"}  # also where rules are written
    assert sorted({*named}) == diptych.__all__
    assert [name for name in diptych.__all__ if named.count(name) > 1 and name not in kinds] == []


def test_the_overview_has_errors_under_their_kind() -> None:
    assert diptych.__doc__ is not None
    kinds = re.findall(r"^- [^`]+`(\w+)`: ((?:.|\n)*?\.)$", diptych.__doc__, re.MULTILINE)
    assert len(kinds) == 4
    for kind, listed in kinds:
        for name in re.findall(r"`(\w+)`", listed):
            assert issubclass(getattr(diptych, name), getattr(diptych, kind)), name


def test_the_pages_are_made_and_have_every_public_name(tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "pdoc", "--docformat", "google", "-o", str(tmp_path), *MODULES],
        cwd=ROOT / "src",
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.stderr == ""
    for module in MODULES:
        page = (tmp_path / f"{module.replace('.', '/')}.html").read_text("utf-8")
        for name in import_module(module).__all__:
            assert f'id="{name}"' in page, f"{module}.{name}"
