"""Programs of this project as processes of their own, without the second that imports take.

Theory of operation: the fork server of `multiprocessing` imports what the programs import, once for
each process of tests. A program is then a fork of it, with its own environment, arguments and
standard streams, and runs as `python -m module` does: a process that can be killed, interrupted and
piped like any other. It is no new interpreter: what Python itself reads from the environment when
it starts has no effect. The tests of `make run` and of the how-to pages start interpreters.
"""

import io
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import chdir, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import IO, Final

from diptych.failpoints import arm_from_environment

ROOT: Final = Path(__file__).parents[2]
_FORKS: Final = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        *("diptych.cli.commands", "examples.orders.serving", "uvicorn", __name__),
        *("tests.crash.reacting", "tests.crash.rebuilding", "tests.integration.processes"),
        "tests.servers.prepared",
    ]
)


def forked(target: Callable[..., None], *arguments: object) -> BaseProcess:
    """A process that does this, and has started."""
    with chdir(ROOT):  # where the fork server finds what it imports when it begins
        process = _FORKS.Process(target=target, args=arguments, daemon=True)
        process.start()
    return process


class Forked:
    """A program that runs; what is here means what it means for `subprocess.Popen`."""

    def __init__(self, process: BaseProcess, stdout: IO[str] | None = None) -> None:
        self._process, self.stdout = process, stdout or io.StringIO()

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0.0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def communicate(self, timeout: float = 100.0) -> tuple[str, None]:
        """All that it prints until it ends. If it does not end in time, it is killed."""
        late = threading.Event()
        timer = threading.Timer(timeout, lambda: (late.set(), self.kill()))
        timer.start()
        try:
            printed = "" if self.stdout.closed else self.stdout.read()
            self.stdout.close()
            self._process.join()
        finally:
            timer.cancel()
        if late.is_set():
            raise subprocess.TimeoutExpired(self._process.name, timeout, printed)
        return printed, None


def start(
    module: str, *arguments: str, environment: Mapping[str, str], stdin: IO[bytes] | None = None
) -> Forked:
    """`python -m module arguments`, beside this process; its output is one text."""
    read, write = os.pipe()
    with Path(os.devnull).open("rb") as nothing, os.fdopen(write, "wb") as output:
        process = _started(module, arguments, environment, stdin or nothing, output, output)
    return Forked(process, os.fdopen(read))


def start_printing_to(output: IO[bytes], module: str, environment: Mapping[str, str]) -> Forked:
    """`python -m module`, beside this process; its output is in a file."""
    with Path(os.devnull).open("rb") as nothing:
        return Forked(_started(module, (), environment, nothing, output, output))


def run(
    module: str, *arguments: str, environment: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """`python -m module arguments`, to its end. Raises TimeoutExpired, after killing it."""
    with (
        Path(os.devnull).open("rb") as nothing,
        tempfile.TemporaryFile() as stdout,
        tempfile.TemporaryFile() as stderr,
    ):
        process = _started(module, arguments, environment, nothing, stdout, stderr)
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(module, timeout)
        printed = []
        for file in (stdout, stderr):
            file.seek(0)
            printed.append(file.read().decode())
    return subprocess.CompletedProcess([module, *arguments], process.exitcode, *printed)


def _started(
    module: str, arguments: tuple[str, ...], environment: Mapping[str, str], *files: IO[bytes]
) -> BaseProcess:
    streams = [Connection(os.dup(file.fileno())) for file in files]
    process = forked(_run, module, arguments, dict(environment), streams)
    for stream in streams:
        stream.close()
    return process


# In the fork


def _run(
    module: str, arguments: tuple[str, ...], environment: dict[str, str], streams: list[Connection]
) -> None:
    os.chdir(ROOT)
    os.setpgid(0, 0)  # so that a test can signal it and all that it starts
    for number, stream in enumerate(streams):
        os.dup2(stream.fileno(), number)
        stream.close()
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, "w" if number else "r", buffering=1, closefd=False)  # noqa: SIM115
        for number in range(3)
    )
    # Those that only the tests would end are `daemon`, which must not keep it from starting others.
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
    os.environ.clear()
    os.environ.update(environment)
    arm_from_environment(environment.get("DIPTYCH_FAILPOINTS", ""))
    sys.argv = [module, *arguments]
    sys.modules.pop(module, None)  # it may be imported already, of which `runpy` would warn
    runpy.run_module(module, run_name="__main__", alter_sys=True)
