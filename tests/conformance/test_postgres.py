"""The log in a PostgreSQL database passes the suite, opened once, again, and twice at a time."""

import pytest

from diptych.store.postgres.store import PostgresEventStore
from diptych.testing.conformance import (
    DurableConformance,
    EventStoreConformance,
    NewStore,
    SharedConformance,
)


class TestPostgresEventStore(EventStoreConformance, DurableConformance, SharedConformance):
    @pytest.fixture
    def new_store(self, postgres_url: str) -> NewStore:
        return lambda: PostgresEventStore(postgres_url)
