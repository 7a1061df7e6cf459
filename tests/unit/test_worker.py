"""Who a process is, and whether it is gone: only what is certain counts as gone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from diptych.worker import Worker, is_gone


def other_process() -> tuple[subprocess.Popen[bytes], str]:
    """A process that waits, and what it calls itself."""
    code = (
        "from diptych.worker import Worker; import sys;"
        "print(Worker.here().process, flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    return process, process.stdout.readline().decode().strip()


def test_this_process_is_there() -> None:
    worker = Worker.here()
    assert not is_gone(worker.process)
    assert worker.name.endswith(f"/{os.getpid()}")


def test_two_workers_of_one_process_are_two() -> None:
    assert Worker.here().id != Worker.here().id


def test_a_process_that_was_killed_is_gone_even_before_its_parent_knows() -> None:
    process, named = other_process()
    assert not is_gone(named)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, but not reaped
    assert is_gone(named)
    process.communicate()
    assert is_gone(named)


def test_a_process_that_got_the_number_of_an_earlier_one_is_another() -> None:
    machine, pid, started = Worker.here().process.split(" ")
    if not started:
        pytest.skip("this system does not tell when a process began")
    assert is_gone(f"{machine} {pid} {int(started) - 1}")


def test_a_process_of_another_machine_is_never_taken_to_be_gone() -> None:
    _, pid, started = Worker.here().process.split(" ")
    assert not is_gone(f"elsewhere 999999999 {started}")
    assert not is_gone(f"elsewhere {pid} 1")


def test_a_process_of_another_user_is_there() -> None:
    """The first process always is; who may not signal it learns only that."""
    machine, _, _ = Worker.here().process.split(" ")
    started = Path("/proc/1/stat").read_text("utf-8").rpartition(")")[2].split()[19]
    assert not is_gone(f"{machine} 1 {started}")


def test_a_process_whose_state_is_hidden_counts_as_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `hidepid` does with those of other users."""
    process = Worker.here().process

    def hidden(self: Path, encoding: str, errors: str) -> str:
        raise PermissionError(self)

    machine = process.split(" ")[0]
    monkeypatch.setattr("diptych.worker._machine", lambda: machine)
    monkeypatch.setattr(Path, "read_text", hidden)
    assert not is_gone(process)
