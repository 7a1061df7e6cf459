"""`diptych migrate` and `doctor`: databases of older versions, and what does not fit together."""

import json
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.acceptance.conftest import Databases
from tests.acceptance.process import run_module
from tests.golden.logs import postgres_log, sqlite_log
from tests.servers.postgres import PostgresServer


@pytest.fixture(params=["sqlite", "postgres"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Databases:
    """A log as version 1 left it."""
    read = f"sqlite:///{tmp_path / 'read.db'}"
    if request.param == "sqlite":
        return Databases(sqlite_log(1, tmp_path / "log.db"), read)
    server: PostgresServer = request.getfixturevalue("postgres")
    return Databases(postgres_log(1, server.create_database(), server), read)


def diptych(databases: Databases, *words: str) -> subprocess.CompletedProcess[str]:
    urls = {"DIPTYCH_LOG": databases.log, "DIPTYCH_READ": databases.read}
    return run_module("diptych.cli", *words, **urls)


def test_an_older_log_is_migrated_by_command_only(old: Databases) -> None:
    for words in (["status"], ["events", "tail"], ["why"], ["rebuild", "--all"]):
        refused = diptych(old, *words)
        assert refused.returncode == 1
        assert "has schema version 1, this is" in refused.stderr.splitlines()[-1]
        assert "`diptych migrate`" in refused.stderr
    looked = diptych(old, "migrate", "--check")
    assert (looked.returncode, looked.stdout) == (3, "log: is to go from version 1 to 2\n")
    done = diptych(old, "migrate")
    assert done.stdout == "log: went from version 1 to 2\nread database: nothing to do\n"
    assert diptych(old, "events", "tail").returncode == 0
    assert diptych(old, "migrate", "--check").returncode == 0
    again = json.loads(diptych(old, "migrate", "--json").stdout)
    assert [step["database"] for step in again["steps"]] == ["log", "read database"]


def test_an_older_log_is_migrated_by_who_projects(old: Databases) -> None:
    assert diptych(old, "run", "--until-caught-up").returncode == 0
    assert diptych(old, "status").returncode == 0


def test_a_doctor_finds_nothing_wrong_where_all_is_well(tmp_path: Path) -> None:
    databases = Databases(f"sqlite:///{tmp_path / 'log.db'}", f"sqlite:///{tmp_path / 'read.db'}")
    seen = diptych(databases, "doctor")
    assert seen.returncode == 0, seen.stdout
    assert {line.split()[0] for line in seen.stdout.splitlines()} == {"ok"}
    for about in ("packages: Python", "log: ", "durability: ", "read database: ", "view order"):
        assert f"ok       {about}" in seen.stdout


def test_a_doctor_names_what_is_wrong_and_what_to_do(tmp_path: Path, old: Databases) -> None:
    older = diptych(old, "doctor")
    assert older.returncode == 3
    assert "problem  log: " in older.stdout
    assert "`diptych migrate`" in older.stdout
    away = Databases("postgresql://ann:s3cret@127.0.0.1:9/shop", old.read)
    gone = diptych(away, "doctor")
    assert gone.returncode == 3
    assert "nothing listens there" in gone.stdout
    assert "s3cret" not in gone.stdout + gone.stderr


def test_a_doctor_sees_events_that_the_code_cannot_read(tmp_path: Path) -> None:
    databases = Databases(f"sqlite:///{tmp_path / 'log.db'}", f"sqlite:///{tmp_path / 'read.db'}")
    urls = {"DIPTYCH_LOG": databases.log, "DIPTYCH_READ": databases.read}
    assert run_module("tests.acceptance.cli_append", **urls).returncode == 0
    seen = diptych(databases, "doctor", "--json")
    assert seen.returncode == 3
    (problem,) = (
        each for each in json.loads(seen.stdout)["findings"] if each["level"] == "problem"
    )
    assert (problem["about"], problem["do"]) == ("events", "diptych events show 1")


def test_a_doctor_sees_a_file_that_everybody_may_read(tmp_path: Path) -> None:
    databases = Databases(f"sqlite:///{tmp_path / 'log.db'}", f"sqlite:///{tmp_path / 'read.db'}")
    assert diptych(databases, "doctor").returncode == 0
    Path(urlsplit(databases.log).path[1:]).chmod(0o644)
    seen = diptych(databases, "doctor")
    assert seen.returncode == 0
    assert "warning  file: everybody on this machine may read" in seen.stdout
