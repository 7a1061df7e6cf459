"""The log in memory passes the suite when it does the worst that the contract allows."""

import pytest

from diptych.store.memory import Hostile, MemoryEventStore
from diptych.testing.conformance import CursorConformance, EventStoreConformance, NewStore


class TestHostileMemoryEventStore(EventStoreConformance, CursorConformance):
    @pytest.fixture(params=[1, 2, 3])
    def new_store(self, request: pytest.FixtureRequest) -> NewStore:
        hostile = Hostile(seed=request.param, unknown_outcomes=0.2)
        return lambda: MemoryEventStore(hostile=hostile)
