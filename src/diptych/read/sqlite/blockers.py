"""Which process of this machine has a SQLite file locked for writing, as Linux tells it.

None of the files is opened here: to close it would give up the locks that this process has on it.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from diptych.read.blocker import Blocker

_LOCKS: Final = Path("/proc/locks")

_WRITE_LOCK: Final = 120
"""The byte of the `-shm` file that the one writer of a write-ahead log locks (SQLite's file format,
section 2.3.1)."""


def writers(path: Path) -> Sequence[Blocker]:
    """Who holds the write lock now; nothing where that cannot be told."""
    shared = Path(f"{os.path.realpath(path)}-shm")
    with suppress(OSError, ValueError):
        inode = shared.stat().st_ino
        return [_blocker(pid, shared) for pid in _holders(inode) if pid == 0 or _uses(pid, shared)]
    return ()


def _holders(inode: int) -> Iterator[int]:
    """The lines are `1: POSIX  ADVISORY  WRITE 4711 fe:00:1234 120 120`; `->` is one that waits."""
    for line in _LOCKS.read_text("ascii").splitlines():
        _, *fields = line.split()
        if len(fields) < 7 or fields[0] != "POSIX" or fields[2] != "WRITE":
            continue
        first, last = int(fields[5]), fields[6]
        reaches = last == "EOF" or int(last) >= _WRITE_LOCK
        if int(fields[4].rpartition(":")[2]) == inode and first <= _WRITE_LOCK and reaches:
            yield max(int(fields[3]), 0)


def _uses(pid: int, shared: Path) -> bool:
    """Inodes are those of one file system only; where its files are hidden, we believe it."""
    try:
        return any(_leads_to(file, shared) for file in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return True


def _leads_to(file: Path, shared: Path) -> bool:
    with suppress(OSError):
        return file.samefile(shared)
    return False


def _blocker(pid: int, shared: Path) -> Blocker:
    what = f"it is writing to {shared.with_name(shared.name.removesuffix('-shm'))}"
    if pid == 0:
        return Blocker(0, "a process of another container", what)
    mine = " (this process)" if pid == os.getpid() else ""
    return Blocker(pid, f"process {pid}{_command(pid)}{mine}", what)


def _command(pid: int) -> str:
    """The program's name; not its arguments, which may hold a password."""
    with suppress(OSError):
        return f" ({Path(f'/proc/{pid}/comm').read_text('utf-8', 'replace').strip()})"
    return ""
