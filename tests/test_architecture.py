"""The rules about the shape of the code, and for each of them that it catches its violation."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAX_FILE, MAX_FUNCTION, USUAL_FUNCTION = 300, 40, 15
CODE = ("src", "examples", "benchmarks")
GROUND_FLOOR = (
    *("listed", "messages", "clock", "failpoints", "tokens", "worker"),
    *("errors/__init__", "errors/kinds", "errors/rejected", "errors/again"),
    *("errors/store", "errors/operating", "errors/reason"),
    *("rules/fingerprint", "rules/described", "rules/normal_form", "rules/sources"),
)
PUBLIC = {"diptych", "diptych.telemetry", "diptych.testing", "diptych.web"}
WRITE_MODEL = {"dataclasses", "datetime", "decimal", "enum", "typing", "uuid", "collections.abc"}
EXECUTES = {"execute", "executemany", "executescript", "exec_driver_sql", "text", "fetch", "DDL"}
SQL = re.compile(r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE|ALTER|DROP|TRUNCATE|WHERE)\b")

Violations = Iterator[str]
Rule = Callable[[Path], Violations]
Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources(root: Path, *folders: str) -> Iterator[tuple[str, str, ast.Module]]:
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            yield str(path.relative_to(root)), *parsed(path)


@cache
def parsed(path: Path) -> tuple[str, ast.Module]:
    """All rules look at the same files."""
    text = path.read_text()
    return text, ast.parse(text)


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module or "." * node.level]
    return []


def length(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def files_are_short(root: Path) -> Violations:
    for path, text, _ in sources(root, *CODE):
        if len(text.splitlines()) > MAX_FILE:
            yield f"{path} has more than {MAX_FILE} lines"


def functions_are_short(root: Path) -> Violations:
    for path, _, tree in sources(root, *CODE):
        for each in functions(tree):
            if length(each) > MAX_FUNCTION:
                yield f"{path}:{each.lineno} {each.name} has more than {MAX_FUNCTION} lines"


def most_functions_are_very_short(root: Path) -> Violations:
    lengths = [length(each) for _, _, tree in sources(root, "src") for each in functions(tree)]
    usual = sum(each <= USUAL_FUNCTION for each in lengths)
    if usual < 0.8 * len(lengths):
        yield f"src: only {usual} of {len(lengths)} functions have {USUAL_FUNCTION} lines or fewer"


def modules_say_what_lives_in_them(root: Path) -> Violations:
    for path, text, tree in sources(root, *CODE):
        if text and not ast.get_docstring(tree):
            yield f"{path} has no docstring"


def types_are_not_imported_for_checkers_only(root: Path) -> Violations:
    for path, _, tree in sources(root, "src"):
        for node in ast.walk(tree):
            if "TYPE_CHECKING" in {getattr(node, "id", ""), getattr(node, "attr", "")}:
                yield f"{path}:{node.lineno} TYPE_CHECKING"  # type: ignore[attr-defined]


def imports_are_at_the_top(root: Path) -> Violations:
    for path, _, tree in sources(root, *CODE):
        for each in functions(tree):
            for node in ast.walk(each):
                if imported(node):
                    yield f"{path}:{each.lineno} {each.name} imports {imported(node)}"


def imports_are_absolute(root: Path) -> Violations:
    for path, _, tree in sources(root, *CODE):
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level:
                yield f"{path}:{node.lineno} a relative import"


def sql_is_not_put_together_in_functions(root: Path) -> Violations:
    """A PRAGMA takes no parameters, so its value may be put in; all others take theirs bound."""
    for path, _, tree in sources(root, "src", "examples"):
        for each in functions(tree):
            for node in ast.walk(each):
                if _is_made_sql(node):
                    yield f"{path}:{each.lineno} {each.name} puts SQL together"


def _is_made_sql(node: ast.AST) -> bool:
    if isinstance(node, ast.Call) and node.args:
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        made = _made_text(node.args[0]) if name in EXECUTES else None
        if made is not None and not made.startswith("PRAGMA "):
            return True
    return bool(SQL.search(_made_text(node) or ""))


def _made_text(node: ast.AST) -> str | None:
    """The fixed part of text that is put together from parts: f"", +, %, format, join."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return _text(node.func.value) if node.func.attr in {"format", "join"} else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        return _text(node)
    return _text(node) if isinstance(node, ast.JoinedStr) else None


def _text(node: ast.AST) -> str:
    parts = [each.value for each in ast.walk(node) if isinstance(each, ast.Constant)]
    return " ".join(each for each in parts if isinstance(each, str))


def the_ground_floor_needs_the_standard_library_only(root: Path) -> Violations:
    plain = (name.removesuffix("/__init__").replace("/", ".") for name in GROUND_FLOOR)
    ours = {f"diptych.{name}" for name in plain}
    for name in GROUND_FLOOR:
        path = f"src/diptych/{name}.py"
        if (root / path).exists():
            for module in _modules(root / path):
                if module not in ours and module.partition(".")[0] not in sys.stdlib_module_names:
                    yield f"{path} imports {module}"


def examples_use_public_names_only(root: Path) -> Violations:
    for path, _, tree in sources(root, "examples"):
        for module in (name for node in ast.walk(tree) for name in imported(node)):
            if module.partition(".")[0] == "diptych" and module not in PUBLIC:
                yield f"{path} imports {module}"


