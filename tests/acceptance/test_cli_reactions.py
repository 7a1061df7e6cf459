"""`diptych reactions`: what could not be handled is seen, tried again, and discarded."""

import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.conftest import Databases, make
from tests.acceptance.process import run_module, start_module, until
from tests.acceptance.test_cli_import import line

STREAM = "order-00000000-0000-0000-0000-000000000001"
APP = {"DIPTYCH_APP": "tests.acceptance.cli_sample:reacting"}


@pytest.fixture(params=["sqlite", "postgres"])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Databases:
    """An order was made and shipped, which a reaction cannot handle."""
    made = make(request.param, request, tmp_path)
    (tmp_path / "orders.jsonl").write_text("\n".join(json.dumps(line(each)) for each in range(2)))
    assert diptych(made, "import", str(tmp_path / "orders.jsonl")).returncode == 0
    return made


def diptych(databases: Databases, *words: str) -> subprocess.CompletedProcess[str]:
    urls = {"DIPTYCH_LOG": databases.log, "DIPTYCH_READ": databases.read}
    return run_module("diptych.cli", *words, **urls, **APP)


def parked(databases: Databases) -> int:
    shown = diptych(databases, "reactions", "list", "--json")
    (reaction,) = json.loads(shown.stdout)["reactions"]
    streams: int = reaction["parked_streams"]
    return streams


def test_what_a_reaction_could_not_handle_is_dealt_with(databases: Databases) -> None:
    urls = {"DIPTYCH_LOG": databases.log, "DIPTYCH_READ": databases.read}
    running = start_module("diptych.cli", "run", **urls, **APP)
    try:
        until(lambda: parked(databases) == 1, seconds=60)
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=60)
    finally:
        running.kill()
    assert diptych(databases, "reactions", "list").returncode == 3
    again = diptych(databases, "reactions", "retry", "mails", STREAM)
    assert again.returncode == 2
    assert "failed again: RuntimeError in refuse" in again.stderr.splitlines()[-1]
    done = diptych(databases, "reactions", "discard", "mails", STREAM, "--reason", "too late")
    assert done.stdout == f"mails: what was parked of {STREAM} is never handled\n"
    assert diptych(databases, "reactions", "pause", "mails").stdout == "mails: paused\n"
    assert diptych(databases, "reactions", "resume", "mails").stdout == "mails: resumed\n"
    assert diptych(databases, "reactions", "list").returncode == 0
    assert parked(databases) == 0


def test_a_run_before_a_deployment_builds_views_and_handles_nothing(databases: Databases) -> None:
    built = diptych(databases, "run", "--until-caught-up")
    assert built.returncode == 0, built.stderr
    shown = diptych(databases, "reactions", "list", "--json")
    (reaction,) = json.loads(shown.stdout)["reactions"]
    assert (reaction["position"], reaction["parked_streams"]) == (0, 0)
    assert json.loads(diptych(databases, "status", "--json").stdout)["ready"]
