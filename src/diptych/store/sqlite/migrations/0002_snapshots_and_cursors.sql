-- Schema version 2: tables that come and go beside the events. Programs of version 1 that have the
-- log open do not see them and are not disturbed.

-- States of long streams, of the rule that `fingerprint` stands for. They may be deleted at any
-- time: each can be made again from the events up to `version`, of which `event_id` is the last.
-- `digest` is of all other columns.
-- name: create_snapshots
CREATE TABLE snapshots (
    tenant      TEXT    NOT NULL,
    stream      TEXT    NOT NULL,
    fingerprint TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    position    INTEGER NOT NULL,
    event_id    BLOB    NOT NULL,
    state       BLOB    NOT NULL,
    digest      BLOB    NOT NULL,
    PRIMARY KEY (tenant, stream, fingerprint)
) STRICT

-- How far each thing is that acts on the world: see `store/cursors.py`. `failed_…` say why it is
-- stopped; `failed_kind` null: it is not.
-- name: create_cursors
CREATE TABLE cursors (
    name            TEXT    PRIMARY KEY,
    position        INTEGER NOT NULL,
    event_id        BLOB,                       -- of the event there; null: nobody looked
    epoch           INTEGER NOT NULL DEFAULT 0,
    holder          TEXT,
    holder_name     TEXT,
    holder_process  TEXT,
    alive_until     REAL    NOT NULL DEFAULT 0, -- seconds since 1970, by the clock of SQLite
    paused_at       INTEGER,
    paused_reason   TEXT,
    failed_tenant   TEXT,
    failed_stream   TEXT,
    failed_version  INTEGER,                    -- 0: no matter of one event
    failed_position INTEGER,
    failed_type     TEXT,
    failed_kind     TEXT,
    failed_error    TEXT,
    failed_attempts INTEGER,
    failed_at       INTEGER
) STRICT

-- Streams that are set aside, from one of their versions to another.
-- name: create_cursor_parked
CREATE TABLE cursor_parked (
    cursor           TEXT    NOT NULL,
    tenant           TEXT    NOT NULL,
    stream           TEXT    NOT NULL,
    first_version    INTEGER NOT NULL,
    through_version  INTEGER NOT NULL,
    through_position INTEGER NOT NULL,
    epoch            INTEGER NOT NULL DEFAULT 0, -- how often it was begun to be worked off
    failed_version   INTEGER NOT NULL,
    failed_position  INTEGER NOT NULL,
    failed_type      TEXT    NOT NULL,
    failed_kind      TEXT    NOT NULL,
    failed_error     TEXT    NOT NULL,
    failed_attempts  INTEGER NOT NULL,
    failed_at        INTEGER NOT NULL,
    PRIMARY KEY (cursor, tenant, stream)
) WITHOUT ROWID, STRICT

-- What an operator said must never be handled.
-- name: create_cursor_discards
CREATE TABLE cursor_discards (
    number           INTEGER PRIMARY KEY,
    cursor           TEXT    NOT NULL,
    tenant           TEXT    NOT NULL,
    stream           TEXT    NOT NULL,
    first_version    INTEGER NOT NULL,
    through_version  INTEGER NOT NULL,
    through_position INTEGER NOT NULL,
    reason           TEXT    NOT NULL,
    failed_error     TEXT    NOT NULL,
    discarded_at     INTEGER NOT NULL
) STRICT

-- name: create_cursor_discards_by_position
CREATE INDEX cursor_discards_by_position ON cursor_discards (cursor, through_position)

-- name: refuse_update_of_discards
CREATE TRIGGER discards_are_never_updated BEFORE UPDATE ON cursor_discards
BEGIN
    SELECT RAISE(ABORT, 'discards are never updated');
END

-- name: refuse_delete_of_discards
CREATE TRIGGER discards_are_never_deleted BEFORE DELETE ON cursor_discards
BEGIN
    SELECT RAISE(ABORT, 'discards are never deleted');
END
