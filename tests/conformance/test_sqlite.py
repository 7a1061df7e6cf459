"""The log in a SQLite file passes the suite, opened once, again, and twice at a time."""

from pathlib import Path

import pytest

from diptych.store.sqlite.store import SqliteEventStore
from diptych.testing.conformance import (
    CursorConformance,
    DurableConformance,
    EventStoreConformance,
    NewStore,
    SharedConformance,
    SharedCursorConformance,
)


class TestSqliteEventStore(
    EventStoreConformance,
    DurableConformance,
    SharedConformance,
    CursorConformance,
    SharedCursorConformance,
):
    @pytest.fixture
    def new_store(self, tmp_path: Path) -> NewStore:
        return lambda: SqliteEventStore(tmp_path / "log.db")
