"""The order service as a process of its own, as `make run` starts it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]


class Process:
    """Starts, kills and stops the service; its port and its files stay the same."""

    def __init__(self, data: Path, **environment: str) -> None:
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = {"PORT": str(self.port), "DATA": str(data), **environment}
        self._running: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Return when it is ready."""
        self._running = start_module("examples.orders", **self._environment)
        deadline = time.monotonic() + 30
        while not self._ready():
            if self._running.poll() is not None or time.monotonic() > deadline:
                self._running.kill()
                raise AssertionError(f"the service did not start: {self.end()}")
            time.sleep(0.02)

    def kill(self) -> None:
        """As `kill -9`."""
        self._send(signal.SIGKILL)

    def stop(self) -> tuple[int, str]:
        """SIGTERM; its exit code and all that it printed."""
        self._send(signal.SIGTERM)
        assert self._running is not None
        output = self.end()
        return self._running.returncode, output

    def end(self) -> str:
        """What it printed; it is killed if it does not end by itself."""
        if self._running is None:
            return ""
        try:
            return self._running.communicate(timeout=20)[0]
        except subprocess.TimeoutExpired:
            self._running.kill()
            return f"still running after 20 s\n{self._running.communicate()[0]}"

    def _send(self, number: signal.Signals) -> None:
        assert self._running is not None
        self._running.send_signal(number)
        if number is signal.SIGKILL:
            self.end()

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def tidy(self) -> None:
        if self._running is not None and self._running.poll() is None:
            self.kill()


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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
