"""The order service as a process of its own, as `make run` starts it."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]


class Process:
    """Starts, kills and stops the service. Its files stay the same, and its port after the first
    start, when it is given a free one.
    """

    def __init__(self, data: Path, **environment: str) -> None:
        self.port = 0
        self._environment = {"DATA": str(data), **environment}
        self._printed = data.parent / f"{data.name}.printed.txt"
        self._running: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Return when it is ready."""
        with self._printed.open("wb") as output:
            self._running = subprocess.Popen(
                [sys.executable, "-m", "examples.orders"],
                cwd=ROOT,
                env=_environment({**self._environment, "PORT": str(self.port)}),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + 30
        while not self._ready():
            if self._running.poll() is not None or time.monotonic() > deadline:
                self.tidy()
                raise AssertionError(f"the service did not start: {self._printed.read_text()}")
            time.sleep(0.02)

    def kill(self) -> None:
        """As `kill -9`."""
        self._end(signal.SIGKILL)

    def stop(self) -> tuple[int, str]:
        """SIGTERM; its exit code and all that it printed."""
        code = self._end(signal.SIGTERM)
        return code, self._printed.read_text()

    def tidy(self) -> None:
        if self._running is not None and self._running.poll() is None:
            self.kill()

    def _end(self, number: signal.Signals) -> int:
        assert self._running is not None
        assert self._running.poll() is None, f"it had ended: {self._printed.read_text()}"
        self._running.send_signal(number)
        return self._running.wait(timeout=20)

    def _ready(self) -> bool:
        printed = re.search(r"http://127\.0\.0\.1:(\d+)", self._printed.read_text())
        if printed is None:
            return False
        self.port = int(printed[1])
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def process(data: Path, **environment: str) -> Iterator[Process]:
    service = Process(data, **environment)
    try:
        yield service
    finally:
        service.tidy()


def run_module(name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m name arguments`, to its end."""
    return subprocess.run(
        [sys.executable, "-m", name, *arguments],
        cwd=ROOT,
        env=_environment(environment),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def start_module(name: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """`python -m name arguments`, beside this process; its output is one text."""
    return subprocess.Popen(
        [sys.executable, "-m", name, *arguments],
        cwd=ROOT,
        env=_environment(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    path = f"{ROOT / 'src'}{os.pathsep}{ROOT}"
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **more}
