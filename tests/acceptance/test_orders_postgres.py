"""`make run-postgres` (README.md) as a process: workers and a projector, which may be killed."""

import os
import signal
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.acceptance.conftest import new_order
from tests.acceptance.process import Process, is_gone, process, run_module, until
from tests.servers.processes import children_of, words_of

STARTER = "examples.orders.postgres"
FACTORY = "examples.orders.app:application"


@pytest.fixture
def service(tmp_path: Path, postgres_url: str) -> Iterator[Process]:
    with process(tmp_path / "unused", STARTER, POSTGRES=postgres_url) as running:
        running.start()
        yield running


def create(service: Process) -> httpx.Response:
    answer = service.post("/orders", json=new_order())
    assert answer.status_code == 201, answer.text
    return answer


def read(service: Process, created: httpx.Response) -> httpx.Response:
    token = {"Diptych-Token": created.headers["diptych-token"]}
    return service.get(f"{created.headers['location']}", headers=token)


def parts(service: Process) -> list[int]:
    """The web master with its workers, and the projector: every process that was started."""
    children = children_of(service.pid)
    return [*children, *(pid for child in children for pid in children_of(child))]


def projector(service: Process) -> int | None:
    found = [pid for pid in children_of(service.pid) if "diptych.cli" in words_of(pid)]
    return found[0] if found else None


def test_orders_go_on_while_workers_and_projector_are_killed(service: Process) -> None:
    created = [create(service) for _ in range(5)]
    master = next(pid for pid in children_of(service.pid) if "examples.orders" in words_of(pid))
    worker = next(
        pid for pid in children_of(master) if any("spawn_main" in each for each in words_of(pid))
    )
    with ThreadPoolExecutor(4) as pool:
        creating = [pool.submit(_create_in_spite_of_kills, service) for _ in range(40)]
        os.kill(worker, signal.SIGKILL)
        victim = projector(service)
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        created += [each.result() for each in creating]
    until(lambda: projector(service) not in {None, victim})
    until(lambda: all(_is_there(service, each) for each in created))
    code, printed = service.stop()
    assert code == 0, printed
    assert "projector was killed (SIGKILL); starting it again" in printed
    assert "has ended (SIGKILL); starting another" in printed


def _create_in_spite_of_kills(service: Process) -> httpx.Response:
    """A connection to a killed worker is lost: the request is sent again under its key."""
    key = {"Idempotency-Key": os.urandom(8).hex()}
    while True:
        try:
            answer = service.post("/orders", json=new_order(), headers=key)
        except httpx.TransportError:
            continue
        assert answer.status_code == 201, answer.text
        return answer


def _is_there(service: Process, created: httpx.Response) -> bool:
    answer = read(service, created)
    return answer.status_code == 200 and "diptych-stale" not in answer.headers


def test_it_stops_cleanly_and_said_what_is_in_force(service: Process) -> None:
    started = parts(service)
    assert len(started) >= 4
    create(service)
    code, printed = service.stop()
    assert (code, printed.rstrip().splitlines()[-1]) == (0, "all stopped")
    assert "Traceback" not in printed
    until(lambda: all(is_gone(pid) for pid in started))
    for fact in ("PostgreSQL 1", "fsync", "synchronous_commit", "order_summaries", "curl"):
        assert fact in printed
    assert "export DIPTYCH_LOG=$POSTGRES" in printed


def test_status_says_who_projects(service: Process, postgres_url: str) -> None:
    create(service)
    urls = {"DIPTYCH_LOG": postgres_url, "DIPTYCH_READ": postgres_url}
    shown = run_module("diptych.cli", "status", FACTORY, **urls)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "order_summaries" in shown.stdout
    assert f"/{projector(service)}" in shown.stdout


def test_a_private_server_keeps_its_data() -> None:
    folder = Path(tempfile.mkdtemp(prefix="diptych-run-"))
    folder.chmod(0o755)  # the server's user must be able to enter it
    settings = {"POSTGRES_DATA": str(folder / "postgres"), "WORKERS": "1"}
    with process(folder / "unused", STARTER, **settings) as service:
        service.start()
        created = create(service)
        service.stop()
        service.start()
        assert _is_there(service, created)
        code, printed = service.stop()
        assert code == 0
        assert "postgresql://postgres@127.0.0.1:" in printed


def test_a_database_that_is_not_there_is_told_and_nothing_is_left_running() -> None:
    ended = run_module(STARTER, PORT="0", POSTGRES="postgresql://nobody:secret@127.0.0.1:1/none")
    assert ended.returncode == 1
    assert "…@127.0.0.1:1/none: nothing listens there" in ended.stderr
    assert "secret" not in ended.stderr + ended.stdout
    assert "Traceback" not in ended.stderr
