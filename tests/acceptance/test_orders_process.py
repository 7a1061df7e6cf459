"""`make run` of README.md as a process: start, stop, kill, start again, and wrong settings."""

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.acceptance.conftest import new_order
from tests.acceptance.process import Process, one_line, process, run_module


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Process]:
    with process(tmp_path / "data") as running:
        yield running


def create(service: Process) -> str:
    answer = service.post("/orders", json=new_order())
    assert answer.status_code == 201
    location: str = answer.headers["location"]
    return location


def test_it_stops_cleanly_and_says_what_it_promised(service: Process, tmp_path: Path) -> None:
    service.start()
    location = create(service)
    code, output = service.stop()
    assert code == 0
    assert "durability" in output
    assert "curl" in output
    assert output.rstrip().endswith("stopped")
    assert "Traceback" not in output
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    service.start()
    assert service.get(f"{location}").json()["status"] == "open"


def test_what_was_acknowledged_survives_a_kill(service: Process) -> None:
    service.start()
    locations: list[str] = []
    for _ in range(3):
        locations += [create(service) for _ in range(5)]
        service.kill()
        service.start()
    found = service.get("/orders/search").json()
    assert [f"/orders/{order['order_id']}" for order in found["items"]] == locations[::-1]


def test_the_read_database_is_built_again_from_the_log(service: Process, tmp_path: Path) -> None:
    service.start()
    location = create(service)
    service.stop()
    for file in (tmp_path / "data").glob("read.db*"):
        file.unlink()
    service.start()
    assert service.get(f"{location}").json()["total_amount"] == "7.00"


def test_answers_do_not_wait_for_acknowledgements(service: Process) -> None:
    """Nagle's algorithm and delayed acknowledgements together would make each answer 40 ms late."""
    service.start()
    with httpx.Client(base_url=service.url) as client:
        seconds = [client.get("/livez").elapsed.total_seconds() for _ in range(20)]
    assert sorted(seconds)[10] < 0.02


def test_what_is_not_even_http_is_answered_with_a_problem(service: Process) -> None:
    service.start()
    with socket.create_connection(("127.0.0.1", service.port), timeout=5) as connection:
        connection.sendall(b"HELO example.org\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(4_096), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/problem+json" in answer
    assert b'"type":"urn:problem:bad-request"' in answer
    assert b"HELO" not in answer


def test_it_listens_on_this_machine_only(service: Process) -> None:
    service.start()
    with socket.socket() as elsewhere, pytest.raises(OSError, match="refused"):
        elsewhere.connect(("127.0.0.2", service.port))


def test_urls_replace_the_files(tmp_path: Path) -> None:
    log, read = tmp_path / "my log.db", tmp_path / "my read.db"
    urls = {"DIPTYCH_LOG": f"sqlite:///{log}", "DIPTYCH_READ": f"sqlite:///{read}"}
    with process(tmp_path / "unused", **urls) as service:
        service.start()
        create(service)
        service.stop()
    assert log.exists()
    assert read.exists()
    assert not (tmp_path / "unused").exists()


@pytest.mark.parametrize("port", ["http", "-1", "65536", "8000x"])
def test_a_wrong_port_is_one_line(tmp_path: Path, port: str) -> None:
    ended = run_module("examples.orders", PORT=port, DATA=str(tmp_path))
    one_line(ended, "PORT")


def test_only_names_of_this_machine_and_those_of_the_setting_are_answered(tmp_path: Path) -> None:
    with process(tmp_path / "data", HOSTS="shop.example, *.inside") as service:
        service.start()
        port = service.port
        for host in (
            f"127.0.0.1:{port}",
            f"localhost:{port}",
            f"[::1]:{port}",
            "shop.example",
            "a.inside",
        ):
            assert service.get("/livez", headers={"Host": host}).status_code == 200
        for host in (f"evil.example:{port}", "inside", f"10.0.0.1:{port}"):
            refused = service.get("/orders/search", headers={"Host": host})
            assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "host")


@pytest.mark.parametrize("hosts", ["http://shop", "a,,b", "*", "shop:80"])
def test_wrong_hosts_are_one_line(tmp_path: Path, hosts: str) -> None:
    ended = run_module("examples.orders", PORT="0", DATA=str(tmp_path), HOSTS=hosts)
    one_line(ended, "HOSTS")


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run_module("examples.orders", PORT=str(port), DATA=str(tmp_path))
    one_line(ended, "in use")


def test_a_corrupt_log_is_one_line_and_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "log.db").write_bytes(b"this is not a database" * 1_000)
    ended = run_module("examples.orders", PORT="0", DATA=str(tmp_path))
    one_line(ended, "log.db")
    assert (tmp_path / "log.db").read_bytes() == b"this is not a database" * 1_000


def test_log_and_read_in_one_file_is_one_line(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'same.db'}"
    ended = run_module("examples.orders", PORT="0", DIPTYCH_LOG=url, DIPTYCH_READ=url)
    one_line(ended, "same")


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = run_module("examples.orders", PORT="0", DATA=str(tmp_path / "file" / "data"))
    one_line(ended, "file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    ended = run_module("examples.orders", PORT="0", DATA=str(tmp_path))
    one_line(ended, str(tmp_path))
