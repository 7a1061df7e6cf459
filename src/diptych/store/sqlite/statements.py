"""The SQL of the SQLite log, by name."""

from typing import Final

from diptych.store.sql import migrations, statements

_PACKAGE: Final = "diptych.store.sqlite"

SCHEMA: Final = statements(_PACKAGE, "schema.sql")
MIGRATIONS: Final = tuple(statements(_PACKAGE, file) for file in migrations(_PACKAGE))
SCHEMA_VERSION: Final = 1 + len(MIGRATIONS)
SQL: Final = statements(_PACKAGE, "queries.sql")
CURSORS: Final = statements(_PACKAGE, "cursors.sql")
