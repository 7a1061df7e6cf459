"""The SQL of the log: found by name, all of it used, nothing used that is not there."""

import ast
import re
from pathlib import Path

import pytest

from diptych.store import sql_cursors
from diptych.store import sqlite as package
from diptych.store.postgres.statements import cursor_statements, numbered
from diptych.store.sql import parse
from diptych.store.sqlite.file import open_to_append
from diptych.store.sqlite.statements import CURSORS, MIGRATIONS, SCHEMA, SCHEMA_VERSION, SQL
from diptych.testing.clock import FixedClock

_FOLDER = Path(package.__path__[0])


def test_a_statement_stands_under_its_name() -> None:
    found = parse(
        "-- About the file.\n\n-- name: one\nSELECT 1\n\n-- name: two\n-- why\nSELECT 2\n"
    )
    assert found == {"one": "SELECT 1", "two": "-- why\nSELECT 2"}


def test_two_statements_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two statements named one"):
        parse("-- name: one\nSELECT 1\n-- name: one\nSELECT 2\n")


def test_each_statement_is_used_and_each_that_is_used_is_there() -> None:
    """A statement is used as SQL["name"], or by a name that stands as a text beside SQL[name]."""
    texts: set[str] = set()
    subscripts: set[str] = set()
    for file in _FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(node.value)
            if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "SQL":
                subscripts |= set(re.findall(r"SQL\['(\w+)'\]", ast.unparse(node)))
    assert set(SQL) <= texts
    assert subscripts <= set(SQL)


def test_each_statement_can_be_prepared(tmp_path: Path) -> None:
    db, _ = open_to_append(tmp_path / "log.db", synchronous="FULL", clock=FixedClock())
    for statement in SQL.values():
        named = dict.fromkeys(re.findall(r":(\w+)", statement))
        db.execute(f"EXPLAIN {statement}", named or (None,) * statement.count("?"))
    db.close()


def test_the_statements_of_cursors_are_used_and_are_the_same_on_both_databases(
    tmp_path: Path,
) -> None:
    source = ast.parse(Path(sql_cursors.__file__).read_text(encoding="utf-8"))
    texts = {node.value for node in ast.walk(source) if isinstance(node, ast.Constant)}
    assert set(CURSORS) <= texts
    assert list(CURSORS) == list(cursor_statements("diptych"))
    db, _ = open_to_append(tmp_path / "log.db", synchronous="FULL", clock=FixedClock())
    for name, statement in CURSORS.items():
        named = set(re.findall(r":(\w+)", statement))
        assert named == set(cursor_statements("diptych")[name].names)
        db.execute(f"EXPLAIN {statement}", dict.fromkeys(named))
    db.close()


def test_names_of_parameters_become_numbers_and_casts_stay() -> None:
    found = numbered("UPDATE a SET b = :b::bigint, c = :name WHERE b <> :b")
    assert found.text == "UPDATE a SET b = $1::bigint, c = $2 WHERE b <> $1"
    assert found.names == ("b", "name")


def test_no_search_reads_a_whole_table(tmp_path: Path) -> None:
    db, _ = open_to_append(tmp_path / "log.db", synchronous="FULL", clock=FixedClock())
    for name in set(SQL) - {"log_id", "head"}:
        named = dict.fromkeys(re.findall(r":(\w+)", SQL[name]))
        values = named or (None,) * SQL[name].count("?")
        plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {SQL[name]}", values)]
        assert [step for step in plan if re.match(r"SCAN (events|event_tags|commands)", step)] == []
    db.close()


def test_the_schema_makes_every_table_and_trigger(tmp_path: Path) -> None:
    db, _ = open_to_append(tmp_path / "log.db", synchronous="FULL", clock=FixedClock())
    made = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE sql NOT NULL")}
    db.close()
    assert made == {
        "meta",
        "events",
        "event_tags",
        "commands",
        "events_are_never_updated",
        "events_are_never_deleted",
        "snapshots",
        "cursors",
        "cursor_parked",
        "cursor_discards",
        "cursor_discards_by_position",
        "discards_are_never_updated",
        "discards_are_never_deleted",
    }
    assert len(made) == sum(map(len, (SCHEMA, *MIGRATIONS)))
    assert 1 + len(MIGRATIONS) == SCHEMA_VERSION
