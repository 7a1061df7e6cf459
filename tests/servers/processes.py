"""Processes of this machine: whose children they are, and ending them without a trace."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from examples.postgres import wait_for


def children_of(parent: int) -> list[int]:
    """The direct children that are alive now."""
    return [pid for pid, (ppid, state) in _table().items() if ppid == parent and state != "Z"]


def is_stopped(pid: int) -> bool:
    """Whether a SIGSTOP has reached every thread of it; until then the others go on."""
    states = [_stat(task) for task in Path(f"/proc/{pid}/task").iterdir()]
    return all(found is None or found[2] == "T" for found in states)


def words_of(pid: int) -> list[str]:
    """The command line of a process; nothing if it has ended."""
    if Path("/proc/self/cmdline").exists():
        with suppress(OSError):
            return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").split()
        return []
    listed = subprocess.run(
        ["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout
    return [] if "<defunct>" in listed else listed.split()


def end_at_once(pids: Iterable[int], *, reap: Callable[[], object]) -> None:
    """kill -9 all of them; return when none is left but as a zombie of somebody else."""
    pids = list(pids)
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    reap()

    def gone() -> bool:
        table = _table()
        return all(table.get(pid, (0, "Z"))[1] == "Z" for pid in pids)

    wait_for(gone, timeout=30, what="killed processes to be gone")


def _table() -> dict[int, tuple[int, str]]:
    """Parent and state of every process, by its id."""
    if Path("/proc/self/stat").exists():
        lines = (_stat(entry) for entry in Path("/proc").glob("[0-9]*"))
        return {pid: (ppid, state) for pid, ppid, state in filter(None, lines)}
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,state="], capture_output=True, text=True, check=True
    ).stdout
    rows = (line.split(None, 2) for line in listed.splitlines())
    return {int(pid): (int(ppid), state[0]) for pid, ppid, state in rows}


def _stat(entry: Path) -> tuple[int, int, str] | None:
    try:
        text = (entry / "stat").read_text()
    except OSError:  # it ended meanwhile
        return None
    state, ppid = text.rpartition(")")[2].split()[:2]  # the name before it may hold anything
    return int(entry.name), int(ppid), state
