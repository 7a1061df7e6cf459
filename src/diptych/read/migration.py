"""From an older schema of a read database to this one: in place, in the transaction that opens it.

`MIGRATIONS[n]` leads from version n to n + 1. Each is fixed text that both databases understand,
and stays as it was released, whatever `diptych.read.schema` says later; a test compares what came
of it with a new database. Processes of the version before go on beside it: what a migration adds
has a default or may be missing. What a newer version wrote is refused, as it was before.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import sqlalchemy as sa

from diptych.errors import SchemaMismatch
from diptych.read.schema import META, SCHEMA_VERSION

OLDEST: Final = 2
"""Version 1 was never released."""

MIGRATIONS: Final[Mapping[int, Sequence[sa.TextClause]]] = {
    2: (
        sa.text("ALTER TABLE diptych_revisions ADD COLUMN kind TEXT DEFAULT 'first' NOT NULL"),
        sa.text("ALTER TABLE diptych_revisions ADD COLUMN served_at TEXT"),
        sa.text("ALTER TABLE diptych_revisions ADD COLUMN verified_at TEXT"),
        sa.text("ALTER TABLE diptych_revisions ADD COLUMN retired_at TEXT"),
        sa.text("ALTER TABLE diptych_checkpoints ADD COLUMN error_class TEXT"),
        sa.text("ALTER TABLE diptych_checkpoints ADD COLUMN error_type TEXT"),
        sa.text("ALTER TABLE diptych_checkpoints ADD COLUMN attempts INTEGER DEFAULT 0 NOT NULL"),
        sa.text("ALTER TABLE diptych_checkpoints ADD COLUMN failed_at TEXT"),
        sa.text(
            "ALTER TABLE diptych_checkpoints ADD COLUMN parked_keys INTEGER DEFAULT 0 NOT NULL"
        ),
        sa.text(
            "ALTER TABLE diptych_checkpoints ADD COLUMN parked_events INTEGER DEFAULT 0 NOT NULL"
        ),
        sa.text("ALTER TABLE diptych_checkpoints ADD COLUMN acts BIGINT DEFAULT 0 NOT NULL"),
        sa.text(
            "CREATE TABLE diptych_views ("
            "view TEXT NOT NULL, paused_at TEXT, paused_reason TEXT, PRIMARY KEY (view))"
        ),
        sa.text(
            "CREATE TABLE diptych_parked_keys ("
            "revision INTEGER NOT NULL, key_id TEXT NOT NULL, partition INTEGER NOT NULL,"
            " tenant TEXT NOT NULL, key TEXT NOT NULL, first_position BIGINT NOT NULL,"
            " last_position BIGINT NOT NULL, events INTEGER NOT NULL, error_class TEXT NOT NULL,"
            " error_type TEXT NOT NULL, error_position BIGINT NOT NULL, error TEXT NOT NULL,"
            " attempts INTEGER NOT NULL, parked_at TEXT NOT NULL, tried_at TEXT NOT NULL,"
            " PRIMARY KEY (revision, key_id))"
        ),
        sa.text(
            "CREATE TABLE diptych_parked_events ("
            "revision INTEGER NOT NULL, key_id TEXT NOT NULL, position BIGINT NOT NULL,"
            " PRIMARY KEY (revision, key_id, position))"
        ),
        sa.text(
            "CREATE TABLE diptych_discards ("
            "revision INTEGER NOT NULL, key_id TEXT NOT NULL, first_position BIGINT NOT NULL,"
            " view TEXT NOT NULL, tenant TEXT NOT NULL, key TEXT NOT NULL,"
            " positions TEXT NOT NULL, error TEXT NOT NULL, reason TEXT NOT NULL,"
            " discarded_at TEXT NOT NULL, PRIMARY KEY (revision, key_id, first_position))"
        ),
    ),
    3: (
        sa.text(
            "CREATE TABLE diptych_retries ("
            "revision INTEGER NOT NULL, acts BIGINT NOT NULL, after BIGINT NOT NULL,"
            " key_id TEXT NOT NULL, tenant TEXT NOT NULL, key TEXT NOT NULL,"
            " positions TEXT NOT NULL, PRIMARY KEY (revision, acts))"
        ),
        sa.text(
            "CREATE TABLE diptych_readers ("
            "id TEXT NOT NULL, name TEXT NOT NULL, process TEXT NOT NULL, revisions TEXT NOT NULL,"
            " alive_until DOUBLE PRECISION NOT NULL, PRIMARY KEY (id))"
        ),
    ),
}


def require_version(found: int, *, what: str, migrate: bool) -> None:
    """Raises: SchemaMismatch: it is newer, or too old; or it is older and may not be migrated."""
    if found > SCHEMA_VERSION or found < OLDEST or (found < SCHEMA_VERSION and not migrate):
        raise SchemaMismatch(what, found=found, supported=SCHEMA_VERSION)


def steps(found: int) -> Iterator[sa.Executable]:
    """The statements that bring schema version `found` to that of this code, in their order; none
    if it is there. Run all of them in one transaction.
    """
    for version in range(found, SCHEMA_VERSION):
        yield from MIGRATIONS[version]
        yield sa.update(META).values(schema_version=version + 1)
