-- Everything that the PostgreSQL log asks its database once it is there. `diptych` stands for the
-- schema that the URL names. Columns of events are always the fields of `RecordedEvent`, in their
-- order. Where an answer has a part beside its events, that is a first row without a position,
-- with JSON for data: so one statement answers, from one snapshot. Arrays of other types than text
-- are sent as text, because the driver would have to ask the server about these types first.

-- These two look into the catalog itself: `to_regclass` may answer from what the session remembers,
-- and so miss what another committed while this one waited for `lock_creation`.
-- name: is_there
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = 'diptych' AND c.relname = 'meta')

-- name: has_schema
SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'diptych')

-- name: create_schema
CREATE SCHEMA diptych

-- name: lock_creation
SELECT pg_advisory_xact_lock(1147761780, hashtext('diptych'))

-- name: functions
SELECT proname::text FROM pg_proc WHERE pronamespace = 'diptych'::regnamespace

-- name: insert_meta
INSERT INTO diptych.meta (schema_version, log_id) VALUES ($1, $2)

-- name: set_version
UPDATE diptych.meta SET schema_version = $1

-- name: meta
SELECT schema_version, uuid_send(log_id) FROM diptych.meta

-- name: meta_within
SELECT uuid_send(log_id), pg_current_xact_id()::text FROM diptych.meta

-- name: may_append
SELECT has_table_privilege('diptych.events', 'SELECT, INSERT'),
    has_table_privilege('diptych.commands', 'SELECT, INSERT'), current_user::text

-- name: durability
SELECT current_setting('server_version'), current_setting('fsync'),
    current_setting('full_page_writes'), current_setting('synchronous_commit'),
    current_setting('synchronous_standby_names')

-- name: append
SELECT head, uuid_send(head_id), versions, refused FROM diptych.append_1($1, $2, $3, $4, $5,
    $6::text::uuid[], $7, $8::text::integer[], $9::text::integer[], $10::text::integer[], $11, $12,
    $13, $14::text::integer[], $15::text::integer[], $16::text::bigint[], $17::text::integer[],
    $18::text::integer[], $19::text::uuid[], $20, $21, $22::text::timestamptz[], $23)

-- name: head
SELECT position, uuid_send(event_id) FROM diptych.events ORDER BY position DESC LIMIT 1

-- name: head_position
SELECT coalesce(max(position), 0) FROM diptych.events

-- name: find
SELECT diptych.commands_1($1, $2, $3::text::uuid[])::text

-- name: load
-- Of each wanted stream the event at a version and those after it, at most $4 of each, and no more
-- than begin within $5 bytes of data altogether. First the commands, as `commands_1` tells them.
SELECT NULL::bigint AS position, NULL AS tenant, NULL AS stream, NULL::bigint AS version,
    NULL::bytea AS event_id, NULL AS type,
    convert_to(diptych.commands_1($6, $7, $8::text::uuid[])::text, 'UTF8') AS data,
    NULL::bytea AS metadata, NULL::timestamptz AS recorded_at, NULL::timestamptz AS occurred_at,
    NULL::text[] AS tags
UNION ALL
SELECT position, tenant, stream, version, uuid_send(event_id), type, convert_to(data, 'UTF8'),
    convert_to(metadata, 'UTF8'), recorded_at, occurred_at, tags
FROM (
    SELECT found.*, sum(octet_length(found.data)) OVER (ROWS UNBOUNDED PRECEDING)
        - octet_length(found.data) AS size_before
    FROM unnest($1::text[], $2::text[], $3::text::bigint[]) AS wanted(tenant, stream, version)
    CROSS JOIN LATERAL (
        SELECT * FROM diptych.events AS e
        WHERE e.tenant = wanted.tenant AND e.stream = wanted.stream AND e.version >= wanted.version
        ORDER BY e.version LIMIT $4
    ) AS found
) AS measured
WHERE size_before < $5

-- name: end_of_stream
-- And what became of a command, as `commands_1` tells it.
SELECT version, position, uuid_send(event_id), diptych.commands_1($3, $4, $5::text::uuid[])::text
FROM (VALUES (1)) AS once LEFT JOIN LATERAL (
    SELECT * FROM diptych.events WHERE tenant = $1 AND stream = $2 ORDER BY version DESC LIMIT 1
) AS last ON true

-- name: stream_between
SELECT position, tenant, stream, version, uuid_send(event_id), type, convert_to(data, 'UTF8'),
    convert_to(metadata, 'UTF8'), recorded_at, occurred_at, tags
