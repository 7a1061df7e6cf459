"""Logs for the tests of the read side."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from diptych.store.contract import EventStore
from diptych.store.memory import Hostile, MemoryEventStore
from diptych.store.sqlite.store import SqliteEventStore


@pytest.fixture
async def store() -> AsyncIterator[MemoryEventStore]:
    log = MemoryEventStore()
    await log.open()
    yield log
    await log.close()


@pytest.fixture(params=["memory", "hostile", "sqlite"])
async def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EventStore]:
    """The same test on each kind of log."""
    log: EventStore
    match request.param:
        case "memory":
            log = MemoryEventStore()
        case "hostile":
            log = MemoryEventStore(hostile=Hostile(seed=3))
        case _:
            log = SqliteEventStore(tmp_path / "log.db")
    await log.open()
    yield log
    await log.close()