def the_write_model_is_plain_python(root: Path) -> Violations:
    path = root / "examples/orders/order.py"
    for module in _modules(path) if path.exists() else ():
        if module not in WRITE_MODEL | {"diptych"}:
            yield f"examples/orders/order.py imports {module}"


def _modules(path: Path) -> list[str]:
    return [name for node in ast.walk(ast.parse(path.read_text())) for name in imported(node)]


LONG = "def f():\n" + "    x = 1\n" * MAX_FUNCTION
SEEDS: list[tuple[Rule, str, str]] = [
    (files_are_short, "src/seed.py", "x = 1\n" * (MAX_FILE + 1)),
    (files_are_short, "examples/seed.py", "\n" * (MAX_FILE + 1)),
    (functions_are_short, "src/seed.py", LONG),
    (functions_are_short, "examples/seed.py", "class A:\n  async " + LONG.replace("\n", "\n  ")),
    (most_functions_are_very_short, "src/seed.py", LONG),
    (modules_say_what_lives_in_them, "src/seed.py", "x = 1\n"),
    (types_are_not_imported_for_checkers_only, "src/seed.py", "if typing.TYPE_CHECKING:\n  x\n"),
    (types_are_not_imported_for_checkers_only, "src/seed.py", "if TYPE_CHECKING:\n  x\n"),
    (imports_are_at_the_top, "src/seed.py", "def f():\n  import json\n"),
    (
        imports_are_at_the_top,
        "src/seed.py",
        "class A:\n  def f(self):\n    from json import dumps\n",
    ),
    (imports_are_absolute, "src/seed.py", "from . import x\n"),
    (
        the_ground_floor_needs_the_standard_library_only,
        "src/diptych/errors/kinds.py",
        "import msgspec\n",
    ),
    (
        the_ground_floor_needs_the_standard_library_only,
        "src/diptych/clock.py",
        "from diptych.app import Application\n",
    ),
    (examples_use_public_names_only, "examples/seed.py", "from diptych.store.memory import x\n"),
    (the_write_model_is_plain_python, "examples/orders/order.py", "import sqlite3\n"),
    (the_write_model_is_plain_python, "examples/orders/order.py", "from time import time\n"),
    *(
        (sql_is_not_put_together_in_functions, "src/seed.py", f"def f(x, db):\n  {statement}\n")
        for statement in (
            'db.execute(f"SELECT {x}")',
            'db.execute("DELETE FROM " + x)',
            'db.execute("DELETE FROM %s" % x)',
            'db.execute("{}".format(x))',
            'db.execute(f"{x}")',
            'db.executemany("VALUES (" + x, [])',
            'sa.text(f"lower({x})")',
            'sql = f"SELECT 1 WHERE a = {x}"',
            'sql = " ".join(["SELECT", x]) + "DROP TABLE t"',
        )
    ),
]
RULES = list(dict.fromkeys(rule for rule, _, _ in SEEDS))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_code_keeps_the_rule(rule: Rule) -> None:
    assert list(rule(ROOT)) == []


@pytest.mark.parametrize(("rule", "path", "source"), SEEDS)
def test_the_rule_catches_a_violation(rule: Rule, path: str, source: str, tmp_path: Path) -> None:
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_text(source)
    found = list(rule(tmp_path))
    assert found
    assert all(each.startswith((path, "src: only")) for each in found)


def test_a_pragma_and_sql_made_once_are_no_violation(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/seed.py").write_text(
        'SQL = f"SELECT {COLUMNS}"\ndef f(x, db):\n  db.execute(f"PRAGMA synchronous = {x}")\n'
    )
    assert list(sql_is_not_put_together_in_functions(tmp_path)) == []


IMPORTS = {  # contract: the module that breaks it, and the line that does
    "layers": ("errors/kinds", "import diptych.clock"),
    "panels": ("write/bus", "import diptych.read.page"),
    "backends": ("read/projector", "import diptych.store.memory"),
    "contract": ("store/memory", "import diptych.store.sqlite.store"),
    "sqlite": ("read/search", "import diptych.sqlite_library"),
    "postgres": ("read/search", "import diptych.postgres_library.url"),
    "standard": ("tokens", "import msgspec"),
    "edges": ("store/limits", "import fastapi"),
    "cycles": ("read/cursor", "import diptych.read.page"),
}


def lint(root: Path, *contracts: str) -> subprocess.CompletedProcess[str]:
    chosen = [word for contract in contracts for word in ("--contract", contract)]
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", command, "--no-cache", "--no-logo", *chosen],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root / "src")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns(".*", "__py*"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_imports_keep_every_contract() -> None:
    found = lint(ROOT)
    assert found.returncode == 0, found.stdout + found.stderr


def test_every_contract_is_shown_to_catch_its_violation() -> None:
    ids = re.findall(r'^id = "(\w+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert sorted(ids) == sorted(IMPORTS)


@pytest.mark.parametrize("contract", IMPORTS)
def test_the_contract_catches_a_violation(contract: str, copy: Path) -> None:
    module, line = IMPORTS[contract]
    file = copy / f"src/diptych/{module}.py"
    file.write_text(file.read_text() + line + "\n")
    found = lint(copy, contract)
    assert found.returncode == 1
    assert module.rpartition("/")[2] in found.stdout


def test_a_new_module_must_be_given_its_place(copy: Path) -> None:
    (copy / "src/diptych/helpers.py").write_text('"""Anything."""\n')
    found = lint(copy, "layers")
    assert found.returncode == 1
    assert "diptych.helpers" in found.stdout
