"""The SQL of the SQLite log, by name."""

from typing import Final

from diptych.store.sql import statements

SCHEMA: Final = statements("diptych.store.sqlite", "schema.sql")
SQL: Final = statements("diptych.store.sqlite", "queries.sql")
