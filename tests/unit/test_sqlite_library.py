"""The one SQLite library: which one it is, what it warns of, what its errors mean."""

import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from diptych.errors import (
    ConfigurationError,
    StorageBusy,
    StorageCorrupt,
    StorageFull,
    StorageReadOnly,
    StoreClosed,
    StoreError,
)
from diptych.sqlite_library import (
    can_corrupt,
    check_version,
    choose,
    connect,
    primary_code,
    sqlite,
    translate,
)


def library(version: str) -> ModuleType:
    module = ModuleType(version)
    vars(module)["sqlite_version_info"] = tuple(map(int, version.split(".")))
    return module


@pytest.fixture(autouse=True)
def forget_warnings() -> Iterator[None]:
    check_version.cache_clear()
    yield
    check_version.cache_clear()


def driver_error(code: int) -> Exception:
    error: Exception = sqlite.OperationalError("what the driver says")
    vars(error)["sqlite_errorcode"] = code
    return error


@pytest.mark.parametrize(
    ("bundled", "standard", "chosen"),
    [
        ("3.53.4", "3.40.1", "3.53.4"),
        ("3.53.4", "3.53.4", "3.53.4"),
        ("3.51.1", "3.53.4", "3.53.4"),
        (None, "3.40.1", "3.40.1"),
    ],
)
def test_the_newest_library_is_chosen(bundled: str | None, standard: str, chosen: str) -> None:
    found = choose(library(bundled) if bundled else None, library(standard))
    assert found.__name__ == chosen


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 53, 4), False),
    ],
)
def test_it_is_known_which_versions_can_damage_a_file(
    version: tuple[int, int, int], affected: bool
) -> None:
    assert can_corrupt(version) is affected


def test_a_version_that_can_damage_a_file_is_warned_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        check_version((3, 45, 0))
        check_version((3, 45, 0))
        check_version((3, 53, 4))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "SQLite 3.45.0" in caplog.text
    assert "let one process write" in caplog.text


def test_a_version_that_is_too_old_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"SQLite 3\.36\.0 is too old"):
        check_version((3, 36, 0))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_FULL, StorageFull),
        (sqlite3.SQLITE_READONLY, StorageReadOnly),
        (sqlite3.SQLITE_READONLY_DIRECTORY, StorageReadOnly),
        (sqlite3.SQLITE_CANTOPEN, StorageReadOnly),
        (sqlite3.SQLITE_BUSY, StorageBusy),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, StorageBusy),
        (sqlite3.SQLITE_LOCKED, StorageBusy),
        (sqlite3.SQLITE_CORRUPT, StorageCorrupt),
        (sqlite3.SQLITE_NOTADB, StorageCorrupt),
        (sqlite3.SQLITE_IOERR_FSYNC, StoreError),
        (sqlite3.SQLITE_ERROR, StoreError),
    ],
)
def test_an_error_of_the_driver_gets_the_kind_that_says_what_to_do(
    code: int, kind: type[StoreError]
) -> None:
    translated = translate(driver_error(code), "data/log.db")
    assert type(translated) is kind
    assert str(translated).startswith("data/log.db: ")


def test_an_error_without_advice_keeps_the_words_of_the_driver() -> None:
    assert "what the driver says" in str(translate(driver_error(1), "log.db"))
    assert primary_code(ValueError("no code")) == 0


def test_an_error_that_is_translated_stays_as_it_is() -> None:
    error = StorageFull("full")
    assert translate(error, "log.db") is error


def test_a_closed_connection_is_a_closed_store(tmp_path: Path) -> None:
    connection = connect(tmp_path / "file.db")
    connection.close()
    with pytest.raises(sqlite.ProgrammingError) as caught:
        connection.execute("SELECT 1")
    assert type(translate(caught.value, "file.db")) is StoreClosed


def test_a_connection_leaves_transactions_to_its_user(tmp_path: Path) -> None:
    connection = connect(tmp_path / "file.db")
    connection.execute("CREATE TABLE t (a)")
    connection.execute("INSERT INTO t VALUES (1)")
    assert not connection.in_transaction
    connection.close()


def test_a_file_that_cannot_be_opened_is_an_error_of_the_store(tmp_path: Path) -> None:
    with pytest.raises(StorageReadOnly, match="check that the folder exists"):
        connect(tmp_path / "nowhere" / "file.db").execute("SELECT 1")
