"""The read database's own tables: what it follows, which revisions it has, how far each one is."""

from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

SCHEMA_VERSION: Final = 4

BUILDING: Final = "building"
SERVING: Final = "serving"
RETIRED: Final = "retired"
DROPPED: Final = "dropped"
"""Of a revision."""

FIRST: Final = "first"
REBUILD: Final = "rebuild"
"""Kinds of revisions: made because code had none, or to replace the one that it has."""

RUNNING: Final = "running"
RETRYING: Final = "retrying"
STOPPED: Final = "stopped"
DIVERGED: Final = "diverged"
"""Of a checkpoint."""

_METADATA: Final = sa.MetaData()
_NONE: Final = sa.text("0")

META: Final = sa.Table(
    "diptych_meta",
    _METADATA,
    sa.Column(
        "only", sa.Integer, sa.CheckConstraint('"only" = 1'), primary_key=True, autoincrement=False
    ),
    sa.Column("schema_version", sa.Integer, nullable=False),
    sa.Column("log_id", sa.Uuid, nullable=False),
)
"""One row: the log that everything here was projected from."""

REVISIONS: Final = sa.Table(
    "diptych_revisions",
    _METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("view", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("tables", sa.Text, nullable=False),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False, server_default="first"),
    sa.Column("served_at", sa.Text),
    sa.Column("verified_at", sa.Text),
    sa.Column("retired_at", sa.Text),
    sa.Index("diptych_revisions_view", "view", "fingerprint"),
    sqlite_autoincrement=True,
)
"""One row for each table (or set of tables) built by one fingerprint of a view or projection.

`status` is `building` until the revision has once caught up, then `serving`; a rebuild of the
same fingerprint (`kind` is `rebuild`) makes its predecessor `retired`. `dropped` is one whose
tables are about to be. `tables` is a JSON array
of names. `served_at`, `verified_at` and `retired_at` say when it became what it is.
"""

CHECKPOINTS: Final = sa.Table(
    "diptych_checkpoints",
    _METADATA,
    sa.Column("view", sa.Text, primary_key=True),
    sa.Column("revision", sa.Integer, sa.ForeignKey(REVISIONS.c.id), primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("event_id", sa.Uuid),
    sa.Column("log_id", sa.Uuid, nullable=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("error_position", sa.BigInteger),
    sa.Column("started_at", sa.Text),
    sa.Column("moved_at", sa.Text),
    sa.Column("holder", sa.Text),
    sa.Column("error_class", sa.Text),
    sa.Column("error_type", sa.Text),
    sa.Column("attempts", sa.Integer, nullable=False, server_default=_NONE),
    sa.Column("failed_at", sa.Text),
    sa.Column("parked_keys", sa.Integer, nullable=False, server_default=_NONE),
    sa.Column("parked_events", sa.Integer, nullable=False, server_default=_NONE),
    sa.Column("acts", sa.BigInteger, nullable=False, server_default=_NONE),
)
"""How far a revision has finished the log. `epoch` counts who took it over; the last may write.

`status` is `running`; `retrying`, with the error; or `stopped` or `diverged`, with the error and
the position of the event. `holder` is the worker that projects it, if that one is alive.

`error_class` is a `FailureKind`, `error_type` the stored name of the event, `attempts` how often it
was tried in vain, since `failed_at`. `parked_keys` and `parked_events` count what is parked. `acts`
counts what operators did to the rows beside the projector: it knows by it that a page which it
has prepared meanwhile must be prepared anew.
"""

WELL: Final[Mapping[str, object]] = {
    "status": RUNNING,
    "error": None,
    "error_position": None,
    "error_class": None,
    "error_type": None,
    "attempts": 0,
    "failed_at": None,
}
"""What a checkpoint says when nothing is wrong."""

VIEWS: Final = sa.Table(
    "diptych_views",
    _METADATA,
    sa.Column("view", sa.Text, primary_key=True),
    sa.Column("paused_at", sa.Text),
    sa.Column("paused_reason", sa.Text),
)
"""What an operator decided about a view, in all its revisions. A view without a row runs."""

PARKED_KEYS: Final = sa.Table(
    "diptych_parked_keys",
    _METADATA,
    sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("key_id", sa.Text, primary_key=True),
    sa.Column("partition", sa.Integer, nullable=False),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("first_position", sa.BigInteger, nullable=False),
    sa.Column("last_position", sa.BigInteger, nullable=False),
    sa.Column("events", sa.Integer, nullable=False),
    sa.Column("error_class", sa.Text, nullable=False),
    sa.Column("error_type", sa.Text, nullable=False),
    sa.Column("error_position", sa.BigInteger, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("parked_at", sa.Text, nullable=False),
    sa.Column("tried_at", sa.Text, nullable=False),
)
"""One row for each key whose events are set aside, with the error of the last attempt.

`key` is JSON: the parts of the key as SQLite keeps them. `key_id` is a digest of it and of the
tenant: a key may be longer than an index can hold.
"""

PARKED_EVENTS: Final = sa.Table(
    "diptych_parked_events",
    _METADATA,
    sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("key_id", sa.Text, primary_key=True),
    sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
)
"""Which events are set aside for a key. What they say stays in the log, and only there."""

DISCARDS: Final = sa.Table(
    "diptych_discards",
    _METADATA,
    sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("key_id", sa.Text, primary_key=True),
    sa.Column("first_position", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("view", sa.Text, nullable=False),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("positions", sa.Text, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("discarded_at", sa.Text, nullable=False),
)
"""What was parked and will not be applied, because an operator said so; kept for ever.

`positions` is a JSON array, `error` why it had been parked, `reason` what the operator said.
"""

RETRIES: Final = sa.Table(
    "diptych_retries",
    _METADATA,
    sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("acts", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("after", sa.BigInteger, nullable=False),
    sa.Column("key_id", sa.Text, nullable=False),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("positions", sa.Text, nullable=False),
)
"""What was parked and then applied where views are over the view: theirs are folded late by it.

`after` is the place that the views had by then, `acts` that of the checkpoint, which tells the
order; `positions` is a JSON array.
"""

WORKERS: Final = sa.Table(
    "diptych_workers",
    _METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("process", sa.Text, nullable=False),
    sa.Column("revisions", sa.Text, nullable=False),
    sa.Column("alive_until", sa.Double, nullable=False),
)
"""One row for each application that projects into this database.

`alive_until` is in seconds since 1970 by the database's clock. `revisions` is a JSON array of the
revisions that it can project; `process` tells on its own machine whether it still exists.
"""

READERS: Final = sa.Table(
    "diptych_readers",
    _METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("process", sa.Text, nullable=False),
    sa.Column("revisions", sa.Text, nullable=False),
    sa.Column("alive_until", sa.DOUBLE_PRECISION, nullable=False),  # as the migration spells it
)
"""One row for each application that only answers from this database; as `diptych_workers`, but that
`revisions` are those that it reads."""

OWN_TABLES: Final = (
    *(META, REVISIONS, CHECKPOINTS, WORKERS, READERS),
    *(VIEWS, PARKED_KEYS, PARKED_EVENTS, DISCARDS, RETRIES),
)


class database_now(FunctionElement[float]):  # noqa: N801 - reads as the SQL function that it is
    """Seconds since 1970 by the clock of the database, as it is now and not when the transaction
    began."""

    type = sa.Double()
    inherit_cache = True


@compiles(database_now, "sqlite")
def _sqlite_now(*_: Any, **__: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(database_now, "postgresql")
def _postgresql_now(*_: Any, **__: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)"
