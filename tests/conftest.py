"""Servers that tests ask for by name: started when first asked for, stopped at the end."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from tests.servers.pgbouncer import NoPgBouncer, pgbouncer, program
from tests.servers.postgres import PostgresServer, PostgresTrouble, installations

# The assertions of the shipped suite explain themselves, as the plugin sees to for users.
pytest.register_assert_rewrite("diptych.testing.conformance")


class Servers:
    """The servers of this test process, one for each major version, each started once."""

    def __init__(self) -> None:
        self._started: dict[int, PostgresServer] = {}

    def of(self, major: int | None) -> PostgresServer:
        there = {each.major: each for each in installations()}
        chosen = there[major or max(there)]
        if chosen.major not in self._started:
            self._started[chosen.major] = PostgresServer.started(chosen)
        return self._started[chosen.major]

    def remove(self) -> None:
        for server in self._started.values():
            server.remove()


def majors() -> list[int | None]:
    """The newest and the oldest that are there; where none is, the tests fail and say so."""
    try:
        found = [each.major for each in installations()]
    except PostgresTrouble:
        return [None]
    return sorted({found[0], found[-1]}, reverse=True)


@pytest.fixture(scope="session")
def postgres_servers() -> Iterator[Servers]:
    servers = Servers()
    yield servers
    servers.remove()


@pytest.fixture(scope="session")
def postgres(postgres_servers: Servers) -> PostgresServer:
    """The server of this test process, of the newest version: do not stop or reconfigure it."""
    return postgres_servers.of(None)


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """A new database on `postgres`, dropped afterwards."""
    url = postgres.create_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture(scope="session", params=majors(), ids=lambda major: f"postgres{major}")
def postgres_versions(postgres_servers: Servers, request: pytest.FixtureRequest) -> PostgresServer:
    """As `postgres`; the test runs on the newest and on the oldest major version there."""
    return postgres_servers.of(request.param)


@pytest.fixture
def postgres_versions_url(postgres_versions: PostgresServer) -> Iterator[str]:
    """A new database on `postgres_versions`, dropped afterwards."""
    url = postgres_versions.create_database()
    yield url
    postgres_versions.drop_database(url)


@pytest.fixture(scope="session")
def to_pgbouncer() -> Callable[[str], AbstractContextManager[str]]:
    """`with to_pgbouncer(url) as pooled`: the same database through a PgBouncer of its own."""
    try:
        program()
    except NoPgBouncer as reason:
        pytest.skip(str(reason))
    return pgbouncer


@pytest.fixture
def pgbouncer_url(
    postgres_url: str, to_pgbouncer: Callable[[str], AbstractContextManager[str]]
) -> Iterator[str]:
    """The database of `postgres_url`, reached through a PgBouncer in transaction mode."""
    with to_pgbouncer(postgres_url) as url:
        yield url
