"""One PostgreSQL server for all rounds of a question, and an empty database for each of them."""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from itertools import count
from pathlib import Path

from benchmarks.harness import Side
from examples.postgres import PrivatePostgres

SETTINGS = ("max_connections=200", "fsync=on", "synchronous_commit=on", "shared_buffers=128MB")
"""As PostgreSQL is by default, but for the connections: what it acknowledges is on disk."""
_MOUNTS = Path("/proc/mounts")
_IN_MEMORY = ("tmpfs", "ramfs")


class Server(PrivatePostgres):
    """Its data is on a disk: servers of tests keep theirs in memory, where a commit costs nothing.

    Raises: RuntimeError: the folder is in memory.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "data")
        self.filesystem = filesystem_of(folder)
        if self.filesystem in _IN_MEMORY:
            raise RuntimeError(f"{folder} is in memory, nothing is durable there: set TMPDIR")
        self._numbers = count(1)

    def create_database(self) -> str:
        """The URL of a new, empty database."""
        name = f"round_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drop it, also when somebody is still connected."""
        self.execute(f"DROP DATABASE IF EXISTS {url.rpartition('/')[2]} WITH (FORCE)")


def filesystem_of(folder: Path) -> str:
    """Its type, as `ext4`; unknown where the system does not tell."""
    if not _MOUNTS.exists():
        return "unknown"
    mounts = [line.split()[1:3] for line in _MOUNTS.read_text().splitlines()]
    holding = [(where, kind) for where, kind in mounts if folder.resolve().is_relative_to(where)]
    return max(holding, key=lambda mount: len(mount[0]))[1]


@contextmanager
def postgres() -> Iterator[Server]:
    """The newest PostgreSQL that is there, started for this question and removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="diptych-bench-pg-"))
    folder.chmod(0o755)  # root runs the server as another user
    try:
        server = Server(folder)
        try:
            server.create("--no-sync")
            server.start(*SETTINGS)
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def on(server: Server, measure: Callable[[str], Awaitable[float]]) -> Side:
    """A side that is given the URL of an empty database of its own."""

    async def side(_: Path) -> float:
        url = await asyncio.to_thread(server.create_database)
        try:
            return await measure(url)
        finally:
            await asyncio.to_thread(server.drop_database, url)

    return side


def about(server: Server) -> dict[str, str]:
    """What a result must say of the server and its driver."""
    names = ("server_version", "fsync", "synchronous_commit", "shared_buffers")
    shown = server.execute(*(f"SHOW {name}" for name in names)).splitlines()
    return {
        **dict(zip(names, shown, strict=True)),
        "filesystem": server.filesystem,
        "asyncpg": version("asyncpg"),
    }
