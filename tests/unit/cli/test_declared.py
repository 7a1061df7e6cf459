"""Which application the `diptych` command works on, when several things may say it."""

from pathlib import Path

import pytest

from diptych import Application, ConfigurationError
from diptych.cli.target import declared, load

IN_FILE = '[tool.diptych]\napp = "of_the:file"\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, and below it the working directory."""
    monkeypatch.delenv("DIPTYCH_APP", raising=False)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    return tmp_path


def test_the_command_line_comes_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "pyproject.toml").write_text(IN_FILE)
    monkeypatch.setenv("DIPTYCH_APP", "of_the:variable")
    assert declared("of_the:option") == ("of_the:option", Path.cwd())
    assert declared(None, "of_the:argument") == ("of_the:argument", Path.cwd())
    assert declared(None) == ("of_the:variable", Path.cwd())
    monkeypatch.setenv("DIPTYCH_APP", "")
    assert declared(None) == ("of_the:file", folder)


def test_two_on_the_command_line_are_refused(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="both --app and 'of_the:argument'"):
        declared("of_the:option", "of_the:argument")


def test_the_nearest_file_that_says_it_counts(folder: Path) -> None:
    (folder / "pyproject.toml").write_text(IN_FILE)
    (folder / "a" / "pyproject.toml").write_text("[project]\nname = 'other'\n")
    assert declared(None) == ("of_the:file", folder)
    (folder / "a" / "b" / "pyproject.toml").write_text('[tool.diptych]\napp = "nearer:one"\n')
    assert declared(None) == ("nearer:one", folder / "a" / "b")


def test_its_modules_are_looked_for_in_the_folder_of_the_file(folder: Path) -> None:
    (folder / "pyproject.toml").write_text('[tool.diptych]\napp = "declared_sample:make"\n')
    (folder / "declared_sample.py").write_text(
        "from diptych import Application\ndef make():\n    return Application(log='memory://')\n"
    )
    assert isinstance(load(*declared(None)), Application)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "no application is named: write --app MODULE:FACTORY, set DIPTYCH_APP"),
        ("[tool.diptych]\nother = 1\n", "no application is named"),
        ("[tool.diptych]\napp = 8\n", "is not text: write MODULE:FACTORY"),
        ("[tool.diptych\n", "pyproject.toml cannot be read"),
        ("tool = 3\n", "pyproject.toml cannot be read"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(folder: Path, text: str | None, says: str) -> None:
    if text is not None:
        (folder / "pyproject.toml").write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        declared(None)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
