"""The `diptych` command as a process: it builds views, shows how they are, and errs in one line."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from diptych import EventData
from diptych.clock import uuid7
from diptych.store.contract import Append, Write
from examples.orders.app import shop
from tests.acceptance.conftest import Databases, make, new_order
from tests.acceptance.process import process, run_module, start_module, until
from tests.acceptance.test_orders_readiness import ORDERS, fill
from tests.servers.forks import Forked

FACTORY = "examples.orders.app:application"
SLOW = "tests.acceptance.cli_sample:slow"
SHARED = "tests.acceptance.cli_sample:shared"


@pytest.fixture(params=["sqlite", "postgres", "postgres-log-sqlite-read"])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Databases:
    return make(request.param, request, tmp_path)


def diptych(databases: Databases, *words: str) -> subprocess.CompletedProcess[str]:
    return run_module("diptych.cli", *words, **urls(databases))


def urls(databases: Databases) -> dict[str, str]:
    return {"DIPTYCH_LOG": databases.log, "DIPTYCH_READ": databases.read}


@contextmanager
def projector(databases: Databases, target: str = FACTORY) -> Iterator[Forked]:
    running = start_module("diptych.cli", "run", target, **urls(databases))
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


@pytest.fixture
async def filled(databases: Databases) -> Databases:
    """A log of many orders, and no read database yet."""
    async with shop(databases.log, "sqlite://") as app:
        await fill(app)
    return databases


async def break_log(databases: Databases) -> None:
    """The log gets an event that no code knows."""
    async with shop(databases.log, "sqlite://", project=False) as app:
        event = EventData("OrderBurnt", b"{}", uuid7())
        await app.log.store.append(Append((Write(f"order-{uuid4()}", (event,), 0),)))


def test_views_are_built_before_the_web_processes_come(filled: Databases, tmp_path: Path) -> None:
    before = diptych(filled, "status", FACTORY)
    assert before.returncode == 1
    shown = rf"order_summaries +building +0 +{ORDERS:,} .*\n  over it: customers *\n"
    assert re.search(shown, before.stdout), before.stdout
    built = diptych(filled, "run", "--until-caught-up", FACTORY)
    assert built.returncode == 0, built.stdout + built.stderr
    assert "all views have caught up" in built.stdout
    after = diptych(filled, "status", "--json", FACTORY)
    assert after.returncode == 0
    found = json.loads(after.stdout)
    assert (found["ready"], found["head"]) == (True, ORDERS)
    assert [(view["name"], view["over"], view["position"]) for view in found["views"]] == [
        ("order_summaries", ["customers"], ORDERS)
    ]
    with process(tmp_path / "web", DIPTYCH_PROJECT="off", **urls(filled)) as web:
        web.start()
        found = web.get("/orders/search").json()
        assert found["total"] == ORDERS
        customer = web.get(f"/customers/{found['items'][0]['customer_id']}")
        assert customer.status_code == 200, customer.text


async def test_who_is_stopped_before_the_views_are_there_does_not_say_that_they_are(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    databases = make("sqlite", request, tmp_path)
    async with shop(databases.log, "sqlite://", project=False) as app:
        await fill(app)
    running = start_module(
        "diptych.cli", "run", "--until-caught-up", SLOW, **urls(databases), FOLDER=str(tmp_path)
    )
    try:
        until((tmp_path / "projecting").exists)
        running.send_signal(signal.SIGTERM)
        printed, _ = running.communicate(timeout=20)
    finally:
        running.kill()
    assert running.returncode == 1
    assert printed.splitlines()[-1] == "diptych run: stopped before the views had caught up"


def test_the_web_answers_what_another_process_projects(
    databases: Databases, tmp_path: Path
) -> None:
    settings = {"WORKERS": "2", "DIPTYCH_PROJECT": "off", **urls(databases)}
    with projector(databases) as running, process(tmp_path / "web", **settings) as web:
        web.start()
        for _ in range(10):
            created = web.post("/orders", json=new_order())
            token = {"Diptych-Token": created.headers["diptych-token"]}
            seen = web.get(f"{created.headers['location']}", headers=token)
            assert (seen.status_code, seen.headers.get("diptych-stale")) == (200, None)
        status = diptych(databases, "status", FACTORY)
        assert f"/{running.pid}" in status.stdout


def test_it_stops_cleanly_and_said_what_is_in_force(databases: Databases) -> None:
    with projector(databases) as running:
        until(lambda: f"/{running.pid}" in diptych(databases, "status", FACTORY).stdout)
        running.send_signal(signal.SIGTERM)
        printed, _ = running.communicate(timeout=20)
    assert running.returncode == 0, printed
    lines = printed.splitlines()
    for fact in ("log: ", "durability: ", "read database: ", "projections: order_summaries, "):
        assert any(line.startswith(fact) for line in lines), printed
    assert any(line.startswith("order_summaries: live") for line in lines), printed
    assert lines[-1] == "stopped"


def test_when_one_is_killed_another_takes_over(databases: Databases, tmp_path: Path) -> None:
    """Two processes share what there is to project; the one that has the orders is killed."""
    settings = {"DIPTYCH_PROJECT": "off", **urls(databases)}
    with projector(databases, SHARED) as one, projector(databases, SHARED) as two:
        running = {str(each.pid): each for each in (one, two)}
        until(lambda: set(holders(databases).values()) == set(running))
        killed = running.pop(holders(databases)["order_summaries"])
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        with process(tmp_path / "web", **settings) as web:
            web.start()
            created = web.post("/orders", json=new_order())
            token = {"Diptych-Token": created.headers["diptych-token"]}

            def is_there() -> bool:
                answer = web.get(f"{created.headers['location']}", headers=token)
                return answer.status_code == 200 and "diptych-stale" not in answer.headers

            until(is_there)
        until(lambda: set(holders(databases).values()) == set(running))


def holders(databases: Databases) -> dict[str, str]:
    """By view, the number of the process that projects it."""
    found = json.loads(diptych(databases, "status", "--json", SHARED).stdout)
    return {
        view["name"]: slot["holder"].rpartition("/")[2]
        for view in found["views"]
        for slot in view["slots"]
    }


async def test_a_view_that_cannot_go_on_is_told_with_its_event(databases: Databases) -> None:
    await break_log(databases)
    ended = diptych(databases, "run", "--until-caught-up", FACTORY)
    assert ended.returncode == 1
    assert "OrderBurnt" in ended.stdout
    status = diptych(databases, "status", FACTORY)
    assert status.returncode == 1
    assert re.search(r"order_summaries +stopped", status.stdout), status.stdout
    assert "OrderBurnt" in status.stdout


@pytest.mark.parametrize("command", ["run", "status"])
@pytest.mark.parametrize(
    ("target", "code", "says"),
    [
        ("nonsense", 2, "write MODULE:FACTORY"),
        ("examples.orders.app:no_such", 2, "has no no_such"),
        ("examples.orders.api:create_api", 2, "needs app"),
        ("tests.acceptance.cli_sample:nothing_to_do", 2, "no views, projections or reactions"),
        ("tests.acceptance.cli_sample:same_file", 2, "same file"),
        ("tests.acceptance.cli_sample:no_database", 1, "there"),
    ],
)
def test_what_cannot_be_run_is_one_line(
    command: str, target: str, code: int, says: str, tmp_path: Path
) -> None:
    ended = run_module("diptych.cli", command, target, FOLDER=str(tmp_path))
    lines = ended.stderr.splitlines()
    assert (ended.returncode, len(lines)) == (code, 1), ended.stderr
    assert lines[0].startswith(f"diptych {command}: ")
    assert says in lines[0]


def test_the_words_of_an_error_that_may_have_a_password_in_them_are_not_shown(
    tmp_path: Path,
) -> None:
    target = "tests.acceptance.cli_sample:unreachable"
    ended = run_module("diptych.cli", "status", target, FOLDER=str(tmp_path))
    assert ended.returncode == 2
    assert "unreachable failed: ValueError (cli_sample.py:" in ended.stderr
    assert "hunter2" not in ended.stdout + ended.stderr


async def test_an_application_that_only_reacts_is_run(databases: Databases, tmp_path: Path) -> None:
    async with shop(databases.log, "sqlite://") as app:
        await fill(app, 1)
    words = ("run", "--app", "tests.acceptance.cli_sample:only_reacting")
    running = start_module("diptych.cli", *words, FOLDER=str(tmp_path), **urls(databases))
    try:
        until((tmp_path / "noted").exists)
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=20) == 0
    finally:
        running.kill()
        running.communicate()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "MODULE:FACTORY is a Python module"),
        (["--help"], "Show how the views and reactions of an application are"),
        (["run", "--help"], "--until-caught-up"),
        (["status", "--help"], "Exit codes: 0"),
        (["events", "--help"], "Show the last events of the log"),
        (["--help"], "130  stopped by a signal"),
    ],
)
def test_help_says_what_there_is(words: list[str], says: str) -> None:
    shown = run_module("diptych.cli", *words)
    assert says in shown.stdout + shown.stderr


def test_the_status_is_shown_again_and_again(databases: Databases) -> None:
    command = ("diptych.cli", "status", "--watch", "--every", "0.1", "--json")
    running = start_module(*command, **urls(databases))
    assert running.stdout is not None
    try:
        for _ in range(2):
            assert json.loads(running.stdout.readline())["head"] == 0
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=20) == 0
    finally:
        running.kill()
        running.communicate()


def test_for_programs_a_projector_tells_in_json_what_has_changed(databases: Databases) -> None:
    command = ("diptych.cli", "run", "--until-caught-up", "--json")
    built = run_module(*command, **urls(databases))
    lines = [json.loads(line) for line in built.stdout.splitlines()]
    assert (built.returncode, lines[-1]["ready"]) == (0, True)


def test_an_application_may_be_named_in_three_ways(databases: Databases) -> None:
    for words, variable in ([], ""), (["--app", FACTORY], "no:thing"), ([], FACTORY):
        shown = run_module("diptych.cli", "status", *words, DIPTYCH_APP=variable, **urls(databases))
        assert shown.returncode == 0, shown.stderr


def test_what_nobody_foresaw_is_one_line_without_its_words(tmp_path: Path) -> None:
    command = ("status", "--app", "tests.acceptance.cli_sample:surprising")
    ended = run_module("diptych.cli", *command, FOLDER=str(tmp_path))
    assert (ended.returncode, len(ended.stderr.splitlines())) == (1, 1), ended.stderr
    assert "diptych status: unexpected RuntimeError at cli_sample.py:" in ended.stderr
    assert "hunter2" not in ended.stderr
    all_of_it = run_module("diptych.cli", *command, FOLDER=str(tmp_path), DIPTYCH_TRACEBACK="1")
    assert "RuntimeError: the password is hunter2" in all_of_it.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_can_complete(shell: str) -> None:
    script = run_module("diptych.cli", "completion", shell).stdout
    assert f"_DIPTYCH_COMPLETE={shell}_complete" in script
    words = {"COMP_WORDS": "diptych events t", "COMP_CWORD": "t" if shell == "fish" else "2"}
    asked = {**words, "_DIPTYCH_COMPLETE": f"{shell}_complete"}
    completed = run_module("diptych.cli", **asked)
    assert "tail" in completed.stdout


def test_without_its_extra_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['click'] = None; from diptych.cli.__main__ import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr == "diptych: the command needs an extra: pip install 'diptych[cli]'\n"
