"""Logs that older versions wrote are brought up to date in place, at once or not at all."""

import asyncio
import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from diptych import Application
from diptych.backends import migrate_log, open_log
from diptych.clock import SystemClock
from diptych.errors import SchemaMismatch, StorageDenied, StoreError
from diptych.failpoints import FailpointError, armed, fail
from diptych.messages import RecordedEvent
from diptych.sqlite_library import sqlite
from diptych.store.contract import EventStore
from diptych.store.memory import MemoryEventStore
from diptych.store.migrating import Migrated
from diptych.store.postgres.store import PostgresEventStore
from diptych.store.sqlite.store import SqliteEventStore
from diptych.testing.conformance.steps import add, log_of, opened, to
from tests.golden.logs import events_of, postgres_log, sqlite_log, versions
from tests.servers.postgres import PostgresServer

NEWEST = 2
OLD = [version for version in versions() if version < NEWEST]
COLUMNS = """
SELECT table_name, column_name, data_type, is_nullable, column_default, collation_name
FROM information_schema.columns WHERE table_schema = 'diptych' ORDER BY table_name, ordinal_position
"""
INDEXES = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'diptych' ORDER BY indexdef"
TRIGGERS = """
SELECT event_object_table, trigger_name, event_manipulation, action_statement
FROM information_schema.triggers WHERE trigger_schema = 'diptych' ORDER BY 1, 2, 3
"""


@dataclass
class Kind:
    """One kind of database: its URL, a golden log in it, and all that its schema consists of."""

    url: str
    fill: Callable[[int], object]
    empty: Callable[[], object]
    schema: Callable[[], object]
    version: Callable[[], int]

    def store(self) -> EventStore:
        return open_log(self.url, SystemClock())


@pytest.fixture
def sqlite_kind(tmp_path: Path) -> Kind:
    path = tmp_path / "log.db"

    def ask(sql: str) -> list[Any]:
        with closing(sqlite.connect(str(path))) as db:
            return db.execute(sql).fetchall()

    return Kind(
        f"sqlite:///{path}",
        lambda version: sqlite_log(version, path),
        path.unlink,
        lambda: ask("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name"),
        lambda: int(ask("PRAGMA user_version")[0][0]),
    )


@pytest.fixture
def postgres_kind(postgres: PostgresServer, postgres_url: str) -> Kind:
    def ask(*sql: str) -> str:
        return postgres.execute(*sql, database=postgres_url.rpartition("/")[2])

    return Kind(
        postgres_url,
        lambda version: postgres_log(version, postgres_url, postgres),
        lambda: ask("DROP SCHEMA diptych CASCADE"),
        lambda: ask(COLUMNS, INDEXES, TRIGGERS),
        lambda: int(ask("SELECT schema_version FROM diptych.meta")),
    )


@pytest.fixture(params=["sqlite", "postgres"])
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.getfixturevalue(f"{request.param}_kind")
    return found


def plain(event: RecordedEvent) -> dict[str, object]:
    """Without the time of recording, which golden logs do not share."""
    fields = {name: str(value) if isinstance(value, UUID) else value
              for name, value in event._asdict().items()}  # fmt: skip
    fields |= {name: json.loads(fields[name]) for name in ("data", "metadata_json")}  # type: ignore[arg-type]
    return {name: fields[name] for name in fields if not name.endswith("_at")}


@pytest.mark.parametrize("version", versions())
async def test_a_log_of_each_released_version_opens_with_all_its_events(
    kind: Kind, version: int
) -> None:
    kind.fill(version)
    async with opened(kind.store()) as store:
        expected = [{k: v for k, v in event.items() if not k.endswith("_at")}
                    for event in events_of(version)]  # fmt: skip
        assert [plain(event) for event in await log_of(store)] == [
            event | {"tags": ()} for event in expected
        ]
        appended = await store.append(add(to("order-new", expecting=0)))
        assert appended.point.position == len(expected) + 1
    assert kind.version() == NEWEST


@pytest.mark.parametrize("version", versions())
async def test_an_old_log_and_a_new_one_end_in_the_same_schema(kind: Kind, version: int) -> None:
    kind.fill(version)
    async with opened(kind.store()):
        migrated = kind.schema()
    kind.empty()
    async with opened(kind.store()):
        assert kind.schema() == migrated


@pytest.mark.parametrize("version", OLD)
async def test_an_old_log_is_refused_and_left_alone_where_nobody_may_migrate(
    kind: Kind, version: int
) -> None:
    kind.fill(version)
    before = kind.schema()
    app = Application(log=kind.url, migrate=False)
    with pytest.raises(SchemaMismatch, match="diptych migrate") as caught:
        await app.open()
    assert (caught.value.found, caught.value.supported) == (version, NEWEST)
    assert (kind.version(), kind.schema()) == (version, before)


