-- The log in one PostgreSQL schema: schema version 1. Each statement is run once, in one
-- transaction, when the log is created. `diptych` stands for the schema that the URL names.

-- name: create_meta
CREATE TABLE diptych.meta (
    only_one       boolean     PRIMARY KEY DEFAULT true CHECK (only_one),
    schema_version integer     NOT NULL,
    log_id         uuid        NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp()
)

-- What has a fixed width comes first: then nothing is padded. Texts sort by their bytes, on every
-- server and in every version of its operating system.
-- name: create_events
CREATE TABLE diptych.events (
    position    bigint      PRIMARY KEY,
    version     bigint      NOT NULL,
    recorded_at timestamptz NOT NULL,
    occurred_at timestamptz,                        -- of imported events only
    event_id    uuid        NOT NULL,
    tenant      text        COLLATE "C" NOT NULL,
    category    text        COLLATE "C" NOT NULL,
    type        text        COLLATE "C" NOT NULL,
    stream      text        COLLATE "C" NOT NULL,
    tags        text[]      COLLATE "C",            -- null: none
    metadata    text        NOT NULL,               -- JSON object
    data        text        NOT NULL,               -- JSON object, byte for byte as it was given
    UNIQUE (tenant, stream, version)
)

-- name: create_event_tags
CREATE TABLE diptych.event_tags (
    tag         text        COLLATE "C" NOT NULL,
    position    bigint      NOT NULL,
    PRIMARY KEY (tag, position)
)

-- What was appended is found through its positions.
-- name: create_commands
CREATE TABLE diptych.commands (
    command_id  uuid        NOT NULL,
    position    bigint      NOT NULL,               -- of its last event; of the head if it did nothing
    events      integer     NOT NULL,               -- how many it appended: 0 if it did nothing
    tenant      text        COLLATE "C" NOT NULL,
    principal   text        COLLATE "C" NOT NULL,
    hash        bytea       NOT NULL,
    streams     text,                               -- only if it did nothing: JSON, [[stream, version]]
    PRIMARY KEY (command_id, tenant, principal)
)

-- name: create_refuse
CREATE FUNCTION diptych.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% are never changed or deleted', TG_TABLE_NAME;
END
$$

-- name: refuse_events
CREATE TRIGGER never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON diptych.events
FOR EACH STATEMENT EXECUTE FUNCTION diptych.refuse()

-- name: refuse_event_tags
CREATE TRIGGER never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON diptych.event_tags
FOR EACH STATEMENT EXECUTE FUNCTION diptych.refuse()

-- name: refuse_commands
CREATE TRIGGER never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON diptych.commands
FOR EACH STATEMENT EXECUTE FUNCTION diptych.refuse()

-- name: refuse_meta
CREATE TRIGGER never_deleted BEFORE DELETE OR TRUNCATE ON diptych.meta
FOR EACH STATEMENT EXECUTE FUNCTION diptych.refuse()
