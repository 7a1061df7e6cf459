"""`diptych check`: what breaks stored events stops a build, with the line to write."""

import json
from pathlib import Path
from uuid import uuid4

import pytest

from diptych import EventData
from diptych.store.contract import ANY_VERSION, Append, Write
from diptych.testing import check_upcasters
from examples.orders.app import shop
from examples.orders.order import order_events
from tests.acceptance.conftest import Databases, make
from tests.acceptance.process import run_module
from tests.golden.logs import sqlite_log

FACTORY = "examples.orders.app:application"
ORDERS = Path("examples/orders/events.json")


@pytest.fixture(params=["sqlite", "postgres"])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Databases:
    return make(request.param, request, tmp_path)


def check(file: Path, *words: str, log: str = "memory://"):
    words = ("check", "--app", FACTORY, "--file", str(file), *words)
    return run_module("diptych.cli", *words, DIPTYCH_LOG=log, DIPTYCH_READ="sqlite://")


def changed(tmp_path: Path, **fields: str) -> Path:
    """The schema file of the orders, as if an event had other fields before."""
    path = tmp_path / "events.json"
    schema = json.loads(ORDERS.read_text())
    schema["events"]["order"]["OrderShipped"] |= fields
    path.write_text(json.dumps(schema))
    return path


def test_the_schema_file_of_the_orders_is_up_to_date() -> None:
    asked = check(ORDERS)
    assert (asked.returncode, asked.stderr) == (0, "")
    assert "the code reads all that was stored" in asked.stdout


def test_every_shape_that_orders_were_ever_stored_in_is_read() -> None:
    check_upcasters(order_events, schema=ORDERS)


def test_a_field_that_is_gone_breaks_with_the_line_to_write(tmp_path: Path) -> None:
    path = changed(tmp_path, carrier="text")
    asked = check(path)
    assert asked.returncode == 3
    assert asked.stdout.splitlines() == [
        "order: OrderShipped breaks",
        "  carrier was removed",
        (
            '  write: Events("order", …) with names={OrderShipped: "OrderShipped.v2"} and'
            ' upcasters=[Upcast("OrderShipped", "OrderShipped.v2", change=…)]'
        ),
    ]
    for line in asked.stdout.splitlines():
        assert line in Path("docs/how-to/evolve.md").read_text()
    before = path.read_text()
    assert check(path, "--write").returncode == 3
    assert json.loads(path.read_text()) == json.loads(before)


def test_programs_get_json(tmp_path: Path) -> None:
    asked = check(changed(tmp_path, carrier="text"), "--json")
    (finding,) = json.loads(asked.stdout)["findings"]
    assert (finding["type"], finding["breaks"]) == ("OrderShipped", True)
    assert finding["problems"] == ["carrier was removed"]


def test_a_new_file_has_to_be_written_once(tmp_path: Path) -> None:
    path = tmp_path / "events.json"
    assert check(path).returncode == 3
    assert not path.exists()
    assert check(path, "--write").returncode == 0
    assert path.read_text() == ORDERS.read_text()


def test_a_file_that_is_none_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "events.json"
    path.write_text("<<<<<<< HEAD")
    asked = check(path)
    assert asked.returncode == 2
    assert len(asked.stderr.splitlines()) == 1
    assert "from version control again" in asked.stderr


async def fill(log: str, *names: str, category: str = "order") -> None:
    app = shop(log, "sqlite://", project=False)
    async with app:
        for name in names:
            event = EventData(name, b'{"order_id":"%s"}' % str(uuid4()).encode(), uuid4())
            write = Write(f"{category}-1", (event,), ANY_VERSION)
            await app.log.store.append(Append((write,)))


def test_a_log_of_a_released_version_is_in_order(tmp_path: Path) -> None:
    """Once it is migrated, which is never done unasked."""
    log, read = sqlite_log(1, tmp_path / "log.db"), f"sqlite:///{tmp_path / 'read.db'}"
    refused = check(ORDERS, "--log", log=log)
    assert refused.returncode == 1
    assert "`diptych migrate`" in refused.stderr
    words = ("migrate", "--app", FACTORY)
    assert run_module("diptych.cli", *words, DIPTYCH_LOG=log, DIPTYCH_READ=read).returncode == 0
    asked = check(ORDERS, "--log", log=log)
    assert asked.returncode == 0, asked.stdout


async def test_what_a_log_has_and_the_code_cannot_read_is_found(databases: Databases) -> None:
    await fill(databases.log, "OrderMade", "OrderMade", "OrderShipped")
    await fill(databases.log, "Filled", category="cart")
    asked = check(ORDERS, "--log", log=databases.log)
    assert asked.returncode == 3
    said = asked.stdout.splitlines()
    assert said[:2] == [
        "order: OrderMade breaks",
        '  the log has 2, at 1 to 2, and Events("order", …) does not read it',
    ]
    assert said[3:5] == [
        "order: OrderShipped breaks",
        "  the one at 3 cannot be decoded at customer_id",
    ]
    assert "nothing here reads category cart" in asked.stderr
