"""README.md: real invoices over HTTP, with kills between, compared by an independent script."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.process import ROOT, Process, process, run_module, start_module

REAL = ROOT.parent / "shared" / "data" / "online-retail-10k.csv"
HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Process]:
    with process(tmp_path / "data") as running:
        yield running


@pytest.fixture
def invoices(tmp_path: Path) -> Path:
    """60 orders of 9 customers and a guest, with everything that is to be left out."""
    lines = [
        f"{number},p{line},THING {line},{line},1/12/2010,{line}.{number - 100:02},{customer},Norway"
        for number in range(100, 160)
        for line in range(4)
        for customer in [number % 10 or ""]
    ]
    lines += ["C200,p1,THING,-1,1/12/2010,1.00,1,Norway", "300,p1,THING,1,1/12/2010,0,1,Norway"]
    file = tmp_path / "invoices.csv"
    file.write_text("\n".join([HEADER, *lines]), encoding="utf-8-sig")
    return file


def test_invoices_become_orders_and_again_changes_nothing(service: Process, invoices: Path) -> None:
    service.start()
    for _ in range(2):
        replayed = run_module("examples.orders.replay", str(invoices), "--url", service.url)
        assert replayed.returncode == 0, replayed.stdout + replayed.stderr
        verified = run_module("examples.orders.verify", str(invoices), "--url", service.url)
        assert verified.returncode == 0, verified.stdout + verified.stderr
        assert "60 orders of 10 customers, 6 cancelled" in verified.stdout
        assert "all equal" in verified.stdout


def test_the_verification_finds_what_is_wrong(service: Process, invoices: Path) -> None:
    service.start()
    replayed = run_module("examples.orders.replay", str(invoices), "--url", service.url)
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    [order] = service.get("/orders/search?page_size=1&status=open").json()["items"]
    service.post(f"/orders/{order['order_id']}/ship")
    verified = run_module("examples.orders.verify", str(invoices), "--url", service.url)
    assert verified.returncode == 1
    assert "status: expected open, the service says shipped" in verified.stdout


def test_a_file_that_was_cut_off_is_refused_with_a_reason(tmp_path: Path) -> None:
    file = tmp_path / "cut.csv"
    for line in ("1,a,T,1,d,1,2,F\n1,a", "1,a,T,1,d"):
        file.write_text(f"{HEADER}\n{line}")
        for module in ("examples.orders.replay", "examples.orders.verify"):
            run = run_module(module, str(file), "--url", "http://127.0.0.1:9")
            assert (run.returncode, "Traceback" in run.stderr) == (2, False)


def test_an_address_that_cannot_be_is_refused(invoices: Path) -> None:
    run = run_module("examples.orders.replay", str(invoices), "--url", "http://localhost:99999")
    assert (run.returncode, "Traceback" in run.stderr) == (2, False)
    assert "argument --url" in run.stderr


def test_a_service_that_is_not_there_is_said_to_be_missing(
    service: Process, invoices: Path
) -> None:
    arguments = (str(invoices), "--url", service.url)
    replayed = run_module("examples.orders.replay", *arguments, "--patience", "0.3")
    assert replayed.returncode == 2
    assert "make run" in replayed.stdout
    assert "Traceback" not in replayed.stdout + replayed.stderr
    assert run_module("examples.orders.verify", *arguments).returncode == 2


@pytest.mark.skipif(not REAL.exists(), reason=f"the real invoices are not there: {REAL}")
def test_kills_in_the_middle_of_a_replay_lose_and_repeat_nothing(service: Process) -> None:
    service.start()
    replaying = start_module("examples.orders.replay", str(REAL), "--url", service.url)
    for wanted in (50, 150, 250):
        _wait_for_orders(service, wanted)
        service.kill()
        service.start()
    output = replaying.communicate(timeout=90)[0]
    assert replaying.returncode == 0, output
    again = run_module("examples.orders.replay", str(REAL), "--url", service.url)
    assert again.returncode == 0, again.stdout
    verified = run_module("examples.orders.verify", str(REAL), "--url", service.url)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "424 orders of 304 customers, 42 cancelled" in verified.stdout


def _wait_for_orders(service: Process, wanted: int) -> None:
    deadline = time.monotonic() + 60
    while _count(service) < wanted:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _count(service: Process) -> int:
    answer = service.get("/orders/search", params={"page_size": 1})
    found: int = answer.json()["total"]
    return found
