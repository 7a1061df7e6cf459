"""The log in a PostgreSQL database passes the suite, opened once, again, and twice at a time."""

from collections.abc import Iterator

import pytest

from diptych.store.postgres.store import PostgresEventStore
from diptych.testing.conformance import (
    DurableConformance,
    EventStoreConformance,
    NewStore,
    SharedConformance,
)
from diptych.testing.conformance.append import AppendConformance
from diptych.testing.conformance.bursts import BurstConformance
from diptych.testing.conformance.commands import CommandConformance
from diptych.testing.conformance.conditions import ConditionConformance
from diptych.testing.conformance.fidelity import FidelityConformance
from diptych.testing.conformance.load import LoadConformance
from diptych.testing.conformance.races import RaceConformance
from diptych.testing.conformance.read import ReadConformance
from tests.conftest import Servers
from tests.servers.postgres import installations


class TestPostgresEventStore(EventStoreConformance, DurableConformance, SharedConformance):
    @pytest.fixture
    def new_store(self, postgres_url: str) -> NewStore:
        return lambda: PostgresEventStore(postgres_url)


class TestOnTheOldestServer(
    AppendConformance, CommandConformance, ConditionConformance, ReadConformance
):
    """What depends on the version: the statements, and how they are planned."""

    @pytest.fixture
    def new_store(self, postgres_servers: Servers) -> Iterator[NewStore]:
        server = postgres_servers.of(min(each.major for each in installations()))
        url = server.create_database()
        yield lambda: PostgresEventStore(url)
        server.drop_database(url)


class TestBehindAPooler(
    CommandConformance,
    FidelityConformance,
    LoadConformance,
    BurstConformance,
    RaceConformance,
    DurableConformance,
    SharedConformance,
):
    """What could depend on the state of a session: PgBouncer gives a transaction any of them."""

    @pytest.fixture
    def new_store(self, pgbouncer_url: str) -> NewStore:
        return lambda: PostgresEventStore(f"{pgbouncer_url}?pooler=transaction")
