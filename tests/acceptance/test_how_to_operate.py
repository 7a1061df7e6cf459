"""docs/how-to/operate.md, whose session is typed by `test_pages.py`, is about every command."""

import re
import subprocess
import sys

from tests.acceptance.process import ROOT, environment_of

PAGE = (ROOT / "docs" / "how-to" / "operate.md").read_text()


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
