"""`diptych events`: the log as an operator reads it."""

import json
import re
import signal
import subprocess
from pathlib import Path
from uuid import UUID

import pytest

from diptych import Application
from diptych.clock import uuid7
from diptych.messages import EventData
from diptych.store.contract import ANY_VERSION, Append, Write
from examples.orders.app import shop
from tests.acceptance.conftest import ADA, Databases, make
from tests.acceptance.process import run_module, start_module, until

FACTORY = "examples.orders.app:application"
ORDER = UUID(int=7)
DATA = json.dumps(
    {
        "order_id": str(ORDER),
        "customer_id": str(ADA),
        "customer_name": "Ada \x1b[31m",
        "items": [],
        "shipping_address": "London",
    }
).encode()


@pytest.fixture(params=["sqlite", "postgres"])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Databases:
    return make(request.param, request, tmp_path)


@pytest.fixture
async def filled(databases: Databases) -> Databases:
    """One order, which was shipped, then 30 events of others that no code knows."""
    async with shop(databases.log, "sqlite://", project=False) as app:
        shipped = json.dumps({"order_id": str(ORDER), "customer_id": str(ADA)}).encode()
        await append(app, f"order-{ORDER}", ("OrderCreated", DATA), ("OrderShipped", shipped))
        for number in range(10):
            await append(app, f"note-{number}", *[("Noted", b"{}")] * 3)
    return databases


async def append(app: Application, stream: str, *events: tuple[str, bytes]) -> None:
    made = tuple(EventData(name, data, uuid7(), ("tag",)) for name, data in events)
    await app.log.store.append(Append((Write(stream, made, ANY_VERSION),)))


def events(databases: Databases, *words: str) -> subprocess.CompletedProcess[str]:
    urls = {"DIPTYCH_LOG": databases.log, "DIPTYCH_READ": databases.read}
    return run_module("diptych.cli", "events", *words, **urls)


def positions(ended: subprocess.CompletedProcess[str]) -> list[int]:
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line)["position"] for line in ended.stdout.splitlines()]


def test_the_last_events_are_shown(filled: Databases) -> None:
    shown = events(filled, "tail", "-n", "2")
    assert shown.returncode == 0, shown.stderr
    first, second = shown.stdout.splitlines()
    assert re.fullmatch(r" +31  \d{4}-\d\d-\d\d [\d:.]+Z  note-9 v2  Noted", first)
    assert "note-9 v3" in second
    assert positions(events(filled, "tail", "--json")) == list(range(23, 33))
    assert positions(events(filled, "tail", "--json", "-n", "3", "--category", "order")) == [1, 2]
    assert positions(events(filled, "tail", "--json", "--type", "OrderShipped")) == [2]
    assert positions(events(filled, "tail", "--json", "--after", "29", "--tag", "tag")) == [
        *(30, 31, 32)
    ]
    assert positions(events(filled, "tail", "--json", "--tenant", "other")) == []


def test_what_is_appended_is_shown_as_it_comes(filled: Databases) -> None:
    urls = {"DIPTYCH_LOG": filled.log, "DIPTYCH_READ": filled.read}
    running = start_module("diptych.cli", "events", "tail", "-n", "1", "-f", **urls)
    assert running.stdout is not None
    try:
        assert "note-9 v3" in running.stdout.readline()
        assert events(filled, "tail").returncode == 0
        made = run_module("tests.acceptance.cli_append", **urls)
        assert made.returncode == 0, made.stderr
        assert "note-late v1" in running.stdout.readline()
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=20) == 130
    finally:
        running.kill()
        running.communicate()


def test_a_reader_that_goes_away_ends_it_in_silence(filled: Databases) -> None:
    urls = {"DIPTYCH_LOG": filled.log, "DIPTYCH_READ": filled.read}
    running = start_module("diptych.cli", "events", "tail", "-n", "30", "-f", **urls)
    assert running.stdout is not None
    try:
        running.stdout.readline()
        running.stdout.close()
        run_module("tests.acceptance.cli_append", **urls)
        until(lambda: running.poll() is not None)
        assert running.returncode == 0
    finally:
        running.kill()
        running.wait()


def test_a_stream_is_shown_in_order(filled: Databases) -> None:
    shown = events(filled, "stream", f"order-{ORDER}", "--json", "--data")
    assert positions(shown) == [1, 2]
    assert json.loads(shown.stdout.splitlines()[0])["data"] == json.loads(DATA)
    assert positions(events(filled, "stream", f"order-{ORDER}", "--json", "--after", "1")) == [2]
    assert "Ada" not in events(filled, "stream", f"order-{ORDER}").stdout


def test_all_of_one_event_is_shown(filled: Databases) -> None:
    shown = events(filled, "show", "1")
    assert shown.returncode == 0, shown.stderr
    assert re.search(r"^decodes +as OrderCreated$", shown.stdout, re.MULTILINE)
    assert re.search(r'^  "customer_name": "Ada \\u001b\[31m",$', shown.stdout, re.MULTILINE)
    assert "\x1b" not in shown.stdout
    unknown = events(filled, "show", "3")
    assert "decodes      no: category note has no event type 'Noted'" in unknown.stdout
    assert json.loads(events(filled, "show", "2", "--json").stdout)["decodes"] == "as OrderShipped"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["show", "33"], 2, "no event is there; the log ends at 32"),
        (["show", "0"], 2, "0 is not in the range x>=1"),
        (["stream", "order-none"], 2, "there is none named 'order-none'"),
        (["stream", "a\nb"], 2, "must be printable text"),
        (["tail", "-n", "-1"], 2, "-1 is not in the range"),
        (["tail", "--type", ""], 2, "type: must not be empty"),
    ],
)
def test_what_cannot_be_shown_is_said_in_one_line(
    filled: Databases, words: list[str], code: int, says: str
) -> None:
    ended = events(filled, *words)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_read_database_may_be_away(filled: Databases) -> None:
    ended = events(Databases(filled.log, "postgresql://nobody@127.0.0.1:9/none"), "tail")
    assert ended.returncode == 0, ended.stderr


def test_for_programs_an_error_is_json_too(filled: Databases) -> None:
    ended = events(filled, "stream", "order-none", "--json")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert json.loads(ended.stderr)["error"] == "InvalidInput"
