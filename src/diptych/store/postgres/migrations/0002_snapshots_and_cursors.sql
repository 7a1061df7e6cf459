-- Schema version 2: tables that come and go beside the events. Programs of version 1 that have the
-- log open do not see them and are not disturbed.

-- States of long streams, of the rule that `fingerprint` stands for. They may be deleted at any
-- time: each can be made again from the events up to `version`, of which `event_id` is the last.
-- `digest` is of all other columns.
-- name: create_snapshots
CREATE TABLE diptych.snapshots (
    version     bigint      NOT NULL,
    position    bigint      NOT NULL,
    event_id    uuid        NOT NULL,
    tenant      text        COLLATE "C" NOT NULL,
    stream      text        COLLATE "C" NOT NULL,
    fingerprint text        COLLATE "C" NOT NULL,
    state       bytea       NOT NULL,
    digest      bytea       NOT NULL,
    PRIMARY KEY (tenant, stream, fingerprint)
)

-- How far each thing is that acts on the world: see `store/cursors.py`. `failed_…` say why it is
-- stopped; `failed_kind` null: it is not.
-- name: create_cursors
CREATE TABLE diptych.cursors (
    name            text        COLLATE "C" PRIMARY KEY,
    position        bigint      NOT NULL,
    event_id        uuid,                       -- of the event there; null: nobody looked
    epoch           bigint      NOT NULL DEFAULT 0,
    holder          text,
    holder_name     text,
    holder_process  text,
    alive_until     timestamptz NOT NULL DEFAULT 'epoch',
    paused_at       timestamptz,
    paused_reason   text,
    failed_tenant   text,
    failed_stream   text,
    failed_version  bigint,                     -- 0: no matter of one event
    failed_position bigint,
    failed_type     text,
    failed_kind     text,
    failed_error    text,
    failed_attempts bigint,
    failed_at       timestamptz
)

-- Streams that are set aside, from one of their versions to another.
-- name: create_cursor_parked
CREATE TABLE diptych.cursor_parked (
    cursor           text        COLLATE "C" NOT NULL,
    tenant           text        COLLATE "C" NOT NULL,
    stream           text        COLLATE "C" NOT NULL,
    first_version    bigint      NOT NULL,
    through_version  bigint      NOT NULL,
    through_position bigint      NOT NULL,
    epoch            bigint      NOT NULL DEFAULT 0, -- how often it was begun to be worked off
    failed_version   bigint      NOT NULL,
    failed_position  bigint      NOT NULL,
    failed_type      text        NOT NULL,
    failed_kind      text        NOT NULL,
    failed_error     text        NOT NULL,
    failed_attempts  bigint      NOT NULL,
    failed_at        timestamptz NOT NULL,
    PRIMARY KEY (cursor, tenant, stream)
)

-- What an operator said must never be handled.
-- name: create_cursor_discards
CREATE TABLE diptych.cursor_discards (
    number           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cursor           text        COLLATE "C" NOT NULL,
    tenant           text        COLLATE "C" NOT NULL,
    stream           text        COLLATE "C" NOT NULL,
    first_version    bigint      NOT NULL,
    through_version  bigint      NOT NULL,
    through_position bigint      NOT NULL,
    reason           text        NOT NULL,
    failed_error     text        NOT NULL,
    discarded_at     timestamptz NOT NULL
)

-- name: create_cursor_discards_by_position
CREATE INDEX cursor_discards_by_position ON diptych.cursor_discards (cursor, through_position)

-- name: refuse_discards
CREATE TRIGGER never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON diptych.cursor_discards
FOR EACH STATEMENT EXECUTE FUNCTION diptych.refuse()
