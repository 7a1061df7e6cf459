"""The log in memory passes the suite."""

import pytest

from diptych.store.memory import MemoryEventStore
from diptych.testing.conformance import CursorConformance, EventStoreConformance, NewStore


class TestMemoryEventStore(EventStoreConformance, CursorConformance):
    @pytest.fixture
    def new_store(self) -> NewStore:
        return MemoryEventStore
