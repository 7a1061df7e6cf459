-- Schema version 2: tables that come and go beside the events. Programs of version 1 that have the
-- log open do not see them and are not disturbed.

-- States of long streams, of the rule that `fingerprint` stands for. They may be deleted at any
-- time: each can be made again from the events up to `version`, of which `event_id` is the last.
-- name: create_snapshots
CREATE TABLE snapshots (
    tenant      TEXT    NOT NULL,
    stream      TEXT    NOT NULL,
    fingerprint TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    position    INTEGER NOT NULL,
    event_id    BLOB    NOT NULL,
    state       BLOB    NOT NULL,
    PRIMARY KEY (tenant, stream, fingerprint)
) STRICT
