"""The order service with several web workers: one port, one log, no worker is needed."""

import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.acceptance.conftest import new_order
from tests.acceptance.process import Process, is_gone, one_line, process, run_module, until


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Process]:
    with process(tmp_path / "data", WORKERS="2") as running:
        running.start()
        yield running


def create(service: Process) -> httpx.Response:
    """On a connection of its own, so that any worker may get it."""
    answer = service.post("/orders", json=new_order())
    assert answer.status_code == 201, answer.text
    return answer


def read(service: Process, created: httpx.Response) -> httpx.Response:
    token = {"Diptych-Token": created.headers["diptych-token"]}
    return service.get(f"{created.headers['location']}", headers=token)


def test_what_one_worker_wrote_another_reads_with_its_token(service: Process) -> None:
    for _ in range(20):
        found = read(service, create(service))
        assert (found.status_code, found.headers.get("diptych-stale")) == (200, None)


def test_one_key_takes_effect_once_whoever_gets_it(service: Process) -> None:
    def send(_: int) -> httpx.Response:
        key = {"Idempotency-Key": "the-only-one"}
        return service.post("/orders", json=new_order(), headers=key)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, range(16)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["order_id"] for answer in answers}) == 1


def test_a_killed_worker_is_replaced_and_nothing_is_lost(service: Process) -> None:
    created = [create(service)]
    for _ in range(2):
        victim, *others = service.workers()
        os.kill(victim, signal.SIGKILL)
        until(lambda gone=victim, left=others: _replaced(service, gone, left))  # type: ignore[misc]
        created += [create(service) for _ in range(3)]
    assert [read(service, each).status_code for each in created] == [200] * len(created)
    code, printed = service.stop()
    assert code == 0
    assert printed.count("has ended (SIGKILL); starting another") == 2


def _replaced(service: Process, victim: int, others: list[int]) -> bool:
    return victim not in (now := service.workers()) and len(now) == len(others) + 1


def test_it_stops_cleanly_with_all_its_workers(service: Process) -> None:
    workers = service.workers()
    create(service)
    code, printed = service.stop()
    assert (code, printed.rstrip().splitlines()[-1]) == (0, "stopped")
    assert "Traceback" not in printed
    assert all(is_gone(pid) for pid in workers)


def test_ctrl_c_in_a_terminal_reaches_all_of_them_and_is_a_clean_stop(service: Process) -> None:
    code, printed = service.interrupt_group()
    assert (code, printed.rstrip().splitlines()[-1]) == (0, "stopped")
    assert "Traceback" not in printed


def test_workers_do_not_outlive_a_killed_master(service: Process) -> None:
    workers = service.workers()
    service.kill()
    until(lambda: all(is_gone(pid) for pid in workers))
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", service.port))


def test_what_no_worker_can_open_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "log.db").write_bytes(b"this is not a database" * 1_000)
    ended = run_module("examples.orders", PORT="0", DATA=str(tmp_path), WORKERS="2")
    one_line(ended, "log.db")


@pytest.mark.parametrize(
    ("name", "value"),
    [("WORKERS", "0"), ("WORKERS", "many"), ("WORKERS", "65"), ("DIPTYCH_PROJECT", "perhaps")],
)
def test_a_wrong_setting_is_one_line(name: str, value: str, tmp_path: Path) -> None:
    ended = run_module("examples.orders", PORT="0", DATA=str(tmp_path), **{name: value})
    one_line(ended, name)
