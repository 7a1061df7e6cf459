"""The README's `curl` lines, run by a shell, give what the README says."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.process import process

README = (Path(__file__).parents[2] / "README.md").read_text()
SESSION = re.search(r"curl:begin.*?```console\n(.*?)```", README, re.DOTALL)


def steps() -> list[tuple[str, list[str]]]:
    """Each command with the lines that are shown below it."""
    assert SESSION is not None
    parts = re.split(r"^\$ ", SESSION[1], flags=re.MULTILINE)[1:]
    found = []
    for part in parts:
        command, _, shown = part.partition("\nHTTP/1.1")
        found.append((command, f"HTTP/1.1{shown}".strip().splitlines()))
    return found


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_lines_of_the_readme_give_what_it_says(tmp_path: Path) -> None:
    assert len(steps()) == 7
    with process(tmp_path) as service:
        service.start()
        for command, shown in steps():
            answered = run(command.replace("localhost:8000", service.url.removeprefix("http://")))
            for expected in shown:
                assert expected in answered, f"{command}\n{answered}"


def run(command: str) -> str:
    return subprocess.run(
        ["bash", "-c", command.replace("curl -i", "curl -s -i", 1)],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout
