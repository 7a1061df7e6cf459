"""`diptych rebuild`, `revisions` and `why`: what an operator does about views."""

import json
import subprocess
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.acceptance.conftest import Databases, make
from tests.acceptance.process import run_module
from tests.acceptance.test_cli_import import line

VIEW = "order_summaries"
ORDERS = 200


@pytest.fixture(params=["sqlite", "postgres"])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Databases:
    return make(request.param, request, tmp_path)


@pytest.fixture
def filled(databases: Databases, tmp_path: Path) -> Databases:
    """A log of orders, each of them shipped; no view is there yet."""
    file = tmp_path / "orders.jsonl"
    file.write_text("".join(f"{json.dumps(line(each))}\n" for each in range(2 * ORDERS)))
    assert diptych(databases, "import", str(file)).returncode == 0
    return databases


@pytest.fixture
def built(filled: Databases) -> Databases:
    assert diptych(filled, "run", "--until-caught-up").returncode == 0
    return filled


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def unchanged(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Databases:
    """A log and views that tests share which change nothing."""
    databases = make(request.param, request, tmp_path_factory.mktemp("unchanged"))
    assert run_module("tests.acceptance.cli_append", **urls(databases)).returncode == 0
    assert diptych(databases, "run", "--until-caught-up").returncode == 0
    return databases


def diptych(databases: Databases, *words: str) -> subprocess.CompletedProcess[str]:
    return run_module("diptych.cli", *words, **urls(databases))


def urls(databases: Databases) -> dict[str, str]:
    return {"DIPTYCH_LOG": databases.log, "DIPTYCH_READ": databases.read}


def answer(databases: Databases, *words: str) -> Any:
    ended = diptych(databases, *words, "--json")
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_a_view_is_rebuilt_and_what_it_replaced_is_dropped(built: Databases) -> None:
    done = diptych(built, "rebuild", VIEW)
    assert done.returncode == 0, done.stderr
    first, compared = done.stdout.splitlines()
    assert first.startswith(f"{VIEW}: revision 2 serves instead of 1, at 400, in ")
    assert compared == "  compared with revision 1: 201 of 201 rows are equal"
    shown = diptych(built, "revisions", "list").stdout.splitlines()
    assert [row.split()[:3] for row in shown[1:]] == [
        ["1", VIEW, "retired"],
        ["2", VIEW, "serving"],
    ]
    (old, new) = answer(built, "revisions", "list")["revisions"]
    assert (old["current"], new["current"], new["rows"]) == (False, True, ORDERS)
    dropped = diptych(built, "revisions", "drop", "1")
    assert (dropped.returncode, dropped.stdout) == (0, "revision 1 is dropped\n"), dropped.stderr
    assert len(answer(built, "revisions", "list")["revisions"]) == 1


def test_all_views_are_rebuilt_by_one_reading(built: Databases) -> None:
    (done,) = answer(built, "rebuild", "--all", "--full-speed")["rebuilt"]
    assert (done["serving"], done["position"]) == (True, 400)
    assert done["verification"]["finding"] is False


def test_a_row_that_was_changed_by_hand_is_a_finding(built: Databases, tmp_path: Path) -> None:
    changed = run_module("tests.acceptance.cli_change_row", built.read)
    assert changed.returncode == 0, changed.stderr
    kept = diptych(built, "rebuild", VIEW, "--only-if-equal")
    assert kept.returncode == 3, kept.stderr
    assert "revision 2 is complete, and does not serve: it differs" in kept.stdout
    assert "changed in customer_name" in kept.stdout
    assert "Mallory" not in kept.stdout
    done = diptych(built, "rebuild", VIEW)
    assert done.returncode == 3
    assert f"{VIEW}: revision 2 serves instead of 1" in done.stdout


def test_an_audit_finds_the_row_and_a_rebuild_of_its_key_mends_it(built: Databases) -> None:
    well = diptych(built, "audit", VIEW)
    assert well.stdout == f"{VIEW}: 200 rows, all as the log says, up to 400\n", well.stderr
    assert run_module("tests.acceptance.cli_change_row", built.read).returncode == 0
    found = diptych(built, "audit", "--all")
    assert found.returncode == 3, found.stderr
    assert f"{VIEW}: 200 rows: 1 different" in found.stdout
    row = next(line.split() for line in found.stdout.splitlines() if "different in" in line)
    assert row[1:] == ["different", "in", "customer_name"]
    assert "Mallory" not in found.stdout
    shown = diptych(built, "audit", VIEW, "--values")
    assert "'Mallory'; the log says 'Ada'" in shown.stdout
    mended = diptych(built, "rebuild", VIEW, "--key", row[0].removesuffix(":"))
    assert mended.returncode == 0, mended.stderr
    assert "had been different in customer_name; it is what the log says" in mended.stdout
    assert [each["equal"] for each in answer(built, "audit", VIEW)["audited"]] == [True]


def test_a_pause_holds_in_every_process_until_it_is_resumed(filled: Databases) -> None:
    assert diptych(filled, "pause", VIEW, "--reason", "the disk is moved").returncode == 0
    again = diptych(filled, "pause", VIEW)
    assert again.stdout == f"{VIEW}: was paused already, the first reason stands\n"
    told = diptych(filled, "why", VIEW)
    assert (told.returncode, "the disk is moved" in told.stdout) == (3, True)
    (view,) = json.loads(diptych(filled, "status", "--json").stdout)["views"]
    assert (view["paused_reason"], view["position"]) == ("the disk is moved", 0)
    assert diptych(filled, "resume", "--all").stdout == f"{VIEW}: resumed\n"
    assert diptych(filled, "resume", VIEW).stdout == f"{VIEW}: was not paused\n"
    assert diptych(filled, "run", "--until-caught-up").returncode == 0


def test_why_says_what_to_do(filled: Databases) -> None:
    nobody = diptych(filled, "why", VIEW)
    assert nobody.returncode == 3
    assert nobody.stdout.splitlines()[0] == f"{VIEW}: nobody projects at 0 of 400"
    assert "  do:  start one with this code: diptych run" in nobody.stdout
    assert diptych(filled, "run", "--until-caught-up").returncode == 0
    found = answer(filled, "why")["views"]
    assert [each["causes"][0]["why"] for each in found] == ["nothing to do"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["rebuild"], "say --all"),
        (["rebuild", "--all", VIEW], "say --all"),
        (["rebuild", "nonsense"], "there is no view or projection 'nonsense'; there is"),
        (["rebuild", VIEW, "--key", "x"], "order_id: must be a UUID"),
        (["rebuild", "--all", "--key", "x"], "--key belongs to one view"),
        (["rebuild", VIEW, "--key", "[x"], "begins as a JSON array, and is none"),
        (["audit"], "say --all"),
        (["audit", VIEW, "--sample", "0"], "0 is not in the range"),
        (["pause", "nonsense"], "there is no view or reaction 'nonsense'"),
        (["resume"], "say --all"),
        (["parked", "list", "nonsense"], "there is no view or projection 'nonsense'"),
        (["parked", "show", VIEW, str(UUID(int=1))], "has nothing parked under this key"),
        (["parked", "retry", VIEW, str(UUID(int=1))], "has nothing parked under this key"),
        (["parked", "retry", VIEW, "--tenant", "a"], "--tenant: belongs to a key"),
        (["parked", "discard", VIEW, str(UUID(int=1))], "Missing option '--reason'"),
        (["parked", "discard", VIEW, str(UUID(int=1)), "--reason", " "], "reason: must say why"),
        (["why", "nonsense"], "there is no view or reaction 'nonsense'"),
        (["revisions", "drop"], "Missing argument 'REVISION...'"),
        (["revisions", "drop", "x"], "'x' is not a valid integer"),
        (["revisions", "drop", "99"], "there is no revision 99"),
        (["revisions", "drop", "1"], "cannot be dropped: it serves"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    unchanged: Databases, words: list[str], says: str
) -> None:
    ended = diptych(unchanged, *words)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert says in ended.stderr.splitlines()[-1]