FROM (
    SELECT *, sum(octet_length(data)) OVER (ORDER BY version) - octet_length(data) AS size_before
    FROM (
        SELECT * FROM diptych.events
        WHERE tenant = $1 AND stream = $2 AND version > $3 AND version <= $4
        ORDER BY version LIMIT $5
    ) AS few
) AS measured
WHERE size_before < $6 ORDER BY version

-- name: page
-- First [head, its event id, the event id at $1, through, the event id there], where `through` is
-- the head, or $2 if that comes first; then the events after $1 and up to there that pass.
SELECT NULL::bigint AS position, NULL AS tenant, NULL AS stream, NULL::bigint AS version,
    NULL::bytea AS event_id, NULL AS type, convert_to((
        SELECT json_build_array(head.position, head.event_id,
            (SELECT e.event_id FROM diptych.events AS e WHERE e.position = $1),
            least(head.position, $2),
            (SELECT e.event_id FROM diptych.events AS e
                WHERE e.position = least(head.position, $2)))
        FROM diptych.events AS head ORDER BY head.position DESC LIMIT 1
    )::text, 'UTF8') AS data,
    NULL::bytea AS metadata, NULL::timestamptz AS recorded_at, NULL::timestamptz AS occurred_at,
    NULL::text[] AS tags
UNION ALL
SELECT position, tenant, stream, version, uuid_send(event_id), type, convert_to(data, 'UTF8'),
    convert_to(metadata, 'UTF8'), recorded_at, occurred_at, tags
FROM (
    SELECT *, sum(octet_length(data)) OVER (ORDER BY position) - octet_length(data) AS size_before
    FROM (
        SELECT * FROM diptych.events
        WHERE position > $1 AND position <= $2 AND ($5::text IS NULL OR tenant = $5)
            AND ($6::text[] IS NULL OR category = ANY ($6))
        ORDER BY position LIMIT $3
    ) AS few
) AS measured
WHERE size_before < $4

-- name: page_meeting
-- As `page`, of events that meet one of the criteria, which are JSON.
SELECT NULL::bigint AS position, NULL AS tenant, NULL AS stream, NULL::bigint AS version,
    NULL::bytea AS event_id, NULL AS type, convert_to((
        SELECT json_build_array(head.position, head.event_id,
            (SELECT e.event_id FROM diptych.events AS e WHERE e.position = $1),
            least(head.position, $2),
            (SELECT e.event_id FROM diptych.events AS e
                WHERE e.position = least(head.position, $2)))
        FROM diptych.events AS head ORDER BY head.position DESC LIMIT 1
    )::text, 'UTF8') AS data,
    NULL::bytea AS metadata, NULL::timestamptz AS recorded_at, NULL::timestamptz AS occurred_at,
    NULL::text[] AS tags
UNION ALL
SELECT position, tenant, stream, version, uuid_send(event_id), type, convert_to(data, 'UTF8'),
    convert_to(metadata, 'UTF8'), recorded_at, occurred_at, tags
FROM (
    SELECT e.*, sum(octet_length(e.data)) OVER (ORDER BY e.position)
        - octet_length(e.data) AS size_before
    FROM (
        SELECT DISTINCT met AS position FROM json_array_elements($7::text::json) AS criterion,
            diptych.meeting_1(criterion, $5, $6, $1, $2, $3) AS met
        ORDER BY met LIMIT $3
    ) AS few JOIN diptych.events AS e USING (position)
) AS measured
WHERE size_before < $4

-- name: find_snapshot
SELECT version, position, uuid_send(event_id), state, digest FROM diptych.snapshots
WHERE tenant = $1 AND stream = $2 AND fingerprint = $3

-- name: keep_snapshot
-- Those of other rules go, but for the newest: old and new code may run at once. The commit does
-- not wait for the disk: what is lost can be made again.
WITH at_ease AS (
    SELECT set_config('synchronous_commit', 'off', true)
), dropped AS (
    DELETE FROM diptych.snapshots
    WHERE tenant = $1 AND stream = $2 AND fingerprint <> $3
        AND version < (
            SELECT max(version) FROM diptych.snapshots
            WHERE tenant = $1 AND stream = $2 AND fingerprint <> $3)
)
INSERT INTO diptych.snapshots
    (tenant, stream, fingerprint, version, position, event_id, state, digest)
SELECT $1, $2, $3, $4, $5, $6::text::uuid, $7, $8 FROM at_ease
ON CONFLICT (tenant, stream, fingerprint) DO UPDATE SET version = excluded.version,
    position = excluded.position, event_id = excluded.event_id, state = excluded.state,
    digest = excluded.digest
