"""What docs/how-to/operate.md shows is what the commands print."""

import re
import subprocess
import sys
from pathlib import Path

from tests.acceptance.process import ROOT, environment_of

PAGE = (ROOT / "docs" / "how-to" / "operate.md").read_text()
FILES = re.findall(r"<!-- ([\w.]+) -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
BLOCKS = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
SHELL = f'diptych() {{ {sys.executable} -m diptych.cli "$@"; }}'
VARIES = (
    (r"[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}", "ID"),
    (r"\d{4}-\d\d-\d\d[T ][\d:.]+(Z|\+00:00)", "TIME"),
    (r"[\d.,]+ (s|min|h)\b", "AGE"),
    (r"[\d.,]+ k?B\b", "SIZE"),
    (r" +", " "),
)


def shown() -> list[tuple[str, str]]:
    """The commands of the page, each with what it prints there."""
    parts = [part for block in BLOCKS for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    return [(command, printed) for command, _, printed in (part.partition("\n") for part in parts)]


def settled(text: str) -> list[str]:
    for pattern, name in VARIES:
        text = re.sub(pattern, name, text)
    return [line.rstrip() for line in text.splitlines()]


def test_the_page_shows_what_the_commands_print(tmp_path: Path) -> None:
    for name, content in FILES:
        (tmp_path / name).write_text(content)
    commands = shown()
    assert len(commands) > 20
    for command, expected in commands:
        ended = subprocess.run(
            ["bash", "-c", f"{SHELL}\n{command}"],
            cwd=tmp_path,
            env=environment_of({"DIPTYCH_APP": ""}),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert settled(ended.stdout) == settled(expected), f"{command}\n{ended.stderr}"


def test_the_page_names_every_command() -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "diptych.cli", "--help"],
        cwd=ROOT,
        env=environment_of({}),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    names = re.findall(r"^  (\w+) ", listed.partition("Commands:")[2], re.MULTILINE)
    assert len(names) > 12
    assert [name for name in names if f"diptych {name}" not in PAGE] == []
