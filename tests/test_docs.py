"""What the documents say is there, is there."""

import ast
import re
from pathlib import Path
from types import FunctionType

import pytest

import diptych
from benchmarks import figures

ROOT = Path(__file__).parent.parent
PROMISES = (ROOT / "docs" / "promises.md").read_text()
PROOFS = re.findall(r"`([\w/]+\.py)::(\w+)`", PROMISES)
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])


def functions_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


@pytest.mark.parametrize(("path", "name"), PROOFS)
def test_each_promise_is_proved_by_a_test_that_exists(path: str, name: str) -> None:
    assert name in functions_in(ROOT / path)


def test_each_of_the_twelve_promises_has_a_proof() -> None:
    rows = re.findall(r"^\| (P\d+) \|.*?`\S+::test_", PROMISES, re.MULTILINE)
    assert rows == [f"P{number}" for number in range(1, 13)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", document.read_text())
    missing = [target for target in targets if not (document.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize(
    "record", sorted((ROOT / "docs" / "adr").glob("*.md")), ids=lambda p: p.name
)
def test_a_decision_record_is_short_and_whole(record: Path) -> None:
    text = record.read_text()
    assert len(text.splitlines()) <= 60
    for heading in (
        "**Status**",
        "## Context",
        "## Decision",
        "## Consequences",
        "## Alternatives",
    ):
        assert heading in text


def test_the_figures_of_the_readme_are_those_of_the_results() -> None:
    text = (ROOT / "README.md").read_text()
    assert text.partition(figures.BEGIN)[2].partition(figures.END)[0] == figures.table()


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.1365, "0.14"), (0.02, "0.020"), (7.59, "7.6"), (17_685.02, "18,000"), (99.6, "100")],
)
def test_a_figure_is_rounded_to_what_it_can_tell(value: float, shown: str) -> None:
    assert figures.rounded(value) == shown


def test_decision_records_are_numbered_without_gaps() -> None:
    numbers = sorted(path.name[:4] for path in (ROOT / "docs" / "adr").glob("*.md"))
    assert numbers == [f"{number:04}" for number in range(len(numbers))]


def test_the_list_for_type_checkers_is_the_list_of_public_names() -> None:
    stub = (ROOT / "src" / "diptych" / "__init__.pyi").read_text()
    listed = re.findall(r"^from ([\w.]+) import (\w+) as (\w+)$", stub, re.MULTILINE)
    assert {name for _, name, alias in listed if name == alias} == set(diptych.__all__)
    for module, name, _ in listed:
        assert diptych._WHERE[name] == module


def test_every_public_name_can_be_imported_and_says_what_it_is() -> None:
    for name in diptych.__all__:
        value = getattr(diptych, name)
        documented = isinstance(value, type | FunctionType)
        assert not documented or value.__doc__, name
