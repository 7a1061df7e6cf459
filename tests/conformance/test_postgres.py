"""The log in a PostgreSQL database passes the suite, opened once, again, and twice at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from diptych.store.postgres.store import PostgresEventStore
from diptych.testing.conformance import (
    CursorConformance,
    DurableConformance,
    EventStoreConformance,
    NewStore,
    SharedConformance,
    SharedCursorConformance,
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
from tests.servers.pgbouncer import NoPgBouncer, pgbouncer, program
from tests.servers.postgres import PostgresServer, installations

_NUMBERS = count(1)


@contextmanager
def database_on(server: PostgresServer) -> Iterator[str]:
    url = server.create_database()
    yield url
    server.drop_database(url)


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[str]:
    with database_on(postgres) as url:
        yield url


@pytest.fixture(scope="module")
def old_database(postgres_servers: Servers) -> Iterator[str]:
    oldest = min(each.major for each in installations())
    with database_on(postgres_servers.of(oldest)) as url:
        yield url


@pytest.fixture(scope="module")
def pooled_database(postgres: PostgresServer) -> Iterator[str]:
    try:
        program()
    except NoPgBouncer as reason:
        pytest.skip(str(reason))
    with database_on(postgres) as url, pgbouncer(url) as pooled:
        yield f"{pooled}?pooler=transaction"


def stores(url: str) -> NewStore:
    """Of a log in a schema of its own."""
    schema = f"log_{next(_NUMBERS)}"
    return lambda: PostgresEventStore(url, schema=schema)


class TestPostgresEventStore(
    EventStoreConformance,
    DurableConformance,
    SharedConformance,
    CursorConformance,
    SharedCursorConformance,
):
    @pytest.fixture
    def new_store(self, database: str) -> NewStore:
        return stores(database)


class TestOnTheOldestServer(
    AppendConformance, CommandConformance, ConditionConformance, ReadConformance, CursorConformance
):
    """What depends on the version: the statements, and how they are planned."""

    @pytest.fixture
    def new_store(self, old_database: str) -> NewStore:
        return stores(old_database)


class TestBehindAPooler(
    CommandConformance,
    FidelityConformance,
    LoadConformance,
    BurstConformance,
    RaceConformance,
    SharedConformance,
    CursorConformance,
    SharedCursorConformance,
):
    """What could depend on the state of a session: PgBouncer gives a transaction any of them."""

    @pytest.fixture
    def new_store(self, pooled_database: str) -> NewStore:
        return stores(pooled_database)
