"""What of a machine can harm a SQLite file: its file system, its space, who may read it."""

import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_NETWORK: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "ceph"}
)
_MOUNTS: Final = Path("/proc/self/mounts")
_LITTLE: Final = 1_000_000_000


def troubles_with(file: Path) -> Iterator[tuple[str, str]]:
    """What is wrong with a file, and what to do about it.

    Raises: OSError: it cannot be looked at.
    """
    folder = file.resolve().parent
    kind = file_system_of(folder)
    if kind in _NETWORK:
        yield f"{file} is on a network file system ({kind})", "move it to a disk of this machine"
    free = shutil.disk_usage(folder).free
    needed = max(_LITTLE, file.stat().st_size // 10)
    if free < needed:
        yield f"{free / 1e9:.1f} GB are free on the disk of {file}", "make room before it is full"
    if file.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
        yield f"everybody on this machine may read {file}", f"chmod o-rwx {file}*"


def file_system_of(folder: Path, mounts: Path = _MOUNTS) -> str:
    """As Linux names it; nothing where that cannot be told."""
    try:
        lines = mounts.read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    found = [
        (len(point), kind)
        for _, point, kind, *_ in (line.split(" ") for line in lines)
        if folder.is_relative_to(point.replace("\\040", " "))
    ]
    return max(found, default=(0, ""))[1]
