"""`Worker`: who this process is, so that others on its machine can tell when it is gone."""

import os
import socket
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Worker:
    """An application that projects. `name` is for people, `process` for `is_gone`.

    A process may have several workers, and its number is used again after its end: so each
    worker has an id of its own.
    """

    id: str
    name: str
    process: str

    @classmethod
    def here(cls) -> Self:
        """A new worker in this process. Ask for it behind a fork, not before.

        Its id is not one of the clock: processes may have equal clocks in a test.
        """
        pid = os.getpid()
        process = f"{_machine()} {pid} {_state_and_start(pid)[1]}"
        return cls(uuid.uuid4().hex, f"{socket.gethostname()}/{pid}", process)


def is_gone(process: str) -> bool:
    """True only if it ran on this machine, where its number is visible, and has ended."""
    machine, pid, started = process.split(" ")
    if os.name != "posix" or machine != _machine():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    state, start = _state_and_start(int(pid))
    return state in {"Z", "X"} or (bool(start) and start != started)


def state_of(process: str) -> str:
    """`gone`, `stopped` (by a signal or a debugger), `running`; `elsewhere` if it runs on another
    machine, or where its number is not visible."""
    machine, pid, _ = process.split(" ")
    if os.name != "posix" or machine != _machine():
        return "elsewhere"
    if is_gone(process):
        return "gone"
    return "stopped" if _state_and_start(int(pid))[0] in {"T", "t"} else "running"


def _machine() -> str:
    """On Linux a boot and a namespace of process numbers: two containers are two machines.

    Elsewhere the name alone would not do: many machines are called localhost.
    """
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    return f"{socket.gethostname()}/{uuid.getnode():x}".replace(" ", "_")


def _state_and_start(pid: int) -> tuple[str, str]:
    """Columns 3 and 22 of its `stat`; the name before them may hold blanks and brackets.

    Nothing where there is no such file, or where it is hidden: then a number that exists counts.
    """
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        return fields[0], fields[19]
    return "", ""
