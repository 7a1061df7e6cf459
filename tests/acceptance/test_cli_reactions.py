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
    _is_shown(databases)
    again = diptych(databases, "reactions", "retry", "mails", STREAM)
    assert again.returncode == 2
    assert "failed again: RuntimeError in refuse" in again.stderr.splitlines()[-1]
    done = diptych(databases, "reactions", "discard", "mails", STREAM, "--reason", "too late")
    assert done.stdout == f"mails: what was parked of {STREAM} is never handled\n"
    listed = diptych(databases, "reactions", "parked", "mails", "--discarded").stdout
    assert listed.startswith(f"{STREAM} v1-2: too late (")
    assert diptych(databases, "pause", "mails").stdout == "mails: paused\n"
    told = diptych(databases, "pause", "--all", "--reason", "the move").stdout
    assert "mails: was paused already, the first reason stands\n" in told
    assert "order_summaries: paused\n" in told
    assert diptych(databases, "why", "mails").stdout.startswith("mails: paused at ")
    assert diptych(databases, "reactions", "resume", "mails").stdout == "mails: resumed\n"
    assert "mails: was not paused\n" in diptych(databases, "resume", "--all").stdout
    assert diptych(databases, "reactions", "list").returncode == 0
    assert parked(databases) == 0


def test_a_run_before_a_deployment_builds_views_and_handles_nothing(databases: Databases) -> None:
    built = diptych(databases, "run", "--until-caught-up")
    assert built.returncode == 0, built.stderr
    shown = diptych(databases, "reactions", "list", "--json")
    (reaction,) = json.loads(shown.stdout)["reactions"]
    assert (reaction["position"], reaction["parked_streams"]) == (0, 0)
    assert json.loads(diptych(databases, "status", "--json").stdout)["ready"]


def _is_shown(databases: Databases) -> None:
    """What is parked, and that nobody runs it now, by each command that looks."""
    (parked,) = json.loads(diptych(databases, "reactions", "parked", "mails", "--json").stdout)[
        "parked"
    ]
    assert (parked["stream"], parked["first"], parked["through"]) == (STREAM, 1, 2)
    assert STREAM in diptych(databases, "reactions", "parked", "mails").stdout
    assert "mails: streams that are parked: 1" in diptych(databases, "status").stdout
    why = diptych(databases, "why", "mails")
    assert why.returncode == 0, "what is parked holds nothing up"
    assert "mails: waiting at 2 of 2" in why.stdout
    assert "do:  start one with this code: diptych run" in why.stdout
    assert "set aside: 2 events of 1 streams" in why.stdout
    doctor = diptych(databases, "doctor").stdout
    assert "reaction mails: waiting at 2 of 2, parked streams: 1" in doctor


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["reactions", "retry", "mails"], "mails has not stopped: there is nothing to do"),
        (["reactions", "retry", "mails", "order-9"], "mails has nothing parked of stream order-9"),
        (["reactions", "retry", "mails", "--tenant", "x"], "--tenant: belongs to a stream"),
        (["reactions", "discard", "mails", "--reason", " "], "reason: must say why"),
        (
            ["reactions", "discard", "mails", "--reason", "x"],
            "mails has not stopped at an event: there is nothing to do",
        ),
        (
            ["pause", "male"],
            "name: there is no view or reaction 'male'; there is order_summaries, mails",
        ),
        (["reactions", "parked", "male"], "there is no reaction 'male'; there is mails"),
    ],
)
def test_what_cannot_be_done_with_a_reaction_is_said_in_one_line(
    words: list[str], says: str, tmp_path: Path
) -> None:
    files = Databases(f"sqlite:///{tmp_path / 'log.db'}", f"sqlite:///{tmp_path / 'read.db'}")
    ended = diptych(files, *words)
    command = " ".join(words[: 2 if words[0] == "reactions" else 1])
    assert (ended.returncode, ended.stderr) == (2, f"diptych {command}: {says}\n")
