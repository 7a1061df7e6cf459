-- The log in one SQLite file: schema version 1. Each statement is run once, in one transaction,
-- when the file is created.

-- name: create_meta
CREATE TABLE meta (
    log_id      BLOB    NOT NULL,
    created_at  INTEGER NOT NULL    -- microseconds since 1970, UTC, as all times here
) STRICT

-- Columns that reads filter on come first: a row that is passed over is not read to its end.
-- name: create_events
CREATE TABLE events (
    position    INTEGER PRIMARY KEY,
    tenant      TEXT    NOT NULL,
    category    TEXT    NOT NULL,
    type        TEXT    NOT NULL,
    stream      TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    event_id    BLOB    NOT NULL,
    recorded_at INTEGER NOT NULL,
    occurred_at INTEGER,            -- of imported events only
    tags        TEXT,               -- JSON array; null: none
    metadata    TEXT    NOT NULL,   -- JSON object
    data        TEXT    NOT NULL,   -- JSON object
    UNIQUE (tenant, stream, version)
) STRICT

-- name: refuse_update
CREATE TRIGGER events_are_never_updated BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are never updated');
END

-- name: refuse_delete
CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are never deleted');
END

-- name: create_event_tags
CREATE TABLE event_tags (
    tag         TEXT    NOT NULL,
    position    INTEGER NOT NULL,
    PRIMARY KEY (tag, position)
) WITHOUT ROWID, STRICT

-- What was appended is found through its positions; command ids are random, so each row touches a
-- page of its own, and short rows make that as cheap as it can be.
-- name: create_commands
CREATE TABLE commands (
    tenant      TEXT    NOT NULL,
    principal   TEXT    NOT NULL,
    command_id  BLOB    NOT NULL,
    hash        BLOB    NOT NULL,
    position    INTEGER NOT NULL,   -- of its last event; of the head if it appended nothing
    events      INTEGER NOT NULL,   -- how many it appended: 0 if it did nothing
    streams     TEXT,               -- only if it did nothing: JSON array of [stream, version]
    PRIMARY KEY (tenant, principal, command_id)
) WITHOUT ROWID, STRICT
