-- Schema version 2: tables that come and go beside the events. Programs of version 1 that have the
-- log open do not see them and are not disturbed.

-- States of long streams, of the rule that `fingerprint` stands for. They may be deleted at any
-- time: each can be made again from the events up to `version`, of which `event_id` is the last.
-- name: create_snapshots
CREATE TABLE diptych.snapshots (
    version     bigint      NOT NULL,
    position    bigint      NOT NULL,
    event_id    uuid        NOT NULL,
    tenant      text        COLLATE "C" NOT NULL,
    stream      text        COLLATE "C" NOT NULL,
    fingerprint text        COLLATE "C" NOT NULL,
    state       bytea       NOT NULL,
    PRIMARY KEY (tenant, stream, fingerprint)
)
