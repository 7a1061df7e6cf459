"""Whatever the documents show is done here, in the order in which a reader would do it."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.acceptance.pages import (
    DOCUMENTS,
    Page,
    lay_out,
    module_of,
    run_commands,
    run_python,
)
from tests.acceptance.process import ROOT

PAGES = [Page(path) for path in DOCUMENTS]


def named(page: Page) -> str:
    return str(page.path.relative_to(ROOT))


@pytest.mark.parametrize("page", [each for each in PAGES if each.python], ids=named)
def test_the_python_of_a_page_runs(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lay_out(page, tmp_path)
    run_python(page, tmp_path)


@pytest.mark.parametrize("page", [each for each in PAGES if each.commands], ids=named)
def test_the_commands_of_a_page_print_what_it_shows(page: Page, tmp_path: Path) -> None:
    lay_out(page, tmp_path)
    run_commands(page, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_what_is_left_to_another_test_is_run_there(page: Page) -> None:
    for block in page.blocks:
        if block.test is not None:
            assert page.path.name in (ROOT / block.test).read_text()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_code_is_in_blocks_that_are_run(page: Page) -> None:
    """An indented block would be passed over."""
    fenced = re.sub(r"^```.*?^```", "", page.text, flags=re.MULTILINE | re.DOTALL)
    assert not re.search(
        r"^    +(@|def |async |class |await |from \w+ import )", fenced, re.MULTILINE
    )


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_what_a_page_quotes_is_there(page: Page) -> None:
    for block in page.blocks:
        if block.quoted is not None:
            assert block.text in block.quoted.read_text()


def test_the_python_of_all_pages_has_its_types_in_order(tmp_path: Path) -> None:
    for page in PAGES:
        lay_out(page, tmp_path)
        if page.python:  # where one awaits at the prompt, a checker wants a function
            body = textwrap.indent(page.python, "    ")
            (tmp_path / module_of(page)).write_text(f"async def page() -> None:\n{body}\n")
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", *sorted(tmp_path.glob("**/*.py"))],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


def test_a_service_of_your_own_takes_under_60_lines() -> None:
    files = Page(ROOT / "docs" / "tour.md").files
    assert sorted(files) == ["test_workshops.py", "workshops.py"]
    assert sum(bool(line.strip()) for text in files.values() for line in text.splitlines()) < 60


def test_the_readme_shows_a_service_in_thirty_lines() -> None:
    first = next(each for each in Page(ROOT / "README.md").blocks if each.language == "python")
    lines = [line for line in first.text.splitlines() if line.strip()]
    imports = [line for line in lines if line.startswith(("import ", "from "))]
    assert len(lines) - len(imports) <= 30
