"""`diptych import`: a file of events into a log, whatever happens to the process meanwhile."""

import json
import os
import signal
import subprocess
from pathlib import Path
from uuid import UUID

import pytest

from tests.acceptance.conftest import ADA, Databases, make
from tests.acceptance.process import run_module, start_module, until

FACTORY = "examples.orders.app:application"
ORDERS = 2_000


@pytest.fixture(params=["sqlite", "postgres"])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Databases:
    return make(request.param, request, tmp_path)


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    """Orders and their shipping, as another system may have kept them."""
    file = tmp_path / "orders.jsonl"
    file.write_text("".join(f"{json.dumps(line(number))}\n" for number in range(2 * ORDERS)))
    return file


def line(number: int) -> dict[str, object]:
    order_id = str(UUID(int=number // 2 + 1))
    created = {"customer_name": "Ada", "items": [], "shipping_address": "London"}
    return {
        "stream": f"order-{order_id}",
        "type": "OrderShipped" if number % 2 else "OrderCreated",
        "version": number % 2 + 1,
        "data": {"order_id": order_id, "customer_id": str(ADA), **({} if number % 2 else created)},
        "occurred_at": "2020-01-01T00:00:00Z",
    }


def urls(databases: Databases) -> dict[str, str]:
    return {"DIPTYCH_LOG": databases.log, "DIPTYCH_READ": databases.read}


def diptych(
    databases: Databases, *words: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    return run_module("diptych.cli", *words, **urls(databases), **variables)


def logged(databases: Databases) -> list[tuple[str, int]]:
    shown = diptych(databases, "events", "tail", "--json", "--after", "0")
    events = [json.loads(line) for line in shown.stdout.splitlines()]
    return [(event["stream"], event["version"]) for event in events]


def wanted(count: int = 2 * ORDERS) -> list[tuple[str, int]]:
    return [(f"order-{UUID(int=each // 2 + 1)}", each % 2 + 1) for each in range(count)]


def test_a_file_is_imported_once(databases: Databases, orders: Path) -> None:
    checked = diptych(databases, "import", "--dry-run", str(orders))
    assert checked.stdout == "4,000 events, all of them right; nothing was written\n"
    assert diptych(databases, "import", str(orders)).stdout == "4,000 events appended\n"
    again = diptych(databases, "import", str(orders))
    assert again.stdout == "0 events appended; 4,000 were there before\n"
    told = diptych(databases, "import", "--json", str(orders))
    assert json.loads(told.stdout) == {"appended": 0, "found": 4_000, "line": 4_000}
    assert logged(databases) == wanted()


@pytest.mark.parametrize("point", ["import.before_append=kill@3", "import.after_append=kill@2"])
def test_who_was_killed_goes_on_where_it_was(
    databases: Databases, orders: Path, point: str
) -> None:
    killed = diptych(databases, "import", str(orders), DIPTYCH_FAILPOINTS=point)
    assert killed.returncode == -signal.SIGKILL
    ended = diptych(databases, "import", str(orders))
    assert ended.stdout == "2,000 events appended; 2,000 were there before\n"
    assert logged(databases) == wanted()


def test_who_is_stopped_says_how_to_go_on(databases: Databases, orders: Path) -> None:
    """It waits for more from a pipe; what came before is in the log already."""
    read, write = os.pipe()
    words = ("import", "-", "--name", "pipe")
    with os.fdopen(read, "rb") as ours, os.fdopen(write, "wb", buffering=0) as theirs:
        running = start_module("diptych.cli", *words, stdin=ours, **urls(databases))
        try:
            theirs.write(b"".join(orders.read_bytes().splitlines(keepends=True)[:1_500]))
            until(lambda: len(logged(databases)) >= 1_000)
            running.send_signal(signal.SIGINT)
            printed, _ = running.communicate(timeout=60)
        finally:
            running.kill()
    assert running.returncode == 130, printed
    assert "stopped at line 1,000; what is before it is in the log: run it again" in printed
    assert diptych(databases, "import", str(orders), "--name", "pipe").returncode == 0
    assert logged(databases) == wanted()


def test_what_is_exported_can_be_imported_elsewhere(
    databases: Databases, orders: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    diptych(databases, "import", str(orders))
    exported = diptych(databases, "events", "tail", "--after", "0", "--json", "--data")
    (tmp_path / "export.jsonl").write_text(exported.stdout)
    other = make("sqlite", request, tmp_path / "other")
    imported = diptych(other, "import", str(tmp_path / "export.jsonl"))
    assert imported.stdout == "4,000 events appended\n", imported.stderr
    same = diptych(other, "events", "tail", "--after", "0", "--json", "--data").stdout
    keys = ("position", "stream", "version", "type", "event_id", "data", "occurred_at")
    for one, two in zip(exported.stdout.splitlines(), same.splitlines(), strict=True):
        assert {key: json.loads(one)[key] for key in keys} == {
            key: json.loads(two)[key] for key in keys
        }


def test_the_first_wrong_line_is_named(databases: Databases, orders: Path) -> None:
    lines = orders.read_text().splitlines()
    lines[2_500] = lines[2_500].replace("OrderCreated", "OrderBurnt")
    orders.write_text("\n".join(lines))
    ended = diptych(databases, "import", str(orders))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.splitlines()[-1] == (
        "diptych import: line 2501: category order has no event type 'OrderBurnt'"
    )
    assert "diptych import: 2,000 events" in ended.stderr
    lines[2_500] = json.dumps(line(2_500))
    orders.write_text("\n".join(lines))
    assert diptych(databases, "import", str(orders)).stdout == (
        "2,000 events appended; 2,000 were there before\n"
    )


def test_it_reads_what_another_program_writes(databases: Databases, orders: Path) -> None:
    words = ("import", "-", "--name", "pipe")
    with orders.open("rb") as file:
        running = start_module("diptych.cli", *words, stdin=file, **urls(databases))
        printed, _ = running.communicate(timeout=60)
    assert printed == "4,000 events appended\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["no-such-file.jsonl"], "no-such-file.jsonl cannot be read: No such file"),
        (["tests"], "tests cannot be read: Is a directory"),
        (["-"], "--name: is needed with stdin"),
        (["--name", "a\nb", "README.md"], "name: must be printable text"),
        ([], "Missing argument 'FILE'"),
    ],
)
def test_what_cannot_be_imported_is_said(tmp_path: Path, words: list[str], says: str) -> None:
    databases = Databases(f"sqlite:///{tmp_path / 'log.db'}", "sqlite://")
    ended = diptych(databases, "import", *words)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr
