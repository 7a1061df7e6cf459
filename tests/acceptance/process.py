"""The order service as a process of its own, as `make run` starts it."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import httpx

from tests.servers import forks
from tests.servers.processes import children_of, words_of

ROOT = Path(__file__).parents[2]
_PATIENCE: Final = 30.0
"""Seconds, where the machine has other things to do, too."""


class Process:
    """Starts, kills and stops the service. Its files stay the same, and its port after the first
    start, when it is given a free one.
    """

    def __init__(self, data: Path, module: str = "examples.orders", /, **environment: str) -> None:
        self.port, self._module = 0, module
        self._environment = {"DATA": str(data), **environment}
        self._printed = data.parent / f"{data.name}.printed.txt"
        self._running: forks.Forked | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._running is not None
        return self._running.pid

    def start(self) -> None:
        """Return when it is ready."""
        with self._printed.open("wb") as output:
            environment = environment_of({**self._environment, "PORT": str(self.port)})
            self._running = forks.start_printing_to(output, self._module, environment)
        deadline = time.monotonic() + 60
        while not self._ready():
            if self._running.poll() is not None or time.monotonic() > deadline:
                self.tidy()
                raise AssertionError(f"the service did not start: {self._printed.read_text()}")
            time.sleep(0.02)

    def get(self, path: str, **asked: Any) -> httpx.Response:
        return httpx.get(self.url + path, timeout=_PATIENCE, **asked)

    def post(self, path: str, **asked: Any) -> httpx.Response:
        return httpx.post(self.url + path, timeout=_PATIENCE, **asked)

    def kill(self) -> None:
        """As `kill -9`."""
        self._end(signal.SIGKILL)

    def stop(self) -> tuple[int, str]:
        """SIGTERM; its exit code and all that it printed."""
        code = self._end(signal.SIGTERM)
        return code, self._printed.read_text()

    def interrupt_group(self) -> tuple[int, str]:
        """Ctrl-C in a terminal: SIGINT to the process and to all that it started."""
        assert self._running is not None
        os.killpg(self._running.pid, signal.SIGINT)
        return self._running.wait(timeout=_PATIENCE), self._printed.read_text()

    def workers(self) -> list[int]:
        """The process ids of its web workers."""
        return [
            pid
            for pid in children_of(self.pid)
            if any("spawn_main" in word for word in words_of(pid))
        ]

    def tidy(self) -> None:
        """Stop it if it runs: one that is killed may leave behind what it started."""
        if self._running is None or self._running.poll() is not None:
            return
        self._running.terminate()
        try:
            self._running.wait(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()

    def _end(self, number: signal.Signals) -> int:
        assert self._running is not None
        assert self._running.poll() is None, f"it had ended: {self._printed.read_text()}"
        self._running.send_signal(number)
        return self._running.wait(timeout=_PATIENCE)

    def _ready(self) -> bool:
        printed = re.search(r"http://127\.0\.0\.1:(\d+)", self._printed.read_text())
        if printed is None:
            return False
        self.port = int(printed[1])
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False


def until(condition: Callable[[], bool], *, seconds: float = _PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to be in time"
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    """It has ended; if nobody has asked how, it is still listed, but runs nothing."""
    return not words_of(pid)


def one_line(ended: subprocess.CompletedProcess[str], names: str) -> None:
    """The service has refused to run, in one line that names the cause."""
    assert ended.returncode == 1
    lines = ended.stderr.strip().splitlines()
    assert len(lines) == 1, ended.stderr
    assert lines[0].startswith("The order service cannot run: ")
    assert names in lines[0]


@contextmanager
def process(
    data: Path, module: str = "examples.orders", /, **environment: str
) -> Iterator[Process]:
    service = Process(data, module, **environment)
    try:
        yield service
    finally:
        service.tidy()


def run_module(name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m name arguments`, to its end."""
    return forks.run(name, *arguments, environment=environment_of(environment), timeout=100)


def start_module(
    name: str, *arguments: str, stdin: IO[bytes] | None = None, **environment: str
) -> forks.Forked:
    """`python -m name arguments`, beside this process; its output is one text."""
    return forks.start(name, *arguments, environment=environment_of(environment), stdin=stdin)


def environment_of(more: Mapping[str, str]) -> dict[str, str]:
    path = f"{ROOT / 'src'}{os.pathsep}{ROOT}"
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **more}
