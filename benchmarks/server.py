"""One PostgreSQL server for all rounds of a question, and an empty database for each of them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from benchmarks.harness import Side
from tests.servers.postgres import PostgresServer, own_server

SETTINGS = ("fsync=on", "synchronous_commit=on", "shared_buffers=128MB")
"""PostgreSQL's own defaults: what it acknowledges is on disk."""


@contextmanager
def postgres() -> Iterator[PostgresServer]:
    """The newest PostgreSQL that is there, started for this question and removed afterwards."""
    with own_server(None, *SETTINGS) as server:
        yield server


def on(
    server: PostgresServer, measure: Callable[[str], Awaitable[float]], *, full: str = "template0"
) -> Side:
    """A side that is given the URL of a database of its own: empty, or a copy of `full`."""

    async def side(_: Path) -> float:
        url = await asyncio.to_thread(server.create_database, template=full)
        try:
            return await measure(url)
        finally:
            await asyncio.to_thread(server.drop_database, url)

    return side


def about(server: PostgresServer) -> dict[str, str]:
    """What a result must say of the server and its driver."""
    names = ("server_version", "fsync", "synchronous_commit", "shared_buffers")
    shown = server.execute(*(f"SHOW {name}" for name in names)).splitlines()
    return {**dict(zip(names, shown, strict=True)), "asyncpg": version("asyncpg")}
