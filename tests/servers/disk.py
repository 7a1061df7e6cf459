"""A disk whose power can be cut: an ext4 image behind a loop device, copied while it is in use.

What a process has written is in the page cache of the mounted file system, and reaches the image
when it is synced, or when the kernel gets round to it. A copy of the image is what a disk would
have kept at that moment. `kill -9` cannot show this: the page cache outlives the process.
"""

import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from filecmp import cmp
from functools import cache
from pathlib import Path
from typing import Final

_SIZE: Final = 48 * 2**20
_TOOLS: Final = ("mkfs.ext4", "mount", "umount")


@cache
def missing() -> str | None:
    """What this machine lacks for cutting the power; None if it can be done."""
    if os.geteuid() != 0:
        return "only root can mount an image"
    if absent := [tool for tool in _TOOLS if shutil.which(tool) is None]:
        return f"there is no {', '.join(absent)}"
    return None if Path("/dev/loop-control").exists() else "there are no loop devices"


@dataclass(frozen=True)
class Disk:
    """An image and the folder where it is mounted."""

    image: Path
    folder: Path

    def cut(self, image: Path) -> "Disk":
        """What would be left if the power failed now, as an image that nobody has mounted.

        Nobody may write meanwhile but the kernel, which does so when it likes: a copy that is as
        the image still is after it shows one moment, that between the two.
        """
        while True:
            _run("cp", "--sparse=always", str(self.image), str(image))
            if cmp(self.image, image, shallow=False):
                return Disk(image, image.with_suffix(".mounted"))

    @contextmanager
    def mounted(self) -> Generator[Path]:
        """Mounted as after a power cut: the file system replays its journal."""
        self.folder.mkdir()
        try:
            _run("mount", "-o", "loop", str(self.image), str(self.folder))
        except OSError:
            self.folder.rmdir()
            raise
        try:
            yield self.folder
        finally:
            _run("umount", str(self.folder))
            self.folder.rmdir()


def make_disk(image: Path) -> Disk:
    """An empty one.

    Raises: OSError: this machine does not let us.
    """
    with image.open("wb") as file:
        file.truncate(_SIZE)
    _run("mkfs.ext4", "-q", "-F", str(image))
    return Disk(image, image.with_suffix(".mounted"))


def _run(*words: str) -> None:
    ended = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    if ended.returncode:
        raise OSError(f"{' '.join(words)}: {ended.stderr.strip()}")
