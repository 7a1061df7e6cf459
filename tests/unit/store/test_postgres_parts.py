"""The small parts of the log in PostgreSQL: statements for a schema, arrays as text, errors."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import asyncpg
import pytest

from diptych.backends import distinct_files, open_log, open_read_database
from diptych.clock import SystemClock
from diptych.errors import (
    ConfigurationError,
    DiptychError,
    InvalidInput,
    StorageBusy,
    StorageCorrupt,
    StorageDenied,
    StorageFull,
    StorageReadOnly,
    StorageUnavailable,
    StoreError,
)
from diptych.postgres_library.errors import is_lost, is_passing, translate
from diptych.store.postgres.appending import Batch
from diptych.store.postgres.rows import numbers_text, tags_text, time_text, times_text, uuids_text
from diptych.store.postgres.statements import statements_for
from diptych.store.postgres.store import PostgresEventStore
from diptych.testing.conformance.steps import add, happened, to

NAMES_ONLY = {"3D000", "42501", "53300"}
"""The server's sentences for these name databases, tables and roles, and no values."""
SHOWN = "postgresql://ann@db/shop"


def test_statements_are_for_the_schema_that_is_named() -> None:
    sql = statements_for("orders_2")
    parts = (sql.schema, *sql.migrations, sql.functions, sql.queries)
    every = "\n".join(statement for part in parts for statement in part.values())
    assert "diptych." not in every
    assert "'diptych'" not in every
    assert "CREATE SCHEMA orders_2" in every
    assert "n.nspname = 'orders_2' AND c.relname = 'meta'" in every
    assert "'orders_2'::regnamespace" in every


def test_each_function_is_named_as_its_statement_is() -> None:
    for name, statement in statements_for("diptych").functions.items():
        assert f"CREATE FUNCTION diptych.{name}(" in statement


def test_arrays_are_written_as_postgresql_reads_them() -> None:
    assert numbers_text([]) == "{}"
    assert numbers_text((1,)) == "{1}"
    assert numbers_text([1, None, 30]) == "{1, NULL, 30}"
    assert uuids_text([UUID(int=1), UUID(int=2)]) == f'{{"{UUID(int=1)}","{UUID(int=2)}"}}'
    assert uuids_text([]) == "{}"
    assert times_text([None, "2026-11-21T00:00:00+00:00"]) == "{NULL,2026-11-21T00:00:00+00:00}"
    assert tags_text(['say "hi"', "a\\b", "{,}", "NULL"]) == r'{"say \"hi\"","a\\b","{,}","NULL"}'


def test_a_time_is_written_in_utc() -> None:
    zone = timezone(timedelta(hours=5, minutes=30))
    moment = datetime(2026, 3, 29, 2, 30, 0, 1, tzinfo=zone)
    assert time_text(moment) == "2026-03-28T21:00:00.000001+00:00"


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 11, 21),  # noqa: DTZ001 - what is to be refused
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-8))),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=8))),
    ],
)
def test_a_time_that_no_clock_shows_in_utc_is_refused(moment: datetime) -> None:
    with pytest.raises(InvalidInput) as refusal:
        time_text(moment)
    assert refusal.value.field == "occurred_at"


@pytest.mark.parametrize("data", [b'{"a":"\x00"}', b'{"a":"\xff"}'])
def test_what_no_text_holds_is_refused_and_leaves_the_batch_as_it_was(data: bytes) -> None:
    batch = Batch()
    batch.add(add(to("order-1")))
    before = batch.parameters(None)
    with pytest.raises(InvalidInput):
        batch.add(add(to("order-2", happened(), happened(data=data))))
    assert batch.parameters(None) == before


def from_server(state: str, severity: str = "ERROR", message: str = "secret") -> Exception:
    """As the driver makes it of what the server sends."""
    fields = {"S": severity, "V": severity, "C": state, "M": message}
    error: Exception = asyncpg.PostgresError.new(fields)
    return error


@pytest.mark.parametrize(
    ("error", "kind", "lost", "passing"),
    [
        (from_server("40001"), StorageBusy, False, True),
        (from_server("40P01"), StorageBusy, False, True),
        (from_server("55P03"), StorageBusy, False, False),
        (from_server("53100"), StorageFull, False, False),
        (from_server("53300", "FATAL"), StorageUnavailable, True, True),
        (from_server("57P01", "FATAL"), StorageUnavailable, True, True),
        (from_server("57P03", "FATAL"), StorageUnavailable, True, True),
        (from_server("28P01", "FATAL"), StorageDenied, True, False),
        (from_server("3D000", "FATAL"), StoreError, True, False),
        (from_server("42501"), StorageDenied, False, False),
        (from_server("25006"), StorageReadOnly, False, True),
        (from_server("XX001"), StorageCorrupt, False, False),
        (from_server("XX000", "PANIC"), StorageUnavailable, True, True),
        (from_server("22P02"), StoreError, False, False),
        (asyncpg.ConnectionDoesNotExistError("closed"), StorageUnavailable, True, True),
        (asyncpg.InterfaceError("connection is closed"), StorageUnavailable, True, True),
        (asyncpg.DataError("invalid input"), StoreError, False, False),
        (ConnectionRefusedError(), StorageUnavailable, True, True),
        (ConnectionResetError(), StorageUnavailable, True, True),
        (TimeoutError(), StorageUnavailable, True, True),
        (ValueError("secret"), StoreError, False, False),
    ],
    ids=lambda value: getattr(value, "sqlstate", None) or type(value).__name__,
)
def test_an_error_says_what_it_means_and_whether_it_passes(
    error: Exception, kind: type[DiptychError], *, lost: bool, passing: bool
) -> None:
    meaning = translate(error, SHOWN)
    assert type(meaning) is kind
    assert str(meaning).startswith(f"{SHOWN}: ")
    assert str(meaning).isprintable()
    assert "secret" not in str(meaning) or getattr(error, "sqlstate", "") in NAMES_ONLY
    assert (is_lost(error), is_passing(error)) == (lost, passing)


def test_our_own_errors_are_left_as_they_are() -> None:
    error = StorageBusy("busy")
    assert translate(error, SHOWN) is error


def test_a_url_with_postgresql_is_a_log_and_a_read_database() -> None:
    store = open_log("postgresql://ann:s3cret@db/shop?schema=events", SystemClock())
    assert isinstance(store, PostgresEventStore)
    assert store.place.startswith("postgresql://ann@db/shop, schema events: 1 connection appends")
    database = open_read_database("postgresql://ann:s3cret@db/shop")
    distinct_files(store, database)
    with pytest.raises(ConfigurationError, match="same schema, events"):
        distinct_files(store, open_read_database("postgresql://ann:s3cret@db/shop?schema=events"))


def test_without_asyncpg_all_else_works_and_a_url_says_what_to_install() -> None:
    program = """
import sys
sys.modules["asyncpg"] = None
import diptych
from diptych.app import Application
try:
    diptych.PostgresEventStore("postgresql:///shop")
except diptych.ConfigurationError as error:
    print(error)
"""
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert "pip install 'diptych[postgres]'" in found.stdout


def test_asyncpg_is_not_imported_before_it_is_needed() -> None:
    program = "import sys, diptych.app; sys.exit('asyncpg' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], timeout=60, check=True)


def test_recording_times_are_those_of_a_clock_that_is_given() -> None:
    batch = Batch()
    batch.add(add(to("order-1")))
    now = datetime(2026, 11, 21, tzinfo=UTC)

    class Stopped(SystemClock):
        def now(self) -> datetime:
            return now

    assert batch.parameters(Stopped())[0] == now
    assert batch.parameters(None)[0] is None