async def test_a_new_log_is_made_also_where_nobody_may_migrate(kind: Kind) -> None:
    async with Application(log=kind.url, migrate=False) as app:
        assert app.log.id


@pytest.mark.parametrize("version", OLD)
async def test_migrating_tells_from_where_and_can_be_repeated(kind: Kind, version: int) -> None:
    kind.fill(version)
    store = kind.store()
    assert await migrate_log(store) == Migrated(version, NEWEST)
    async with opened(store):
        assert await migrate_log(store) == Migrated(NEWEST, NEWEST)


async def test_migrating_makes_a_log_that_is_not_there(kind: Kind) -> None:
    assert await migrate_log(kind.store()) == Migrated(0, NEWEST)
    assert await migrate_log(kind.store()) == Migrated(NEWEST, NEWEST)


async def test_a_log_without_a_schema_is_not_migrated() -> None:
    assert await migrate_log(MemoryEventStore()) is None


@pytest.mark.parametrize("found", [0, NEWEST + 1, 99])
async def test_a_version_that_is_none_or_newer_is_refused_by_migrating_too(
    kind: Kind, postgres: PostgresServer, found: int
) -> None:
    async with opened(kind.store()):
        pass
    if kind.url.startswith("sqlite"):
        with closing(sqlite.connect(kind.url.removeprefix("sqlite:///"))) as db:
            db.execute(f"PRAGMA user_version = {found}")
    else:
        sql = f"UPDATE diptych.meta SET schema_version = {found}"
        postgres.execute(sql, database=kind.url.rpartition("/")[2])
    before = kind.schema()
    for attempt in (kind.store().open, kind.store().migrate):  # type: ignore[attr-defined]
        with pytest.raises(SchemaMismatch) as caught:
            await attempt()
        assert (caught.value.found, caught.value.supported) == (found, NEWEST)
    assert (kind.version(), kind.schema()) == (found, before)


@pytest.mark.parametrize("step", ["migrate.before_step", "migrate.before_commit"])
@pytest.mark.parametrize("version", OLD)
async def test_a_migration_that_fails_leaves_the_old_version(
    kind: Kind, version: int, step: str
) -> None:
    kind.fill(version)
    before = kind.schema()
    with armed(step, fail), pytest.raises((StoreError, FailpointError)):
        await kind.store().open()
    assert (kind.version(), kind.schema()) == (version, before)
    async with opened(kind.store()) as store:
        assert len(await log_of(store)) == len(list(events_of(version)))


@pytest.mark.parametrize("version", OLD)
async def test_several_processes_may_migrate_at_once(kind: Kind, version: int) -> None:
    kind.fill(version)
    stores = [kind.store() for _ in range(5)]
    found = await asyncio.gather(*(migrate_log(store) for store in stores))
    assert sorted(found) == [Migrated(version, NEWEST), *[Migrated(NEWEST, NEWEST)] * 4]


@pytest.mark.parametrize("version", OLD)
async def test_who_has_the_file_open_reads_and_writes_on_while_it_is_migrated(
    tmp_path: Path, version: int
) -> None:
    path = tmp_path / "log.db"
    sqlite_log(version, path)
    with closing(sqlite.connect(str(path), isolation_level=None)) as old:
        old.execute("BEGIN")
        (count,) = old.execute("SELECT count(*) FROM events").fetchone()
        async with opened(SqliteEventStore(path)) as store:
            await store.append(add(to("order-new")))
            assert old.execute("SELECT count(*) FROM events").fetchone() == (count,)
            old.execute("COMMIT")
            old.execute("INSERT INTO event_tags VALUES ('by-old-code', 1)")
            assert len(await log_of(store)) == count + 1


@pytest.mark.parametrize("version", OLD)
async def test_a_user_who_may_not_create_tables_is_told_who_has_to_migrate(
    postgres: PostgresServer, postgres_url: str, version: int
) -> None:
    postgres_log(version, postgres_url, postgres)
    database = postgres_url.rpartition("/")[2]
    postgres.execute("CREATE ROLE writer LOGIN")
    try:
        postgres.execute(
            "GRANT USAGE ON SCHEMA diptych TO writer",
            "GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA diptych TO writer",
            database=database,
        )
        with pytest.raises(StorageDenied, match="as the schema's owner"):
            await PostgresEventStore(postgres_url.replace("postgres@", "writer@")).open()
        assert await PostgresEventStore(postgres_url).migrate() == Migrated(version, NEWEST)
    finally:
        postgres.execute("DROP OWNED BY writer CASCADE", database=database)
        postgres.execute("DROP ROLE writer")
