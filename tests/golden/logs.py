"""Logs as released versions left them on disk; see `make.py`."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from tests.servers.postgres import PostgresServer

FOLDER = Path(__file__).parent


def versions() -> list[int]:
    return sorted(int(path.stem.removeprefix("log-v")) for path in FOLDER.glob("log-v*.db"))


def sqlite_log(version: int, path: Path) -> str:
    """A copy at `path`; its URL."""
    shutil.copy(FOLDER / f"log-v{version}.db", path)
    return f"sqlite:///{path}"


def postgres_log(version: int, url: str, server: PostgresServer) -> str:
    """A copy in the database at `url`."""
    script = (FOLDER / f"log-v{version}.sql").read_text(encoding="utf-8")
    server.execute(script, database=url.rpartition("/")[2])
    return url


def events_of(version: int) -> Iterator[dict[str, Any]]:
    """What is in it: the fields of `RecordedEvent`, in plain JSON."""
    for line in (FOLDER / f"log-v{version}.jsonl").read_bytes().splitlines():
        yield msgspec.json.decode(line)
